"""The program as a user runs it."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from git_history.__main__ import default_database, main
from git_history.tests.workshop import Workshop, make_odd_history


@pytest.fixture(autouse=True)
def state_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the databases of the tests in a directory of their own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path / "state"


def test_a_repository_is_imported_asked_and_verified(
    workshop: Workshop, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first run shows it all, and ends well."""
    make_odd_history(workshop)
    assert 0 == main([str(workshop.path)])
    shown = capsys.readouterr().out
    commits = workshop.git("rev-list", "--first-parent", "--count", "HEAD")
    for part in (
        f"Imported {commits} commits",
        "FILE_RENAMED",
        "The hottest files",
        "Who knows ",
        "✓",
    ):
        assert part in shown
    assert "✗" not in shown
    assert str(default_database(workshop.repository)) in shown


def test_a_second_run_has_nothing_new(
    workshop: Workshop, capsys: pytest.CaptureFixture[str]
) -> None:
    """The database is found again."""
    workshop.write("file")
    workshop.commit()
    assert 0 == main([str(workshop.path)])
    assert 0 == main([str(workshop.path)])
    assert "Nothing new" in capsys.readouterr().out


def test_names_leave_the_terminal_alone(
    workshop: Workshop, database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Control characters and markup in names are shown, not obeyed."""
    workshop.write("[bold]\x1b[31mred\n\u202e")
    workshop.commit("\x1b]0;title\x07", author="\x1b[2J")
    assert 0 == main([str(workshop.path), "--database", str(database)])
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert r"[bold]\x1b[31mred\n\u202e" in shown


def test_one_file_at_one_date(
    workshop: Workshop, database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The answers can be about any file, and any date."""
    workshop.write("file")
    workshop.commit("long ago", GIT_COMMITTER_DATE="1000000000 +0000")
    workshop.git("mv", "file", "moved")
    workshop.commit("later")
    options = ["--file", "moved", "--date", "2010-01-01"]
    assert 0 == main([str(workshop.path), "--database", str(database), *options])
    shown = capsys.readouterr().out
    assert "moved through time" in shown
    assert "2010-01-01" in shown
    assert "long ago" in shown


def test_an_unknown_file_is_said_to_be_unknown(
    workshop: Workshop, capsys: pytest.CaptureFixture[str]
) -> None:
    """There is no answer about a file that never was."""
    workshop.commit()
    assert 2 == main([str(workshop.path), "--file", "nowhere"])
    assert "the history has no file 'nowhere'" in capsys.readouterr().err


def test_an_empty_repository_is_no_error(
    workshop: Workshop, capsys: pytest.CaptureFixture[str]
) -> None:
    """There is nothing to import yet."""
    assert 0 == main([str(workshop.path)])
    assert "no commit yet" in capsys.readouterr().out


def test_a_repository_of_empty_commits_is_no_error(workshop: Workshop) -> None:
    """There may be commits, and no file to ask about."""
    workshop.commit()
    assert 0 == main([str(workshop.path)])


@pytest.mark.parametrize("path", ["", "nowhere", "file"])
def test_what_is_no_repository_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], path: str
) -> None:
    """The message names the path, and nothing is left behind."""
    (tmp_path / "file").touch()
    assert 2 == main([str(tmp_path / path)])
    assert "is not a git repository" in capsys.readouterr().err
    assert not (tmp_path / "state").exists()


def test_a_rewritten_history_is_refused(
    workshop: Workshop, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message says what to do."""
    workshop.commit()
    assert 0 == main([str(workshop.path)])
    workshop.git("commit", "-q", "--amend", "--allow-empty", "-m", "another")
    assert 2 == main([str(workshop.path)])
    assert "Import into a new database with --database FILE" in capsys.readouterr().err


def test_a_database_that_is_none_is_refused(
    workshop: Workshop, database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another file is not overwritten."""
    workshop.commit()
    database.write_bytes(b"something that somebody needs" * 100)
    assert 2 == main([str(workshop.path), "--database", str(database)])
    assert "not a database" in capsys.readouterr().err
    assert database.read_bytes().startswith(b"something that somebody needs")


def test_a_database_in_no_directory_is_refused(workshop: Workshop, tmp_path: Path) -> None:
    """A path that was mistyped does not become a directory."""
    workshop.commit()
    assert 2 == main([str(workshop.path), "--database", str(tmp_path / "nowhere" / "events")])
    assert not (tmp_path / "nowhere").exists()


def test_a_mismatch_is_shown_and_fails(
    workshop: Workshop, database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A store that is not what git says does not pass."""
    workshop.write("file", "one\n")
    workshop.commit()
    assert 0 == main([str(workshop.path), "--database", str(database)])
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE event SET data = replace(data, '100644', '100755')")
    assert 1 == main([str(workshop.path), "--database", str(database)])
    shown = capsys.readouterr().out
    assert "✗" in shown
    assert "file: git says 100644" in shown


def test_a_store_that_cannot_be_read_fails(
    workshop: Workshop, database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An event that is missing is found before anything is added."""
    workshop.write("file", "one\n")
    workshop.commit()
    workshop.write("file", "two\n")
    workshop.commit()
    assert 0 == main([str(workshop.path), "--database", str(database)])
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("DELETE FROM event WHERE aggregate_id = 'file' AND version = 1")
    assert 1 == main([str(workshop.path), "--database", str(database)])
    assert "The database is damaged: event 2 of 'file'" in capsys.readouterr().err


def test_two_repositories_have_two_databases(
    workshop: Workshop, tmp_path: Path, state_home: Path
) -> None:
    """The default database is the repository's own."""
    (tmp_path / "b").mkdir()
    namesake = Workshop.init(tmp_path / "b" / "repository")
    databases = {default_database(each.repository) for each in (workshop, namesake)}
    assert 2 == len(databases)
    assert {state_home / "castore"} == {database.parent for database in databases}
