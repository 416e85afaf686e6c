"""The command `castore dam schema`."""

import json
from pathlib import Path
from typing import Any

import pytest

from castore_command import CommandResult
from castore_dam import load_event_schemas
from dam_program import Program


@pytest.fixture
def path(program: Program) -> Path:
    """Give the path of saved schemas."""
    path = program.folder / "schemas.json"
    assert 0 == program.call("schema", ":both", str(path), "--save").code
    return path


def _change(path: Path, schema: dict[str, Any]) -> None:
    """Save another schema of the payload."""
    saved = json.loads(path.read_text())
    saved["eventStores"]["NOTES"]["eventTypes"]["NOTED"]["properties"]["payload"] = schema
    path.write_text(json.dumps(saved))


def _call(program: Program, path: Path, *words: str) -> CommandResult:
    return program.call("schema", ":both", str(path), *words)


def test_the_first_run(program: Program) -> None:
    """Without a file, the error says how to write it; that needs no leave."""
    path = program.folder / "schemas.json"
    missing = _call(program, path)
    saved = _call(program, path, "--save", "--json")

    assert (2, "") == (missing.code, missing.output)
    assert (
        f"error: there is no file '{path}': write it with --save, and keep it with the code\n"
    ) == missing.errors
    assert (0, [_result(path, isSaved=True)]) == (saved.code, saved.rows)
    assert ["COPIES", "NOTES"] == sorted(load_event_schemas(path)["eventStores"])


def _result(path: Path, **values: object) -> dict[str, object]:
    return {
        "file": str(path),
        "verdict": "full",
        "compatibility": "backward",
        "isCompatible": True,
        "isSaved": False,
        "changes": [],
        **values,
    }


def test_no_changes(program: Program, path: Path) -> None:
    """Equal schemas are compatible; saving them again needs no leave."""
    compared, saved = _call(program, path, "--json"), _call(program, path, "--save", "--json")

    assert (0, [_result(path)]) == (compared.code, compared.rows)
    assert (0, [_result(path, isSaved=True)]) == (saved.code, saved.rows)


def test_a_breaking_change(program: Program, path: Path) -> None:
    """A change is listed with its verdict, and the exit code is 3."""
    _change(path, {"type": "integer"})
    in_json, for_people = _call(program, path, "--json"), _call(program, path)

    change = {
        "eventStoreId": "NOTES",
        "eventType": "NOTED",
        "path": "/payload",
        "kind": "type changed",
        "reason": "was integer, is string",
        "verdict": "breaking",
        "isUpcast": False,
        "isCompatible": False,
    }
    expected = _result(path, verdict="breaking", isCompatible=False, changes=[change])
    assert (3, [expected]) == (in_json.code, in_json.rows)
    assert 3 == for_people.code
    assert for_people.output.startswith(
        "verdict   event store id  event type  path      kind          reason\n"
        "breaking  NOTES           NOTED       /payload  type changed  was integer, is string\n"
        f"file           {path}\n"
    )


@pytest.mark.parametrize(
    ("compatibility", "code"), [("backward", 3), ("forward", 0), ("full", 3), ("none", 2)]
)
def test_compatibilities(program: Program, path: Path, compatibility: str, code: int) -> None:
    """The exit code is that of the compatibility that one asks for."""
    _change(path, {"type": ["string", "integer"]})

    assert code == _call(program, path, "--compatibility", compatibility).code


def test_an_upcaster(program: Program, path: Path) -> None:
    """A change that an upcaster mends is backward, where one says so; unknown types are refused."""
    _change(path, {"type": "integer"})
    upcast = _call(program, path, "--upcast", "NOTES=NOTED", "--json")
    for_people = _call(program, path, "--upcast", "NOTES=NOTED")
    unknown = _call(program, path, "--upcast", "NOTES=LOST")
    malformed = _call(program, path, "--upcast", "NOTED")

    assert (0, "backward") == (upcast.code, upcast.rows[0]["verdict"])
    assert "backward (upcast)  NOTES" in for_people.output
    assert (2, 2) == (unknown.code, malformed.code)
    assert "error: --upcast names 'LOST' of 'NOTES', which was not saved\n" == unknown.errors
    assert "--upcast takes the id of an event store and '='" in malformed.errors


def test_saving_asks_before_it_replaces(program: Program, path: Path) -> None:
    """Other schemas are shown, and replaced with leave only."""
    _change(path, {"type": "integer"})
    before = path.read_text()
    refused = _call(program, path, "--save")
    kept = path.read_text()
    saved = _call(program, path, "--save", "--yes", "--json")

    assert (2, before) == (refused.code, kept)
    assert "type changed" in refused.output
    assert f"this would replace the event schemas in '{path}'" in refused.errors
    assert (0, True) == (saved.code, saved.rows[0]["isSaved"])
    assert 0 == _call(program, path).code


def test_a_file_of_something_else(program: Program) -> None:
    """A file that has no schemas is refused, and never replaced."""
    path = program.folder / "notes.txt"
    path.write_text("notes")
    compared, saved = _call(program, path), _call(program, path, "--save", "--yes")

    assert (1, 1, "notes") == (compared.code, saved.code, path.read_text())
    assert f"error: not the schemas of events: {path} is no JSON\n" == compared.errors
    path.write_text("{}")
    compared = _call(program, path)
    assert (
        f"error: not the schemas of events: the format is not castore-event-schemas, in {path}\n"
    ) == compared.errors
