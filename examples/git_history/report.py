"""What the terminal shows."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple

from rich import box, filesize
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from git_history.answers import Expert
from git_history.commits import CommitImported
from git_history.files import SUBMODULE, SYMBOLIC_LINK, File
from git_history.git import Repository
from git_history.importing import Imported
from git_history.verification import Check

_SHOWN_DIFFERENCES: Final = 10
_BAR: Final = 8
_KINDS: Final = {SYMBOLIC_LINK: "symbolic link", SUBMODULE: "submodule"}


class State(NamedTuple):
    """A moment, the last commit by then, and what a file was after it."""

    moment: datetime
    commit: CommitImported | None
    file: File | None


def header(repository: Repository, head: str | None, database: Path) -> Panel:
    """Say what is imported, and where to."""
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim")
    facts.add_row("repository", shown(str(repository.root)))
    facts.add_row("HEAD", head or "no commit yet")
    facts.add_row("database", shown(str(database)))
    return Panel(facts, title="git history in castore", title_align="left", border_style="cyan")


def progress_bar(console: Console) -> Progress:
    """Return the bar of the import; its tasks have a field ``changes``."""
    return Progress(
        TextColumn("[cyan]importing"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn("commits, {task.fields[changes]:,} changes"),
        TimeElapsedColumn(),
        console=console,
    )


def parts() -> Text:
    """Say what an event, an aggregate and the reducer were, and where their code is."""
    return Text.assemble(
        ("How it was done", "bold"),
        (", in examples/git_history/files.py", "dim"),
        "\n  event      a change of a file in a commit, such as FileChanged",
        "\n  aggregate  a file as it is after its last change: File",
        "\n  reducer    reduce_file, which computes a file from its events",
    )


def imported_text(imported: Imported, seconds: float) -> Text:
    """Say what came in."""
    if not imported.commits:
        return Text("Nothing new: the store has every commit that there is.", style="green")
    events = imported.events.total()
    rate = events / seconds if seconds else events
    text = Text.assemble(
        ("Imported ", "green"),
        (f"{_count(imported.commits, 'commit')}, {_count(events, 'file event')}", "bold green"),
        (f" in {seconds:.1f} s ({rate:,.0f} events a second)", "green"),
    )
    for event_type, number in imported.events.most_common():
        text.append(f"\n  {number:>9,} {event_type}", "dim")
    return text


def hottest_table(files: Sequence[File]) -> RenderableType:
    """Show which files change most."""
    table = _table("The hottest files", "file", "changes>", "", "lines>", "added>", "deleted>")
    most = max((file.version for file in files), default=1)
    for file in files:
        table.add_row(
            shown(file.path),
            f"{file.version:,}",
            _bar(file.version, most, "red"),
            _lines(file),
            Text(f"+{file.added:,}", "green"),
            Text(f"-{file.deleted:,}", "red"),
        )
    return table


def experts_table(file: File, experts: Sequence[Expert]) -> RenderableType:
    """Show who knows a file."""
    table = _table(
        Text.assemble("Who knows ", shown(file.path)), "author", "changes>", "", "lines>", "last>"
    )
    for expert in experts[:5]:
        table.add_row(
            shown(expert.author),
            f"{expert.changes:,}",
            _bar(expert.changes, experts[0].changes, "blue"),
            f"{expert.lines:,}",
            _day(expert.last_at),
        )
    return table


def time_table(file: File, states: Sequence[State]) -> RenderableType:
    """Show what a file was at some moments."""
    title = Text.assemble(shown(file.path), " through time")
    table = _table(title, "at", "version>", "path", "kind", "lines>", "the last commit by then")
    format_moment = _minute if len({_day(state.moment) for state in states}) < len(states) else _day
    for moment, commit, state in states:
        subject = shown(commit.payload["subject"]) if commit else Text()
        subject.truncate(50, overflow="ellipsis")
        if state is None or not state.is_live:
            table.add_row(format_moment(moment), "", Text("not there", "dim"), "", "", subject)
            continue
        kind = _KINDS.get(state.mode, "file")
        table.add_row(
            format_moment(moment),
            f"{state.version:,}",
            shown(state.path),
            kind,
            _lines(state),
            subject,
        )
    return table


def where(database: Path) -> Text:
    """Say where the events are, and how to look at them."""
    size = filesize.decimal(database.stat().st_size)
    return Text.assemble(
        ("The events are in ", "dim"),
        shown(str(database)),
        f" ({size})\n",
        ("See them in the browser: ", "dim"),
        ("scripts/demo --serve", "bold"),
    )


def link(address: str) -> Text:
    """Say where the event stores are shown while they are imported."""
    return Text.assemble(("Watch the import in the browser: ", "dim"), (address, "bold"))


def still_serving(address: str) -> Text:
    """Say where the event stores are shown, and how that ends."""
    return Text.assemble(
        ("The history is at ", "dim"), (address, "bold"), (" until Ctrl-C.", "dim")
    )


def verification(checks: Sequence[Check]) -> RenderableType:
    """Show what was compared with git, and all that differs."""
    rows: list[RenderableType] = [Text("Verified against git", "bold")]
    for check in checks:
        rows.append(_check(check))
        hidden = len(check.differences) - _SHOWN_DIFFERENCES
        rows += (
            Text.assemble("      ", shown(each)) for each in check.differences[:_SHOWN_DIFFERENCES]
        )
        if hidden > 0:
            rows.append(Text(f"      and {hidden:,} more", "dim"))
    return Group(*rows)


def shown(text: str) -> Text:
    """Return text that leaves the terminal alone, whatever is in it."""
    characters = (
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )
    return Text("".join(characters))


def _check(check: Check) -> Text:
    good = not check.differences
    text = Text.assemble(
        ("  ✓ ", "bold green") if good else ("  ✗ ", "bold red"),
        (f"{check.compared:>9,} ", "bold"),
        shown(check.title),
    )
    if check.note:
        text.append(f" ({check.note})", "dim")
    if not good:
        text.append(f": {len(check.differences):,} differ", "bold red")
    return text


def _table(title: str | Text, *columns: str) -> Table:
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    for column in columns:
        right = column.endswith(">")
        table.add_column(
            column.removesuffix(">"),
            justify="right" if right else "left",
            overflow="fold",
            no_wrap=not column,  # a bar
        )
    return table


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _bar(value: int, most: int, style: str) -> Text:
    return Text("█" * max(1, _BAR * value // most), style)


def _lines(file: File) -> str:
    return "binary" if file.lines is None else f"{file.lines:,}"


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}"


def _minute(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"
