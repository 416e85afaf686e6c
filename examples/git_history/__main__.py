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
from typing import cast

from rich.console import Console

from castore_core import CastoreError, EventAlreadyExistsError
from git_history import report
from git_history.answers import commit_at, committed_at, experts, file_at, hottest_files
from git_history.commits import LINE_ID
from git_history.files import File, ImpossibleEventError
from git_history.git import GitError, NotARepositoryError, Repository
from git_history.git_log import Commit
from git_history.history import History, open_adapter, open_history
from git_history.importing import HistoryRewrittenError, import_commits, rebuild_tree
from git_history.verification import verify
from git_history.working_tree import WorkingTree


class UnknownFileError(Exception):
    """The file that was asked about was never in the repository."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path

    def __str__(self) -> str:
        return f"the history has no file {self.path!r}"


def main(words: Sequence[str] | None = None) -> int:
    """Run, and return the exit code: 1 if git says otherwise, 2 if it cannot be done."""
    arguments = _parser().parse_args(words)
    console = Console(highlight=False)
    try:
        return asyncio.run(run(arguments, console))
    except HistoryRewrittenError as error:
        return _fail(2, f"{error}. Import into a new database with --database FILE.")
    except EventAlreadyExistsError:
        return _fail(2, "Another run is importing into this database.")
    except ImpossibleEventError as error:
        return _fail(1, f"The database is damaged: {error}.")
    except (NotARepositoryError, GitError, UnknownFileError, CastoreError, OSError) as error:
        return _fail(2, f"{error}.")
    except KeyboardInterrupt:
        is_served = arguments.serve is not None
        return 130 if is_served else _fail(130, "Interrupted: the next run goes on from here.")


async def run(arguments: argparse.Namespace, console: Console) -> int:
    """Import, answer and verify; return the exit code."""
    repository = Repository.find(arguments.path)
    head = repository.head()
    database: Path = arguments.database or default_database(repository)
    console.print(report.header(repository, head, database))
    with open_adapter(database) as adapter:
        history = await open_history(adapter)
        if arguments.serve is None:
            code = await import_and_verify(history, repository, head, arguments, console)
            console.print(report.where(database), soft_wrap=True)
            return code
        from git_history.serving import serving  # noqa: PLC0415 it is slow to load, and optional

        async with serving(history, arguments.serve) as (link, served):
            console.print(report.link(link), soft_wrap=True)
            code = await import_and_verify(history, repository, head, arguments, console)
            console.print(report.still_serving(link), soft_wrap=True)
            await served
            return code


async def import_and_verify(
    history: History,
    repository: Repository,
    head: str | None,
    arguments: argparse.Namespace,
    console: Console,
) -> int:
    """Import what is new, answer, and compare with git; return the exit code."""
    with console.status("reading the store"):
        tree = await rebuild_tree(history)
    await import_with_progress(history, repository, tree, head, console)
    if head is None:
        return 0
    await answer(history, tree, arguments, console)
    with console.status("asking git"):
        checks = await verify(history, repository, head)
    console.print(report.verification(checks))
    console.print(report.parts())
    return int(any(check.differences for check in checks))


async def import_with_progress(
    history: History, repository: Repository, tree: WorkingTree, head: str | None, console: Console
) -> None:
    """Import what is new, and say what came in."""
    started = time.perf_counter()
    with report.progress_bar(console) as progress:
        task = progress.add_task("", visible=False, changes=0)
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
            on_start=lambda total: progress.update(task, total=total, visible=True),
            on_commit=advance,
        )
    console.print(report.imported_text(imported, time.perf_counter() - started))


async def answer(
    history: History, tree: WorkingTree, arguments: argparse.Namespace, console: Console
) -> None:
    """Answer from the store: the hottest files, and all about one of them."""
    hottest = hottest_files(tree.files.values(), limit=10)
    if hottest:
        console.print(report.hottest_table(hottest))
    file = tree.find(arguments.file) if arguments.file else next(iter(hottest), None)
    if file is None:
        if arguments.file:
            raise UnknownFileError(arguments.file)
        return
    loaded = await history.files.get_existing_aggregate(file.aggregate_id)
    console.print(report.experts_table(file, experts(loaded.events)))
    born_at = committed_at(loaded.events[0])
    console.print(report.time_table(file, await _states(history, file, born_at, arguments.date)))


async def _states(
    history: History, file: File, born_at: datetime, date: datetime | None
) -> list[report.State]:
    """Return what the file was at the date; without one, at up to five moments of its life."""
    commits = await history.commits.get_events(LINE_ID)
    age = committed_at(commits[-1]) - born_at
    moments = [date] if date else sorted({born_at + age * step / 4 for step in range(5)})
    states: list[report.State] = []
    for moment in moments:
        commit = commit_at(commits, moment)
        if states and states[-1].commit == commit:
            continue
        state = await file_at(history, file.aggregate_id, commit.version) if commit else None
        states.append(report.State(moment, commit, state))
    return states


def default_database(repository: Repository) -> Path:
    """Return the repository's own database in the user's state directory, which is made."""
    home = Path(os.environ.get("XDG_STATE_HOME", ""))
    directory = (home if home.is_absolute() else Path.home() / ".local" / "state") / "castore"
    directory.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", repository.root.name)
    digest = sha256(os.fsencode(repository.git_dir)).hexdigest()[:12]
    return directory / f"git-history-{name}-{digest}.sqlite3"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="git_history", description=__doc__)
    parser.add_argument(
        "path",
        nargs="?",
        type=Path,
        default=Path(__file__).parent,
        help="a path in the repository (default: the clone that this program is part of)",
    )
    parser.add_argument(
        "--database", type=Path, metavar="FILE", help="the SQLite database to import into"
    )
    parser.add_argument(
        "--file", metavar="PATH", help="the file to ask about (default: the hottest one)"
    )
    parser.add_argument(
        "--date",
        type=_date,
        help="the moment to ask about (2024-12-31, or 2024-12-31T12:00+01:00)",
    )
    parser.add_argument(
        "--serve",
        nargs="?",
        type=int,
        const=8765,
        metavar="PORT",
        help="show the event stores in the browser, also while they are imported",
    )
    return parser


def _date(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _fail(exit_code: int, message: str) -> int:
    Console(stderr=True).print(report.shown(message), style="bold red", soft_wrap=True)
    return exit_code


if __name__ == "__main__":
    # Names of files and people may be beyond what the terminal's encoding can print.
    cast("TextIOWrapper", sys.stdout).reconfigure(errors="replace")
    sys.exit(main())
