"""What git says of a repository, asked in other words than those of the import.

This is the other side of the verification. It shares no parser with `git_log`, detects no renames,
and takes trees from where git keeps them rather than from the differences between commits.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from git_history.git import DIFF_OPTIONS, FIRST_PARENT_OPTIONS, Repository
from git_history.git_log import parse_seconds, path_text


class Blob(NamedTuple):
    """What a tree has at a path."""

    mode: str
    blob: str


class LineCommit(NamedTuple):
    """A commit of the first-parent line: who made it, and when."""

    hash: str
    author: str
    email: str
    authored_at: datetime
    committed_at: datetime


@dataclass
class Ledger:
    """Every change that a commit made at a path: its author, and the lines added and deleted.

    A rename is a deletion here, and an addition. ``binary`` counts the changes that have no lines.
    """

    touches: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    added: Counter[str] = field(default_factory=Counter[str])
    deleted: Counter[str] = field(default_factory=Counter[str])
    binary: Counter[str] = field(default_factory=Counter[str])

    def enter(self, path: str, author: str, added: int | None, deleted: int | None) -> None:
        """Enter what one commit did at a path; None, of a binary file, is no line."""
        self.touches[path, author] += 1
        self.added[path] += added or 0
        self.deleted[path] += deleted or 0
        self.binary[path] += added is None or deleted is None

    def lines(self, *, without: set[str]) -> dict[str, tuple[int, int]]:
        """Return the lines added and deleted at each path, less the paths ``without``."""
        return {
            path: (self.added[path], self.deleted[path]) for path in self.added.keys() - without
        }


def line_of_commits(repository: Repository, head: str) -> list[LineCommit]:
    """Return the first-parent line, oldest first."""
    placeholders = ("%H", "%an", "%ae", "%at", "%ct")
    fields = repository.stream(
        "log",
        "-z",
        "--first-parent",
        "--no-patch",
        "--encoding=UTF-8",
        f"--format={'%x00'.join(placeholders)}",
        head,
        "--",
    )
    texts = [field.decode(errors="replace") for field in fields]
    columns = [texts[start :: len(placeholders)] for start in range(len(placeholders))]
    commits = [
        LineCommit(commit, author, email, parse_seconds(authored_at), parse_seconds(committed_at))
        for commit, author, email, authored_at, committed_at in zip(*columns, strict=True)
    ]
    return commits[::-1]


def commit_at(repository: Repository, head: str, moment: datetime) -> str | None:
    """Return the last commit of the line that was made at the moment or before it."""
    until = f"--min-age={int(moment.timestamp())}"
    return repository.ask("rev-list", "--first-parent", "-1", until, head, "--").decode().strip()


def tree_at(repository: Repository, commit: str) -> dict[str, Blob]:
    """Return all that the commit's tree has."""
    tree: dict[str, Blob] = {}
    for entry in repository.stream("ls-tree", "-r", "-z", "--full-tree", commit):
        words, path = entry.split(b"\t", 1)
        mode, _, blob = words.decode().split(" ")
        tree[path_text(path)] = Blob(mode, blob)
    return tree


def line_counts_at(repository: Repository, commit: str) -> dict[str, int | None]:
    """Return how many lines each file of the commit's tree has; None if it is binary."""
    fields = repository.stream(
        "diff-tree",
        *DIFF_OPTIONS,
        "--no-renames",
        "--numstat",
        repository.empty_tree,
        commit,
    )
    return {path: added for path, added, _ in map(_numstat, fields)}


def ledger_of(repository: Repository, commits: list[str]) -> Ledger:
    """Return the ledger of a line of commits, whose first one is the beginning of all."""
    ledger = Ledger()
    first, last = commits[0], commits[-1]
    author = _author(repository.ask("log", "-1", "--encoding=UTF-8", "--format=author %an", first))
    for path, lines in line_counts_at(repository, first).items():
        ledger.enter(path, author, lines, 0)
    for entry in _log(repository, last, f"^{first}"):
        if entry.startswith(b"author "):
            author = _author(entry)
        else:
            path, added, deleted = _numstat(entry)
            ledger.enter(path, author, added, deleted)
    return ledger


def _log(repository: Repository, *revisions: str) -> Iterator[bytes]:
    return repository.stream(
        "log",
        *FIRST_PARENT_OPTIONS,
        *DIFF_OPTIONS,
        "--no-renames",
        "--numstat",
        "--encoding=UTF-8",
        "--format=author %an",
        *revisions,
        "--",
    )


def _numstat(entry: bytes) -> tuple[str, int | None, int | None]:
    added, deleted, path = entry.removeprefix(b"\n").split(b"\t", 2)
    if added == b"-":
        return path_text(path), None, None
    return path_text(path), int(added), int(deleted)


def _author(header: bytes) -> str:
    return header.removeprefix(b"author ").removesuffix(b"\n").decode(errors="replace")
