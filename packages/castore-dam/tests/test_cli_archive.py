"""The commands `castore dam export | import | verify-archive`."""

import gzip
import os
import re
from pathlib import Path

import pytest

from castore_command import CommandResult
from dam_program import Program


def _export(program: Program, *words: str) -> str:
    path = str(program.folder / "notes.jsonl.gz")
    assert 0 == program.call("export", ":old", path, *words).code
    return path


def _damage(path: str) -> None:
    text = gzip.decompress(Path(path).read_bytes())
    Path(path).write_bytes(gzip.compress(text.replace(b'"a3 1"', b'"a3 2"')))


def test_there_and_back(program: Program) -> None:
    """An archive is written without a question, and read back, once."""
    path = str(program.folder / "notes.jsonl.zst")
    exported = program.call("export", ":old", path, "--json")
    words = path, ":new", "--yes", "--json"
    first, second = program.call("import", *words), program.call("import", *words)
    verified = program.call("verify", ":old", ":new")

    assert [0, 0, 0, 0] == [each.code for each in (exported, first, second, verified)]
    [row] = exported.rows
    assert (path, 5, {"NOTES": 5}) == (row["archive"], row["eventCount"], row["eventCounts"])
    assert re.fullmatch(r"[0-9a-f]{64}", row["hash"])
    assert row["exportedAt"].endswith("Z")
    assert [_imported(path, 5, 0)] == first.rows
    assert [_imported(path, 0, 5)] == second.rows


def _imported(path: str, imported: int, present: int) -> dict[str, object]:
    return {
        "archive": path,
        "eventCount": 5,
        "importedEventCount": imported,
        "presentEventCount": present,
    }


def test_an_export_replaces_no_file(program: Program) -> None:
    """A file that is there stays, and the error names it."""
    path = _export(program)
    before = Path(path).read_bytes()
    result = program.call("export", ":old", path, "--yes")

    assert (1, before) == (result.code, Path(path).read_bytes())
    assert f"error: file exists: '{path}'\n" == result.errors


def test_an_import_asks_before(program: Program) -> None:
    """Nothing is written without leave."""
    result = program.call("import", _export(program), ":new")

    assert (2, "") == (result.code, result.output)
    assert "this would write the events of " in result.errors
    assert 3 == program.call("verify", ":old", ":new").code


def test_a_store_of_another_id(program: Program) -> None:
    """The events of an archive go to a store with another id, where one says so."""
    path = _export(program)
    refused = program.call("import", path, ":copies", "--yes")
    imported = program.call("import", path, ":copies", "--yes", "--archived-id", "COPIES=NOTES")

    assert 1 == refused.code
    assert refused.errors.endswith(
        "its event stores are 'NOTES', and those to fill are 'COPIES': archived_ids picks some, or "
        "gives them other ids; that is --store or --archived-id on the command line\n"
    )
    assert (0, 0) == (imported.code, program.call("verify", ":old", ":copies").code)


def test_some_stores_of_an_archive(program: Program) -> None:
    """Event stores of the archive that have no target are left out, where one says so."""
    path = str(program.folder / "both.jsonl")
    program.call("export", ":both", path)
    words = "import", path, ":new", "--yes", "--json"
    refused = program.call(*words)
    picked = program.call(*words, "--store", "NOTES")
    named = program.call(*words, "--archived-id", "NOTES=NOTES")

    assert 1 == refused.code
    assert 5 == picked.rows[0]["importedEventCount"]
    assert 5 == named.rows[0]["presentEventCount"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["export", ":old", "notes.txt"], "ends with one of .jsonl, .jsonl.gz, .jsonl.zst"),
        (["import", "notes.txt", ":old"], "ends with one of .jsonl, .jsonl.gz, .jsonl.zst"),
        (["verify-archive", "notes.txt"], "ends with one of .jsonl, .jsonl.gz, .jsonl.zst"),
        (["import", "/dev/null", ":old"], "'/dev/null' is no regular file"),
        (["import", "x.jsonl", ":old", "--archived-id", "NOTES"], "'NOTES' has none"),
        (["import", "x.jsonl", ":old", "--archived-id", "N=M"], "--archived-id names 'N'"),
    ],
    ids=str,
)
def test_wrong_usage(program: Program, words: list[str], message: str) -> None:
    """A wrong command line is one line, and 2."""
    result = program.call(*words, "--yes")

    assert (2, "") == (result.code, result.output)
    assert message in result.errors
    assert 1 == result.errors.count("\n")


def test_an_archive_that_is_intact(program: Program) -> None:
    """The check shows what the archive has."""
    path = str(program.folder / "notes.jsonl.gz")
    [exported] = program.call("export", ":old", path, "--json").rows
    result = program.call("verify-archive", path, "--expected-hash", exported["hash"], "--json")

    assert (0, [exported | {"isIntact": True}]) == (result.code, result.rows)


def test_an_archive_that_is_damaged(program: Program) -> None:
    """A check names the line, and exits with 3; an import fails with 1, and advises nothing."""
    path = _export(program)
    _damage(path)
    checked = program.call("verify-archive", path, "--json")
    imported = program.call("import", path, ":new", "--yes")

    reason = "its hash is wrong: the line was changed, or one before it is missing"
    assert (3, "") == (checked.code, checked.errors)
    assert [{"archive": path, "isIntact": False, "line": 5, "reason": reason}] == checked.rows
    assert 1 == imported.code
    assert f"error: line 5 of the archive {path!r} is refused: {reason}\n" == imported.errors


def test_an_archive_of_another_hash(program: Program) -> None:
    """An archive that somebody wrote anew is found by the hash that was kept."""
    result = program.call("verify-archive", _export(program), "--expected-hash", "0", "--json")

    assert 3 == result.code
    assert (False, None) == (result.rows[0]["isIntact"], result.rows[0]["line"])
    assert "another hash" in result.rows[0]["reason"]


def test_no_such_archive(program: Program) -> None:
    """A file that is missing is a failure, and no finding."""
    results: list[CommandResult] = [
        program.call("verify-archive", "no.jsonl"),
        program.call("import", "no.jsonl", ":new", "--yes"),
    ]
    for each in results:
        assert (1, "") == (each.code, each.output)
        assert "error: no such file or directory: 'no.jsonl'\n" == each.errors


def test_a_pipe_is_refused(program: Program) -> None:
    """An import would wait for ever for what it has read once, and says so at once."""
    pipe = program.folder / "pipe.jsonl"
    os.mkfifo(pipe)
    with pipe.open("r+b", buffering=0) as file:
        file.write(b"{}\n")  # no archive: a command that reads it fails, too
        result = program.call("import", str(pipe), ":new", "--yes")

    assert (2, "") == (result.code, result.output)
    assert (
        f"error: an import reads its archive twice, and '{pipe}' is no regular file: write the "
        "archive to a file first\n"
    ) == result.errors


def test_checkpoints(program: Program) -> None:
    """An export and an import that have ended do nothing more with their checkpoints."""
    checkpoint = str(program.folder / "export.json")
    path = _export(program, "--checkpoint", checkpoint)
    again = program.call("export", ":old", path, "--checkpoint", checkpoint, "--json")
    words = path, ":new", "--yes", "--json", "--checkpoint", str(program.folder / "import.json")
    first, second = program.call("import", *words), program.call("import", *words)

    assert (0, 5) == (again.code, again.rows[0]["eventCount"])
    assert [_imported(path, 5, 0)] == first.rows == second.rows
