r"""Read what each commit did to the files, from one ``git log``. Nothing here knows castore.

The history of a repository is a graph, and a series of events is a line. The line that is read
here is the one of first parents: from the first commit, by the commits that were made on the
branch and the merges into it, to HEAD. Every commit is compared with its first parent, so a merge
brings in what its branch did, at once. That keeps one thing exact: the changes of the first *n*
commits of the line, one after the other, make the tree of commit *n*, for every *n*. What has no
place on the line are the single commits of a merged branch; the merge's author stands for them.

Renames are git's guess (``-M``, half of the content or more), made among the files that one commit
deletes and those that it adds. It follows that two files that change places in one commit are two
changes, and so is a file that moves to where another one was.

Paths are bytes to git. Here they are text, also where they are not UTF-8: a byte that does not
decode is written ``\xNN``, and a backslash ``\\``, so that no two paths become one text.
"""

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, TypeAlias

from git_history.git import DIFF_OPTIONS, FIRST_PARENT_OPTIONS, Repository

_RENAME_OPTIONS: Final = ("--find-renames=50%", "--no-rename-empty", "-l1000")
_HEADER: Final = ("commit %H", "%P", "%an", "%ae", "%at", "%ct", "%s")

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
_LATEST_SECONDS: Final = int(LATEST.timestamp())

Status: TypeAlias = Literal["added", "changed", "renamed", "deleted"]

_STATUSES: Final[dict[str, Status]] = {
    "A": "added",
    "M": "changed",
    "T": "changed",  # a file became a symbolic link, say
    "R": "renamed",
    "D": "deleted",
}


@dataclass(frozen=True)
class Change:
    """What a commit did to one file. ``mode`` and ``blob`` are those after it.

    ``added`` and ``deleted`` count lines, and are None where git sees no lines: in binary files.
    ``old_path`` is the path before, the same one unless the file was renamed.
    """

    status: Status
    path: str
    old_path: str
    mode: str
    blob: str
    added: int | None
    deleted: int | None


@dataclass(frozen=True)
class Commit:
    """One commit of the first-parent line, and what it changed since its first parent."""

    hash: str
    parent: str | None
    author: str
    email: str
    authored_at: datetime
    committed_at: datetime
    subject: str
    changes: tuple[Change, ...]


def read_commits(repository: Repository, *, after: str | None, until: str) -> Generator[Commit]:
    """Yield the commits of the first-parent line of ``until``, oldest first.

    With ``after``, only those that ``after`` does not reach: the ones that came since, where it
    is a commit of the line.
    """
    fields = repository.stream(
        "log",
        "--reverse",
        *FIRST_PARENT_OPTIONS,
        *DIFF_OPTIONS,
        *_RENAME_OPTIONS,
        "--raw",
        "--numstat",
        "--encoding=UTF-8",
        f"--format={'%x00'.join(_HEADER)}",
        *revisions(after, until),
        "--",
    )
    return parse_log(fields)


def count_commits(repository: Repository, *, after: str | None, until: str) -> int:
    """Return how many commits `read_commits` yields."""
    return int(
        repository.ask("rev-list", "--count", "--first-parent", *revisions(after, until), "--")
    )


def revisions(after: str | None, until: str) -> tuple[str, ...]:
    """Return the range in git's words."""
    return (until,) if after is None else (until, f"^{after}")


def parse_log(fields: Iterable[bytes]) -> Generator[Commit]:
    """Parse ``git log -z --raw --numstat``, with our header before each commit."""
    fields = iter(fields)
    current: _CommitParser | None = None
    for field in fields:
        entry = field.removeprefix(b"\n")  # it stands between the header and the changes
        if entry.startswith(b"commit "):
            if current is not None:
                yield current.commit()
            current = _CommitParser(entry, fields)
        elif current is not None:
            current.read(entry, fields)
    if current is not None:  # a git that failed has raised by now: no commit is cut short
        yield current.commit()


class _CommitParser:
    """Reads the fields of one commit: its header, its raw entries, then its line counts."""

    def __init__(self, first: bytes, fields: Iterator[bytes]) -> None:
        self._header = [first, *(next(fields) for _ in _HEADER[1:])]
        self._raw: list[tuple[list[str], bytes, bytes]] = []
        self._counts: dict[bytes, tuple[int | None, int | None]] = {}

    def read(self, entry: bytes, fields: Iterator[bytes]) -> None:
        if entry.startswith(b":"):
            self._read_raw(entry, fields)
        else:
            self._read_counts(entry, fields)

    def _read_raw(self, entry: bytes, fields: Iterator[bytes]) -> None:
        words = entry[1:].decode().split(" ")
        old_path = next(fields)
        path = next(fields) if words[-1].startswith("R") else old_path
        self._raw.append((words, old_path, path))

    def _read_counts(self, entry: bytes, fields: Iterator[bytes]) -> None:
        added, deleted, path = entry.split(b"\t", 2)
        if not path:  # a rename: the old and the new path are fields of their own
            _, path = next(fields), next(fields)
        self._counts[path] = (_count(added), _count(deleted))

    def commit(self) -> Commit:
        commit, parents, author, email, authored_at, committed_at, subject = (
            field.decode(errors="replace") for field in self._header
        )
        return Commit(
            hash=commit.removeprefix("commit "),
            parent=parents.split(" ")[0] or None,
            author=author,
            email=email,
            authored_at=parse_seconds(authored_at),
            committed_at=parse_seconds(committed_at),
            subject=subject,
            changes=tuple(self._change(*entry) for entry in self._raw),
        )

    def _change(self, words: list[str], old_path: bytes, path: bytes) -> Change:
        _, mode, _, blob, status = words
        added, deleted = self._counts.get(path, (0, 0))
        return Change(
            status=_STATUSES[status[0]],
            path=path_text(path),
            old_path=path_text(old_path),
            mode=mode,
            blob=blob,
            added=added,
            deleted=deleted,
        )


def path_text(path: bytes) -> str:
    r"""Return the path as text: a byte outside UTF-8 is ``\xNN``, and a backslash ``\\``."""
    return path.replace(b"\\", rb"\\").decode(errors="backslashreplace")


def parse_seconds(seconds: str) -> datetime:
    """Return the moment, no later than `LATEST`; `EPOCH` for a date that git cannot read."""
    number = int(seconds or 0)
    if number < 0 or number >= 1 << 63:  # how git reads what is before 1970, or beyond all digits
        return EPOCH
    return EPOCH + timedelta(seconds=min(number, _LATEST_SECONDS))


def _count(digits: bytes) -> int | None:
    return None if digits == b"-" else int(digits)
