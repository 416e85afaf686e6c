"""What is read of each commit."""

import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from git_history.git import GitError
from git_history.git_log import (
    EPOCH,
    LATEST,
    Change,
    Commit,
    count_commits,
    parse_log,
    parse_seconds,
    path_text,
    read_commits,
)
from git_history.tests.workshop import MONDAY, Workshop


def read(workshop: Workshop, after: str | None = None) -> list[Commit]:
    """Read the first-parent line of HEAD."""
    return list(read_commits(workshop.repository, after=after, until=workshop.head()))


def last_changes(workshop: Workshop) -> dict[str, tuple[str, str, int | None, int | None]]:
    """Return what the last commit did: status, old path and lines, by path."""
    return {
        change.path: (change.status, change.old_path, change.added, change.deleted)
        for change in read(workshop)[-1].changes
    }


def test_a_commit_says_who_and_when(workshop: Workshop) -> None:
    """Author and committer have dates of their own; zones do not matter."""
    workshop.write("file")
    commit = workshop.commit("a subject", author="Ada", GIT_AUTHOR_DATE="1000000000 -0330")
    (read_commit,) = read(workshop)
    assert (
        Commit(
            hash=commit,
            parent=None,
            author="Ada",
            email="ada@example.com",
            authored_at=datetime.fromtimestamp(1_000_000_000, UTC),
            committed_at=datetime.fromtimestamp(MONDAY + 3600, UTC),
            subject="a subject",
            changes=(
                Change(
                    status="added",
                    path="file",
                    old_path="file",
                    mode="100644",
                    blob=workshop.git("rev-parse", "HEAD:file"),
                    added=3,
                    deleted=0,
                ),
            ),
        )
        == read_commit
    )


def test_changes_and_deletions_count_lines(workshop: Workshop) -> None:
    """A changed line is one deleted and one added."""
    workshop.write("changed", "one\ntwo\n")
    workshop.write("deleted", "one\ntwo\n")
    workshop.commit()
    workshop.write("changed", "one\n2\nthree\n")
    (workshop.path / "deleted").unlink()
    workshop.commit()
    assert {
        "changed": ("changed", "changed", 2, 1),
        "deleted": ("deleted", "deleted", 0, 2),
    } == last_changes(workshop)


def test_a_rename_names_both_paths(workshop: Workshop) -> None:
    """A file that moved, and kept half of its content, is renamed."""
    workshop.write("old", "one\ntwo\nthree\n")
    workshop.commit()
    workshop.git("mv", "old", "new")
    workshop.write("new", "one\ntwo\nthree\nfour\n")
    workshop.commit()
    assert {"new": ("renamed", "old", 1, 0)} == last_changes(workshop)


def test_an_empty_file_is_not_renamed(workshop: Workshop) -> None:
    """Empty files are all alike: nothing says which one went where."""
    workshop.write("old", "")
    workshop.commit()
    workshop.git("mv", "old", "new")
    workshop.commit()
    assert {"old", "new"} == last_changes(workshop).keys()


def test_files_that_change_places_are_changed(workshop: Workshop) -> None:
    """Each path is there before and after: nothing was renamed."""
    workshop.write("a", "one\ntwo\nthree\n")
    workshop.write("b", "four\nfive\n")
    workshop.commit()
    workshop.write("b", "one\ntwo\nthree\n")
    workshop.write("a", "four\nfive\n")
    workshop.commit()
    assert {
        "a": ("changed", "a", 2, 3),
        "b": ("changed", "b", 3, 2),
    } == last_changes(workshop)


def test_a_rename_onto_a_file_that_was_there_is_a_change(workshop: Workshop) -> None:
    """One path is gone, the other one has a new content."""
    workshop.write("a", "one\ntwo\nthree\n")
    workshop.write("b", "four\n")
    workshop.commit()
    workshop.git("mv", "-f", "a", "b")
    workshop.commit()
    assert {
        "a": ("deleted", "a", 0, 3),
        "b": ("changed", "b", 3, 1),
    } == last_changes(workshop)


def test_copies_are_additions(workshop: Workshop) -> None:
    """A copy leaves the file where it is; it is a file of its own."""
    workshop.git("config", "diff.renames", "copies")
    workshop.write("a")
    workshop.commit()
    workshop.write("a", "one\ntwo\nthree\nfour\n")
    workshop.write("copy")
    workshop.commit()
    assert ("added", "copy", 3, 0) == last_changes(workshop)["copy"]


def test_binary_files_have_no_lines(workshop: Workshop) -> None:
    """Neither an addition, nor a change, nor a deletion of a binary file counts lines."""
    for content in (b"\0one", b"\0two"):
        workshop.write("binary", content)
        workshop.commit()
        assert [None, None] == [*last_changes(workshop)["binary"][2:]]
    (workshop.path / "binary").unlink()
    workshop.commit()
    assert {"binary": ("deleted", "binary", None, None)} == last_changes(workshop)


def test_modes_and_kinds_change(workshop: Workshop) -> None:
    """A file may become executable, a symbolic link, and a submodule."""
    modes = list[str]()
    workshop.write("file")
    workshop.commit()
    workshop.git("update-index", "--chmod=+x", "file")
    workshop.git("commit", "-q", "-m", "executable")
    for mode, blob in [
        ("120000", workshop.git("hash-object", "-w", "--stdin", stdin=b"target")),
        ("160000", workshop.head()),
    ]:
        workshop.git("update-index", "--cacheinfo", f"{mode},{blob},file")
        workshop.git("commit", "-q", "-m", "another kind")
    for commit in read(workshop):
        modes += [change.mode for change in commit.changes]
    assert ["100644", "100755", "120000", "160000"] == modes
    assert {"file": ("changed", "file", 1, 1)} == last_changes(workshop)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (b"a b", "a b"),
        (b"a\nb", "a\nb"),
        (b"a\tb", "a\tb"),
        (b'"a"', '"a"'),
        (b"old => new", "old => new"),
        (b"{a => b}", "{a => b}"),
        (b":100644", ":100644"),
        (b"commit 123", "commit 123"),
        ("ü/\N{SNOWMAN}".encode(), "ü/\N{SNOWMAN}"),
        (b"back\\slash", r"back\\slash"),
        (b"latin-\xfc", r"latin-\xfc"),
    ],
)
def test_any_name_is_read_also_after_a_rename(workshop: Workshop, name: bytes, text: str) -> None:
    """Names are bytes, of which only NUL and the slash mean something."""
    workshop.write(name)
    workshop.commit()
    assert {text: ("added", text, 3, 0)} == last_changes(workshop)
    workshop.git("mv", b"./" + name, b"./" + name + b"~")
    workshop.commit()
    assert {text + "~": ("renamed", text, 0, 0)} == last_changes(workshop)


def test_a_merge_is_compared_with_its_first_parent(workshop: Workshop) -> None:
    """The commits of the branch are left out; the merge brings their changes."""
    workshop.write("main", "one\n")
    base = workshop.commit("base")
    workshop.git("switch", "-q", "-c", "branch")
    workshop.write("branch")
    workshop.commit("on the branch")
    workshop.git("switch", "-q", "main")
    workshop.write("main", "one\ntwo\n")
    workshop.commit("on main")
    workshop.git("merge", "-q", "--no-ff", "-m", "merge", "branch")
    commits = read(workshop)
    assert ["base", "on main", "merge"] == [commit.subject for commit in commits]
    assert [None, base, commits[1].hash] == [commit.parent for commit in commits]
    assert {"branch": ("added", "branch", 3, 0)} == last_changes(workshop)


def test_a_commit_may_change_nothing(workshop: Workshop) -> None:
    """Empty commits are part of the line."""
    workshop.commit("first")
    workshop.write("file")
    workshop.commit("second")
    workshop.commit("third")
    assert [0, 1, 0] == [len(commit.changes) for commit in read(workshop)]


def test_only_the_commits_after_one_are_read(workshop: Workshop) -> None:
    """The import goes on where it ended."""
    first, second, third = (workshop.commit(str(number)) for number in range(3))
    assert [second, third] == [commit.hash for commit in read(workshop, after=first)]
    assert 2 == count_commits(workshop.repository, after=first, until=third)
    assert [] == read(workshop, after=third)


def test_a_shallow_clone_begins_where_it_was_cut(workshop: Workshop, tmp_path: Path) -> None:
    """The first commit of a shallow clone adds all that there is."""
    workshop.write("a")
    workshop.commit()
    workshop.write("b")
    workshop.commit()
    shallow = Workshop(tmp_path / "shallow")
    workshop.git("clone", "-q", "--depth=1", workshop.path.as_uri(), str(shallow.path))
    (commit,) = read(shallow)
    assert commit.parent is None
    assert ["a", "b"] == [change.path for change in commit.changes]


def test_object_ids_may_be_longer(tmp_path: Path) -> None:
    """Repositories may use SHA-256."""
    workshop = Workshop.init(tmp_path / "sha256", "--object-format=sha256")
    workshop.write("file")
    head = workshop.commit()
    (commit,) = read(workshop)
    assert 64 == len(head)
    assert (head, workshop.git("rev-parse", "HEAD:file")) == (commit.hash, commit.changes[0].blob)


def test_names_that_are_not_utf8_are_readable(workshop: Workshop) -> None:
    """A name in another encoding is converted where the commit names it, and patched if not."""
    workshop.raw_commit("J\udcfcrgen <j@x> 1 +0000", "C <c@x> 1 +0000")
    assert ["J\N{REPLACEMENT CHARACTER}rgen"] == [commit.author for commit in read(workshop)]


@pytest.mark.parametrize(
    ("date", "moment"),
    [
        ("0 +0000", EPOCH),
        ("1 -0330", datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)),
        ("1 -9999", datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)),
        ("-5 +0000", EPOCH),
        ("yesterday", EPOCH),
        ("", EPOCH),
        ("253402300799 +0000", LATEST),
        ("253402300800 +0000", LATEST),
        ("99999999999999999999 +0000", EPOCH),
    ],
)
def test_odd_dates_are_dates(workshop: Workshop, date: str, moment: datetime) -> None:
    """A date that no datetime can be, or that git cannot read, does not stop the import."""
    workshop.raw_commit(f"A <a@x> {date}", f"C <c@x> {date}")
    (commit,) = read(workshop)
    assert (moment, moment) == (commit.authored_at, commit.committed_at)


def test_a_missing_author_is_no_author(workshop: Workshop) -> None:
    """Names may be empty."""
    workshop.raw_commit("<> 1 +0000", "<> 1 +0000")
    (commit,) = read(workshop)
    assert ("", "") == (commit.author, commit.email)


SETTINGS = {
    "color.ui": "always",
    "core.abbrev": "4",
    "core.bigFileThreshold": "1",
    "core.quotePath": "true",
    "diff.algorithm": "patience",
    "diff.external": "false",
    "diff.ignoreSubmodules": "all",
    "diff.mnemonicPrefix": "true",
    "diff.noprefix": "true",
    "diff.orderFile": "order",
    "diff.relative": "true",
    "diff.renameLimit": "1",
    "diff.renames": "false",
    "diff.submodule": "log",
    "diff.swallow.binary": "true",
    "diff.swallow.textconv": "false",
    "format.pretty": "fuller",
    "i18n.logOutputEncoding": "latin1",
    "log.date": "relative",
    "log.decorate": "full",
    "log.diffMerges": "off",
    "log.follow": "true",
    "log.mailmap": "true",
    "log.showRoot": "false",
    "log.showSignature": "true",
}


def test_configuration_changes_nothing(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The history is the same for everybody, whatever they set."""
    workshop.write("b/old", "one\ntwo\nthree\n")
    workshop.write("a", "one\n")
    workshop.commit("ü", author="Jürgen")
    workshop.git("mv", "b/old", "b/ü")
    workshop.git("update-index", "--add", "--cacheinfo", f"160000,{workshop.head()},module")
    workshop.git("commit", "-q", "-m", "renamed")
    workshop.git("switch", "-q", "-c", "branch", "HEAD~1")
    workshop.write("a", "one\ntwo\n")
    workshop.commit("on the branch")
    workshop.git("switch", "-q", "main")
    workshop.git("merge", "-q", "--no-ff", "-m", "merge", "branch")
    before = read(workshop)
    for name, value in SETTINGS.items():
        workshop.git("config", name, value)
    (workshop.path / ".git" / "order").write_text("b/*\n")
    (workshop.path / ".gitattributes").write_text("* diff=swallow\n")
    (workshop.path / ".mailmap").write_text("Nobody <nobody@x> <ada@example.com>\n")
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", "false")
    monkeypatch.setenv("GIT_PAGER", "false")
    monkeypatch.setenv("LC_ALL", "tlh")
    assert before == read(workshop)
    assert ["renamed", "added"] == [change.status for change in before[1].changes]


def test_attributes_that_are_committed_change_nothing(workshop: Workshop) -> None:
    """Line counts depend on the files alone, not on what .gitattributes says meanwhile."""
    workshop.write("file.txt", "one\n")
    workshop.write("sub/file.txt", "one\n")
    workshop.commit()
    before = read(workshop)
    workshop.write(".gitattributes", "*.txt -diff\n")
    workshop.write("sub/.gitattributes", "*.txt binary\n")
    workshop.commit()
    assert before == read(workshop)[:1]


def test_a_log_that_breaks_off_ends_with_the_commits_that_are_whole() -> None:
    """The commit that git was printing when it failed is not passed on."""

    def broken() -> Iterator[bytes]:
        for commit in (b"1", b"2"):
            yield from (b"commit " + commit, b"", b"A", b"a@x", b"1", b"1", b"subject")
        raise GitError("log", "died of signal 9")

    commits = parse_log(broken())
    assert "1" == next(commits).hash
    with pytest.raises(GitError, match="died"):
        next(commits)


@given(st.binary())
def test_a_path_can_be_turned_back(path: bytes) -> None:
    """No two paths are written the same."""
    text = path_text(path)
    back = re.sub(
        r"\\(\\|x[0-9a-f]{2})",
        lambda found: "\\" if found[1] == "\\" else os.fsdecode(bytes.fromhex(found[1][1:])),
        text,
    )
    assert path == back.encode(errors="surrogateescape")


@given(st.binary())
def test_a_path_is_text_that_can_be_stored(path: bytes) -> None:
    """No lone surrogate is in it."""
    path_text(path).encode()


@given(st.integers())
def test_any_number_of_seconds_is_a_moment(seconds: int) -> None:
    """The moment is never out of bounds."""
    assert EPOCH <= parse_seconds(str(seconds)) <= LATEST
