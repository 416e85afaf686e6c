"""Which aggregate a file is, wherever it goes."""

from datetime import UTC, datetime

import pytest

from git_history.files import (
    CommitMetadata,
    FileAdded,
    FileChanged,
    FileDeleted,
    FileEvent,
    FileRenamed,
    ImpossibleEventError,
)
from git_history.working_tree import WorkingTree

COMMIT: CommitMetadata = {
    "commit": "c0ffee",
    "number": 1,
    "author": "Ada",
    "email": "ada@example.com",
    "committed_at": "2024-01-01T00:00:00+00:00",
}
NOW = datetime(2024, 1, 1, tzinfo=UTC)


class Desk:
    """A working tree, and the four things that happen in it."""

    def __init__(self) -> None:
        self.tree = WorkingTree()

    def add(self, path: str) -> str:
        """Let a file appear."""
        aggregate_id, version = self.tree.next_birth(path)
        return self._apply(
            FileAdded(
                aggregate_id=aggregate_id,
                version=version,
                timestamp=NOW,
                payload={"path": path, "mode": "100644", "blob": "b", "added": 2, "deleted": 0},
                metadata=COMMIT,
            )
        )

    def change(self, path: str, added: int | None, deleted: int | None) -> str:
        """Change a file by some lines."""
        file = self.tree.live(path)
        return self._apply(
            FileChanged(
                aggregate_id=file.aggregate_id,
                version=file.version + 1,
                timestamp=NOW,
                payload={"mode": "100644", "blob": "c", "added": added, "deleted": deleted},
                metadata=COMMIT,
            )
        )

    def move(self, old: str, new: str) -> str:
        """Rename a file."""
        file = self.tree.live(old)
        return self._apply(
            FileRenamed(
                aggregate_id=file.aggregate_id,
                version=file.version + 1,
                timestamp=NOW,
                payload={"path": new, "mode": "100644", "blob": "b", "added": 0, "deleted": 0},
                metadata=COMMIT,
            )
        )

    def delete(self, path: str) -> str:
        """Delete a file."""
        file = self.tree.live(path)
        return self._apply(
            FileDeleted(
                aggregate_id=file.aggregate_id,
                version=file.version + 1,
                timestamp=NOW,
                payload={"deleted": file.lines},
                metadata=COMMIT,
            )
        )

    def _apply(self, event: FileEvent) -> str:
        return self.tree.apply(event).aggregate_id


@pytest.fixture
def desk() -> Desk:
    """Give an empty tree."""
    return Desk()


def test_a_file_is_named_after_the_path_of_its_birth(desk: Desk) -> None:
    """It keeps the name when it moves."""
    assert "a" == desk.add("a") == desk.move("a", "b") == desk.move("b", "c")
    assert {"c"} == desk.tree.live_files().keys()
    assert "c" == desk.tree.live("c").path


def test_a_file_that_comes_back_goes_on(desk: Desk) -> None:
    """The aggregate of a path continues after a deletion."""
    desk.add("a")
    desk.delete("a")
    assert {} == desk.tree.live_files()
    assert "a" == desk.add("a")
    file = desk.tree.live("a")
    assert (3, 2, 4, 2) == (file.version, file.lines, file.added, file.deleted)


def test_a_name_is_given_once(desk: Desk) -> None:
    """A file that is born where one was born that moved away gets a number to its name."""
    desk.add("a")
    desk.move("a", "b")
    assert "a~2" == desk.add("a")
    desk.move("a", "c")
    assert "a~3" == desk.add("a")


def test_a_number_may_be_a_name_already(desk: Desk) -> None:
    """Paths may look like numbered names."""
    desk.add("a~2")
    desk.add("a")
    desk.move("a", "b")
    assert "a~3" == desk.add("a")
    desk.move("a~2", "c")
    assert "a~2~2" == desk.add("a~2")


def test_a_file_comes_back_where_it_was_last(desk: Desk) -> None:
    """A deleted file is looked for at the path that it was deleted from."""
    desk.add("a")
    desk.move("a", "b")
    desk.delete("b")
    assert "a~2" == desk.add("a")
    assert "a" == desk.add("b")


def test_the_file_that_was_deleted_last_comes_back(desk: Desk) -> None:
    """Two files may have been deleted from one path."""
    desk.add("a")
    desk.delete("a")
    desk.add("b")
    desk.move("b", "a")
    desk.delete("a")
    assert "b" == desk.add("a")


def test_a_deleted_file_waits_while_another_is_there(desk: Desk) -> None:
    """A file that moves in and out leaves the deleted one in its place."""
    desk.add("a")
    desk.delete("a")
    desk.add("b")
    desk.move("b", "a")
    desk.move("a", "b")
    assert "a" == desk.add("a")


def test_find_prefers_the_file_that_is_there(desk: Desk) -> None:
    """A deleted file is found while nothing is at its path."""
    desk.add("a")
    desk.delete("a")
    found = desk.tree.find("a")
    assert found is not None
    assert not found.is_live
    desk.add("b")
    desk.move("b", "a")
    assert desk.tree.live("a") == desk.tree.find("a")
    assert desk.tree.find("nowhere") is None


def test_lines_are_unknown_once_they_were_not_counted(desk: Desk) -> None:
    """A file that was binary may be text again, but nobody counted its lines then."""
    desk.add("a")
    desk.change("a", 3, 1)
    assert 4 == desk.tree.live("a").lines
    desk.change("a", None, None)
    desk.change("a", 1, 0)
    assert desk.tree.live("a").lines is None
    desk.delete("a")
    desk.add("a")
    assert 2 == desk.tree.live("a").lines


def test_impossible_events_are_refused(desk: Desk) -> None:
    """A tree is not built over a gap."""
    desk.add("a")
    desk.delete("a")
    deletion = FileDeleted(
        aggregate_id="a", version=3, timestamp=NOW, payload={"deleted": 0}, metadata=COMMIT
    )
    with pytest.raises(ImpossibleEventError, match="event 3 of 'a': the file is not there"):
        desk.tree.apply(deletion)
    desk.add("a")
    with pytest.raises(ImpossibleEventError, match="the version before it is missing"):
        desk.tree.apply(deletion)
