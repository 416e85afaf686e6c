"""Running a command: to its end, or to Ctrl-C, with every error as one line."""

import asyncio
import inspect
import signal
import threading
import traceback
from collections.abc import Callable, Generator
from contextlib import contextmanager, redirect_stdout
from types import FrameType

from cyclopts import CycloptsError

from castore_cli._exit_codes import ExitCode
from castore_cli._failures import describe, find_leaves
from castore_cli._terminal import Terminal
from castore_cli._texts import make_visible
from castore_cli.errors import CommandError


def run_to_end(work: Callable[[], object], terminal: Terminal, *, shows_frames: bool) -> ExitCode:
    """Call some work, await what it returns, and return the exit code that fits.

    Prints of the work go to stderr: stdout is for the results of the command.
    """
    with _terminated() as terminations:
        try:
            with redirect_stdout(terminal.errors):
                return _to_exit_code(_await(work()))
        except KeyboardInterrupt:
            return ExitCode.TERMINATED if terminations else ExitCode.INTERRUPTED
        except Exception as error:  # noqa: BLE001 the outermost frame of all
            return ExitCode.OK if terminal.is_closed else _report(error, terminal, shows_frames)


def _await(answer: object) -> object:
    if inspect.iscoroutine(answer):
        with asyncio.Runner() as runner:  # it turns Ctrl-C into a cancellation
            return runner.run(answer)
    return answer


def _to_exit_code(answer: object) -> ExitCode:
    return answer if isinstance(answer, ExitCode) else ExitCode.OK


def _report(error: Exception, terminal: Terminal, shows_frames: bool) -> ExitCode:
    if shows_frames:
        frames = "".join(traceback.format_exception(error))
        terminal.errors.write("".join(f"{make_visible(each)}\n" for each in frames.splitlines()))
    if isinstance(error, CycloptsError):
        terminal.show_error(str(error))
        return ExitCode.USAGE
    terminal.show_error(describe(error))
    codes = {each.exit_code for each in find_leaves(error) if isinstance(each, CommandError)}
    return codes.pop() if len(codes) == 1 else ExitCode.FAILED


@contextmanager
def _terminated() -> Generator[list[int]]:
    """Let a SIGTERM do what Ctrl-C does, and record it."""
    terminations: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 as signals have it
        terminations.append(number)
        signal.raise_signal(signal.SIGINT)

    if threading.current_thread() is not threading.main_thread():
        yield terminations
        return
    handler = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield terminations
    finally:
        signal.signal(signal.SIGTERM, handler)
