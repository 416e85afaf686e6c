"""The command `castore dam check`."""

import pytest

from castore_core import EventRecord
from dam_program import Program
from pouring import at, make_note

SECRET = "swordfish"  # noqa: S105 what must not be shown


def test_a_sound_store(program: Program) -> None:
    """Nothing is found, and the exit code is 0."""
    result = program.call("check", ":old", "--json")

    assert (0, "") == (result.code, result.errors)
    assert [
        {
            "eventStoreId": "NOTES",
            "eventCount": 5,
            "aggregateCount": 3,
            "findingCount": 0,
            "counts": {},
            "findings": [],
            "upcasters": [],
        }
    ] == result.rows


@pytest.fixture
def damaged(program: Program) -> Program:
    """Give a program whose old database has a gap, and an event of an unknown type."""
    program.push("old", make_note("a3", 3, 9), EventRecord("a4", 1, "LOST", at(10), SECRET))
    return program


def test_findings(damaged: Program) -> None:
    """Findings are listed and counted, and the exit code is 3; no payload is shown."""
    result = damaged.call("check", ":both", "--json")

    notes, copies = result.rows
    assert 3 == result.code
    assert ("NOTES", 7, 4, 2) == tuple(notes.values())[:4]
    assert {"version gap": 1, "unknown type": 1} == notes["counts"]
    assert [
        _find("unknown type", "a4", 1, "the store does not have its type 'LOST'"),
        _find("version gap", "a3", 3, "version 2 is missing"),
    ] == notes["findings"]
    assert ("COPIES", 0, 0, 0) == tuple(copies.values())[:4]
    assert SECRET not in result.output + result.errors


def _find(kind: str, aggregate_id: str, version: int, reason: str) -> dict[str, object]:
    return {"kind": kind, "aggregateId": aggregate_id, "version": version, "reason": reason}


def test_for_people(damaged: Program) -> None:
    """People see a table of findings, and a summary of each store."""
    result = damaged.call("check", ":both", "--max-findings", "1")

    assert (
        "event store id  kind          aggregate id  version  reason\n"
        "NOTES           unknown type  a4                  1  "
        "the store does not have its type 'LOST'\n"
        "event store id  event count  aggregate count  finding count\n"
        "NOTES                     7                4              2\n"
        "COPIES                    0                0              0\n"
    ) == result.output
    assert ("1 of 2 findings of 'NOTES' are listed: --max-findings lists more\n") == result.errors


def test_one_of_several_stores(damaged: Program) -> None:
    """Stores are chosen by their ids, and the exit code is theirs."""
    assert 0 == damaged.call("check", ":both", "--store", "COPIES").code
    assert 3 == damaged.call("check", ":both", "--store", "NOTES").code


def test_with_the_reducer(program: Program) -> None:
    """A reducer that fails is found, where one asks for it."""
    without = program.call("check", ":unreduced", "--json")
    with_it = program.call("check", ":unreduced", "--with-reducer", "--json")

    assert (0, 3) == (without.code, with_it.code)
    assert {"reducer failed": 3} == with_it.rows[0]["counts"]


def test_upcasters(program: Program) -> None:
    """The events that upcasters change are counted; one that changes none is no finding."""
    counted = program.call("check", ":upcast", "--json")
    shown = program.call("check", ":upcast")

    assert 0 == counted.code
    reached, unreached = counted.rows[0]["upcasters"]
    assert (5, 0) == (reached["changedCount"], reached["failedCount"])
    assert (0, 0) == (unreached["changedCount"], unreached["failedCount"])
    assert unreached["upcaster"].endswith(".keep")
    assert "event store id  upcaster" in shown.output


@pytest.mark.parametrize("words", [[":nothing"], [":old", "--max-findings", "-1"]], ids=str)
def test_wrong_usage(program: Program, words: list[str]) -> None:
    """A wrong command line is one line, and 2."""
    result = program.call("check", *words)

    assert (2, "") == (result.code, result.output)
    assert 1 == result.errors.count("\n")
