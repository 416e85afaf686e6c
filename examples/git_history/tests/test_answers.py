"""What is answered from the store, on a history that a reader can follow."""

from datetime import UTC, datetime

import pytest

from git_history.answers import Expert, commit_at, experts, file_at, hottest_files
from git_history.commits import LINE_ID
from git_history.history import History
from git_history.importing import import_commits
from git_history.tests.workshop import MONDAY, Workshop
from git_history.working_tree import WorkingTree


def at(hours: float) -> datetime:
    """Return a moment: the first commit is made after one hour, the second after two."""
    return datetime.fromtimestamp(MONDAY + hours * 3600, UTC)


@pytest.fixture
async def tree(workshop: Workshop, history: History) -> WorkingTree:
    """Import four commits, and give the tree that they lead to."""
    workshop.write("old", "one\ntwo\nthree\n")
    workshop.write("other", "one\n")
    workshop.commit(author="Ada")
    workshop.write("old", "one\ntwo\nthree\nfour\n")
    workshop.commit(author="Grace")
    workshop.git("mv", "old", "new")
    workshop.commit(author="Grace")
    (workshop.path / "new").unlink()
    workshop.commit(author="Ada")
    tree = WorkingTree()
    await import_commits(history, workshop.repository, tree, until=workshop.head())
    return tree


def test_the_hottest_files_are_there_and_changed_most(tree: WorkingTree) -> None:
    """Files that are gone do not count."""
    files = tree.files.values()
    assert ["other"] == [file.path for file in hottest_files(files, limit=5)]


@pytest.mark.usefixtures("tree")
async def test_who_changed_a_file_most_knows_it_best(history: History) -> None:
    """Every event counts, also a rename; the lines break a tie."""
    events = await history.files.get_events("old")
    assert [
        Expert("Ada", changes=2, lines=3, last_at=at(4)),
        Expert("Grace", changes=2, lines=1, last_at=at(3)),
    ] == experts(events)


@pytest.mark.usefixtures("tree")
async def test_the_commit_at_a_date_is_the_last_one_by_then(history: History) -> None:
    """A commit counts from the moment at which it was made."""
    commits = await history.commits.get_events(LINE_ID)
    found = [commit_at(commits, at(hours)) for hours in (0.9, 1, 1.9, 4, 100)]
    assert [None, 1, 1, 4, 4] == [commit and commit.version for commit in found]


@pytest.mark.usefixtures("tree")
async def test_a_file_can_be_seen_as_it_was(history: History) -> None:
    """Each commit has the file at one version."""
    states = [await file_at(history, "old", number) for number in range(5)]
    assert states[0] is None
    assert [
        (1, "old", 3, True),
        (2, "old", 4, True),
        (3, "new", 4, True),
        (4, "new", 0, False),
    ] == [(file.version, file.path, file.lines, file.is_live) for file in states if file]


async def test_dates_need_not_rise_along_the_line(workshop: Workshop, history: History) -> None:
    """The last commit of the line that is old enough is the answer, as git has it."""
    for number, hours in enumerate((1, 5, 3)):
        workshop.commit(str(number), GIT_COMMITTER_DATE=f"{MONDAY + hours * 3600} +0000")
    await import_commits(history, workshop.repository, WorkingTree(), until=workshop.head())
    commits = await history.commits.get_events(LINE_ID)
    found = [commit_at(commits, at(hours)) for hours in (1, 4, 6)]
    assert ["0", "2", "2"] == [commit and commit.payload["subject"] for commit in found]
