"""The terminal: where a command shows what it has found, and asks before it writes."""

import os
import signal
import sys
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from io import UnsupportedOperation
from typing import TextIO

from cyclopts import Parameter
from rich.console import Console
from rich.text import Text

from castore_cli._progress import Progress
from castore_cli._tables import find_columns, format_columns, make_table
from castore_cli._texts import Row, format_cell, format_json, format_line, make_visible, name_column
from castore_cli.errors import CommandError, UsageError


@Parameter(parse=False)
class Terminal:
    """The streams of a command: results go to stdout, and all else to stderr.

    A command that has a keyword-only parameter of this type is given it::

        async def count(address: Address, *, terminal: Terminal) -> None: ...

    With ``--json``, stdout has one JSON object for each row, in a line of its own, and nothing
    else. Texts are data: no markup in them is interpreted, and control characters are shown
    escaped.

    Args:
        output: results go there.
        errors: messages, questions and progress go there.
        is_json: whether results are JSON.
        is_quiet: whether there is no progress, and no message but errors.
        is_confirmed: whether `confirm` need not ask.
    """

    def __init__(
        self,
        *,
        output: TextIO | None = None,
        errors: TextIO | None = None,
        is_json: bool = False,
        is_quiet: bool = False,
        is_confirmed: bool = False,
    ) -> None:
        self._output = sys.stdout if output is None else output
        self._errors = sys.stderr if errors is None else errors
        self.is_json = is_json
        self.is_quiet = is_quiet
        self.is_confirmed = is_confirmed
        self.is_closed: bool = False  # whether the reader of the output has gone

    # Results

    def show_rows(self, rows: Iterable[Row], *, columns: Sequence[str] | None = None) -> None:
        """Show a table or, with ``--json``, an object for each row.

        ``columns`` are the keys that the table has; by default, all. A key that a row lacks is
        absent from its object.
        """
        if self.is_json:
            self._write(*map(self._format_json, rows))
            return
        rows = list(rows)
        columns = columns or find_columns(rows)
        console = self.make_console(self._output)
        if not columns:
            return
        if console.is_terminal:
            with self._noticing_a_closed_pipe():
                console.print(make_table(rows, columns))
        else:
            self._write(*format_columns(rows, columns))

    def show(self, values: Row) -> None:
        """Show one object: a line for each value or, with ``--json``, the object in one line."""
        if self.is_json:
            self._write(self._format_json(values))
            return
        names = {key: name_column(key) for key in values}
        width = max(map(len, names.values()), default=0)
        self._write(
            *(f"{names[key]:{width}}  {format_cell(values[key])}".rstrip() for key in values)
        )

    def show_text(self, text: str, values: Row) -> None:
        """Show a text, of one line or several, or, with ``--json``, an object in its place."""
        if self.is_json:
            self._write(self._format_json(values))
        else:
            self._write(*(make_visible(each.expandtabs(2).rstrip()) for each in text.split("\n")))

    # Messages

    def say(self, text: str) -> None:
        """Tell the user something in a line on stderr, unless ``--quiet`` was given."""
        if not self.is_quiet:
            self._errors.write(f"{format_line(text)}\n")
            self._errors.flush()

    def show_error(self, text: str) -> None:
        """Show an error as a line on stderr."""
        message = Text.assemble(("error: ", "bold red"), format_line(text))
        self.make_console(self._errors).print(message, soft_wrap=True)

    def confirm(self, action: str) -> None:
        """Ask whether to do what writes, such as ``"create 3 tables"``; ``--yes`` says so before.

        Raises:
            UsageError: there is no terminal to ask on, and no ``--yes``.
            CommandError: the user does not want it.
        """
        if self.is_confirmed:
            return
        if not (sys.stdin.isatty() and self._errors.isatty()):
            raise UsageError(
                f"this would {format_line(action)}: repeat it with --yes to allow that"
            )
        with _interrupting_at_once():
            self._errors.write(f"This will {format_line(action)}. Go on? [y/N] ")
            self._errors.flush()
            answer = sys.stdin.readline()
        if answer.strip().lower() not in {"y", "yes"}:
            raise CommandError("nothing was done")

    @property
    def shows_progress(self) -> bool:
        """Whether `track` shows anything: otherwise, a total need not be found."""
        return self._errors.isatty() and not self.is_json and not self.is_quiet

    def track(self, description: str, *, total: float | None = None) -> Progress:
        """Return the progress of some work, to be shown while its context lasts."""
        console = self.make_console(self._errors) if self.shows_progress else None
        return Progress(description, total, console)

    # Streams

    def make_console(self, stream: TextIO) -> Console:
        """Return a console of rich on a stream, for which all text is data."""
        return _Console(stream, self._close if stream is self._output else None)

    @property
    def output(self) -> TextIO:
        """Results go there."""
        return self._output

    @property
    def errors(self) -> TextIO:
        """Messages, questions and progress go there."""
        return self._errors

    def _format_json(self, values: Row) -> str:
        encoding = (self._output.encoding or "utf-8").lower()
        return format_json(values, ascii_only=not encoding.startswith("utf"))

    def _write(self, *lines: str) -> None:
        with self._noticing_a_closed_pipe():
            for line in lines:
                self._output.write(f"{line}\n")
            self._output.flush()

    @contextmanager
    def _noticing_a_closed_pipe(self) -> Generator[None]:
        try:
            yield
        except BrokenPipeError:
            self._close()
            raise

    def _close(self) -> None:
        """Take note that nobody reads the output any more."""
        self.is_closed = True
        _discard(self._output)


class _Console(Console):
    """Shows results, errors and the help, which cyclopts prints."""

    def __init__(self, stream: TextIO, close: Callable[[], None] | None) -> None:
        super().__init__(
            file=stream, markup=False, highlight=False, emoji=False, legacy_windows=False
        )
        self._close = close

    def on_broken_pipe(self) -> None:
        if self._close is not None:
            self._close()
        raise BrokenPipeError


def _discard(stream: TextIO) -> None:
    """Let what is still buffered go nowhere: Python writes it once more when it exits."""
    try:
        descriptor = stream.fileno()
    except (UnsupportedOperation, AttributeError):
        return
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, descriptor)
    os.close(null)


@contextmanager
def _interrupting_at_once() -> Generator[None]:
    """Let Ctrl-C end a question at once: an event loop would first wait for the answer."""
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
