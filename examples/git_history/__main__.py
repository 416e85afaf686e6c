"""Import the history of a git repository, ask it questions, and verify the answers against git."""

import argparse
import asyncio
import os
import re
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from io import TextIOWrapper
from pathlib import Path

from castore_core import CastoreError, EventAlreadyExistsError
from rich.console import Console

from git_history import report
from git_history.answers import commit_at, committed_at, experts, file_at, hottest_files
from git_history.commits import LINE_ID
from git_history.files import File, ImpossibleEventError
from git_history.git import GitError, NotARepositoryError, Repository
from git_history.history import History, open_adapter, open_history
from git_history.importing import HistoryRewrittenError, import_commits, rebuild_tree
from git_history.verification import verify
from git_history.working_tree import WorkingTree

_MOMENTS = 5


class UnknownFileError(Exception):
    """The file that was asked about was never in the repository."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path

    def __str__(self) -> str:
        return f"the history has no file {self.path!r}"


def main(words: Sequence[str] | None = None) -> int:
    """Run, and return the exit code: 1 where git and the store differ, 2 where it cannot be done."""
    arguments = _parser().parse_args(words)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # file names may be beyond what it can print
    console = Console(highlight=False)
    try:
        return asyncio.run(run(arguments, console))
    except HistoryRewrittenError as error:
        return _fail(console, 2, f"{error}. Import into a new database with --database FILE.")
    except EventAlreadyExistsError:
        return _fail(console, 2, "Another run is importing into this database.")
    except ImpossibleEventError as error:
        return _fail(console, 1, f"The database is damaged: {error}.")
    except (NotARepositoryError, GitError, UnknownFileError, CastoreError, OSError) as error:
        return _fail(console, 2, f"{error}.")
    except KeyboardInterrupt:
        return _fail(console, 130, "Interrupted: the next run goes on from here.")


async def run(arguments: argparse.Namespace, console: Console) -> int:
    """Import, answer and verify; return the exit code."""
    repository = Repository.find(arguments.path)
    head = repository.head()
    database: Path = arguments.database or default_database(repository)
    console.print(report.header(repository, head, database))
    with open_adapter(database) as adapter:
        history = await open_history(adapter)
        tree = await rebuild_tree(history)
        await import_with_progress(history, repository, tree, head, console)
        if head is None:
            return 0
        await answer(history, tree, arguments, console)
        with console.status("asking git"):
            checks = await verify(history, repository, head)
    console.print(report.verification(checks))
    console.print(report.where(database))
    return int(any(check.differences for check in checks))


async def import_with_progress(
    history: History, repository: Repository, tree: WorkingTree, head: str | None, console: Console
) -> None:
    """Import what is new, and say what came in."""
    started = time.perf_counter()
    with report.progress_bar(console) as progress:
        task = progress.add_task("", total=None, changes=0)
        changes = 0

        def advance(commit: Commit) -> None:
            nonlocal changes
            changes += len(commit.changes)
            progress.update(task, advance=1, changes=changes)

        imported = await import_commits(
            history,
            repository,
            tree,
            until=head,
            on_start=lambda total: progress.update(task, total=total),
            on_commit=advance,
        )
    console.print(report.imported_text(imported, time.perf_counter() - started))


async def answer(
    history: History, tree: WorkingTree, arguments: argparse.Namespace, console: Console
) -> None:
    """Answer from the store: the hottest files, and all about one of them."""
    hottest = hottest_files(tree.files.values(), limit=10)
    console.print(report.hottest_table(hottest))
    file = tree.find(arguments.file) if arguments.file else next(iter(hottest), None)
    if arguments.file and file is None:
        raise UnknownFileError(arguments.file)
    if file is not None:
        loaded = await history.files.get_existing_aggregate(file.aggregate_id)
        console.print(report.experts_table(file, experts(loaded.events)))
        ...
