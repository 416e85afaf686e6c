"""The commands `castore dam migrate | verify`."""

import pytest

from dam_program import Program
from pouring import make_note

EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"  # SHA-256 of nothing


def test_migrate(program: Program) -> None:
    """The events are carried once; what is new is carried by the same command later."""
    words = ":old", ":new", "--yes", "--json"
    first, second = program.call("migrate", *words), program.call("migrate", *words)
    program.push("old", make_note("a1", 4, 6))
    third = program.call("migrate", *words)

    assert (0, "") == (first.code, first.errors)
    assert [_counts(5, 5, 0)] == first.rows
    assert [_counts(5, 0, 5)] == second.rows
    assert [_counts(6, 1, 5)] == third.rows


def _counts(read: int, written: int, already_there: int, dropped: int = 0) -> dict[str, object]:
    return {
        "eventStoreId": "NOTES",
        "eventsRead": read,
        "eventsWritten": written,
        "eventsAlreadyThere": already_there,
        "eventsDropped": dropped,
        "eventsChanged": 0,
        "isDryRun": False,
    }


def test_it_asks_before(program: Program) -> None:
    """Nothing is written without leave; the question names the storages."""
    result = program.call("migrate", ":old", ":new")

    assert (2, "") == (result.code, result.output)
    assert ":old ('NOTES' on SQLEventStorageAdapter) to dam_program_" in result.errors
    assert 0 == _count(program)


def _count(program: Program) -> int:
    """Return how many events the new database has."""
    return int(program.call("verify", ":old", ":new", "--json").rows[0]["foundEventCount"])


def test_dry_run(program: Program) -> None:
    """A dry run needs no leave, and writes nothing."""
    result = program.call("migrate", ":old", ":new", "--dry-run", "--json")

    assert 0 == result.code
    assert [_counts(5, 5, 0) | {"isDryRun": True}] == result.rows
    assert 0 == _count(program)


def test_with_a_transform_and_verified(program: Program) -> None:
    """The verification follows the migration, with its transform, in an object of its own."""
    words = ":old", ":new", "--transform", ":drop_second", "--json"
    migration, verification = program.call("migrate", *words, "--yes", "--verify").rows
    verified = program.call("verify", *words)

    assert _counts(5, 4, 0, dropped=1) == migration
    assert (0, [verification]) == (verified.code, verified.rows)
    assert {
        "eventStoreId": "NOTES",
        "aggregateCount": 3,
        "expectedEventCount": 4,
        "foundEventCount": 4,
        "differenceCount": 0,
        "differences": [],
    } == verification


def test_differences(program: Program) -> None:
    """Differences are listed, and the exit code is 3."""
    program.call("migrate", ":old", ":new", "--yes")
    program.push("new", make_note("a4", 1, 9))
    program.push("old", make_note("a1", 4, 9))
    in_json = program.call("verify", ":old", ":new", "--json")
    for_people = program.call("verify", ":old", ":new")
    migrated = program.call("migrate", ":old", ":new", "--yes", "--verify", "--json")

    assert (3, 3, 3) == (in_json.code, for_people.code, migrated.code)
    first, second = in_json.rows[0]["differences"]
    assert ("a1", 4, 4, 3) == _place(first)
    assert ("a4", 1, 0, 1) == _place(second)
    assert EMPTY == second["expected"]["sha256"]
    assert (
        "aggregate id  differs from version  expected events  found events\n"
        "a1                               4                4             3\n"
        "a4                               1                0             1\n"
        "event store id        NOTES\n"
        "aggregate count       4\n"
        "expected event count  6\n"
        "found event count     6\n"
        "difference count      2\n"
    ) == for_people.output
    assert [1, 1] == [
        migrated.rows[0]["eventsWritten"],
        migrated.rows[1]["differenceCount"],
    ]


def _place(difference: dict[str, dict[str, int]]) -> tuple[object, ...]:
    counts = [difference[each]["eventCount"] for each in ("expected", "found")]
    return difference["aggregateId"], difference["version"], *counts


def test_many_differences(program: Program) -> None:
    """The first hundred are listed, and the user is told so."""
    program.push("old", *(make_note(f"b{each}", 1, each) for each in range(98)))
    result = program.call("verify", ":old", ":new")

    assert 1 + 100 + 5 == result.output.count("\n")
    assert "the first 100 differences are listed\n" == result.errors


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ([":old", ":old"], 2, "are one event store on one storage"),
        ([":twins", ":new"], 2, "two event stores have the id 'NOTES'"),
        ([":old", ":twins"], 2, "has two event stores of one id"),
        ([":old", ":new", "--verify", "--dry-run"], 2, "exclude each other"),
        ([":old", ":new", "--transform", ":nothing"], 2, "has no attribute 'nothing'"),
        ([":old", ":new", "--transform", ":both"], 2, "name an object of Callable"),
        ([":both", ":new"], 2, "has no event store 'COPIES', and several stores are paired by"),
        ([":both", ":new", "--store", "COPIES"], 2, "has no event store 'COPIES'"),
        ([":old", ":new", "--concurrency", "0"], 2, "--concurrency"),
        ([":old", ":new", "--rate-limit", "-1"], 2, "--rate-limit"),
        (
            [":old", ":new", "--transform", ":fail"],
            1,
            "the transform failed at version 1 of aggregate 'a1'",
        ),
    ],
    ids=str,
)
def test_failures(program: Program, words: list[str], code: int, message: str) -> None:
    """A failure is told in one line, without a secret."""
    result = program.call("migrate", *words, "--yes")

    assert (code, "") == (result.code, result.output)
    assert message in result.errors
    assert "secret" not in result.errors
    assert 1 == result.errors.count("\n")


def test_a_conflict(program: Program) -> None:
    """A conflict is a failure that a repetition does not mend, and none is advised."""
    program.push("new", make_note("a1", 3, 99))
    result = program.call("migrate", ":old", ":new", "--yes")

    assert 1 == result.code
    assert (
        "error: event store 'NOTES' has another event of version 3 of aggregate 'a1', "
        "which is kept\n"
    ) == result.errors


def test_gaps(program: Program) -> None:
    """A gap in the source is refused; the message names the option that allows it."""
    program.push("old", make_note("a2", 3, 7))
    refused = program.call("migrate", ":old", ":new", "--yes")
    allowed = program.call("migrate", ":old", ":new", "--yes", "--allow-gaps")

    assert (1, 0) == (refused.code, allowed.code)
    assert refused.errors.endswith("; that is --allow-gaps on the command line\n")


def test_a_checkpoint(program: Program) -> None:
    """The next run with a checkpoint reads what is new only."""
    words = ":old", ":new", "--yes", "--json", "--checkpoint", str(program.folder / "c.json")
    program.call("migrate", *words)
    program.push("old", make_note("a1", 4, 6))

    assert [_counts(1, 1, 0)] == program.call("migrate", *words).rows


def test_several_stores(program: Program) -> None:
    """Stores are paired by their ids, migrated with one checkpoint, and verified."""
    program.call("migrate", ":old", ":copies", "--yes")
    words = ":both", ":others", "--yes", "--json", "--checkpoint", str(program.folder / "c.json")
    first = program.call("migrate", *words, "--verify")
    program.push("old", make_note("a1", 4, 6))
    second = program.call("migrate", *words)
    verified = program.call("verify", ":both", ":others", "--json")

    notes, copies, *verifications = first.rows
    assert [_counts(5, 5, 0), _counts(5, 5, 0) | {"eventStoreId": "COPIES"}] == [notes, copies]
    assert [("NOTES", 0), ("COPIES", 0)] == [
        (each["eventStoreId"], each["differenceCount"]) for each in verifications
    ]
    assert [_counts(1, 1, 0), _counts(0, 0, 0) | {"eventStoreId": "COPIES"}] == second.rows
    assert (0, [6, 5]) == (verified.code, [each["expectedEventCount"] for each in verified.rows])


def test_a_difference_in_one_of_several(program: Program) -> None:
    """The exit code is 3, whichever store differs."""
    program.call("migrate", ":both", ":others", "--yes")
    program.push("old", make_note("a1", 4, 6))
    result = program.call("verify", ":both", ":others", "--json")

    assert (3, [1, 0]) == (result.code, [each["differenceCount"] for each in result.rows])


def test_stores_of_several(program: Program) -> None:
    """One of several event stores is chosen by its id."""
    result = program.call("migrate", ":both", ":new", "--store", "NOTES", "--yes", "--json")

    assert [_counts(5, 5, 0)] == result.rows
