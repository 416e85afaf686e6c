"""The command `castore`: its options, and its commands."""

import logging
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from importlib.metadata import EntryPoint, version
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Final, Literal, NoReturn, TextIO, TypeAlias

from cyclopts import App, Group, Parameter, UnknownCommandError

from castore_cli._exit_codes import ExitCode
from castore_cli._plugins import GROUP, add_command, add_plugins, drop_broken, find_broken
from castore_cli._running import run_to_end
from castore_cli._terminal import Terminal
from castore_cli._texts import make_visible
from castore_cli.errors import UsageError

_HELP: Final = """Read and maintain the event stores of a program.

An ADDRESS names an object of the program: MODULE:ATTRIBUTE, as in app:stores. It leads to an
object, to a list of them, or to a function that gives them. Modules are found in the current
directory.

Documentation: https://castore-py.github.io/castore/cli.html"""
_COMMON: Final = Group("Options of all commands", sort_key=1)
_COMMANDS: Final = ("stores", "ids", "events", "aggregate", "tail")
_PACKAGES: Final = {
    "dam": "castore-dam[cli]",
    "dynamodb": "castore-dynamodb[cli]",
    "projections": "castore-projections[cli]",
    "sql": "castore-sql[cli]",
}
_INSTALL_COMPLETION: Final = "--install-completion"
Shell: TypeAlias = Literal["bash", "fish", "powershell", "zsh"]
_HIDDEN: Final = Parameter(show=False, allow_leading_hyphen=True)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command `castore`, and exit with its code: see `ExitCode`.

    Args:
        arguments: the words of the command line; by default, those of the process.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # of what its encoding lacks
    sys.exit(run_command(arguments))


def run_command(arguments: Sequence[str] | None = None) -> ExitCode:
    """Run the command `castore` within this process, and return its exit code.

    It runs an event loop of its own, and cannot be called within another.

    Args:
        arguments: the words of the command line; by default, those of the process.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    terminal = Terminal()
    with _keeping_path(), _showing_logs(terminal):
        return run_to_end(
            lambda: _call(_make_app(terminal), words), terminal, shows_frames="--debug" in words
        )


def _call(app: App, words: list[str]) -> object:
    """Call a command, and return what it returns: a coroutine, where it is asynchronous."""
    if words[:1] in ([_INSTALL_COMPLETION], ["__complete"]):
        drop_broken(app)
    try:
        return app.meta(words, exit_on_error=False, print_error=False)
    except UnknownCommandError as error:
        raise _refuse_command(app, error) from error
    except (ImportError, AttributeError, ValueError) as error:
        raise find_broken(app, words) or error from error


def _make_app(terminal: Terminal) -> App:
    app = App(
        name="castore",
        help=_HELP,
        version=f"castore {version('castore-cli')}",
        console=terminal.make_console(terminal.output),
        error_console=terminal.make_console(terminal.errors),
        default_parameter=Parameter(negative=(), show_default=False),
        result_action="return_value",
        suppress_keyboard_interrupt=False,
    )
    for name in _COMMANDS:
        add_command(app, EntryPoint(name, f"castore_cli._{name}:{name}", GROUP))
    for problem in add_plugins(app):
        terminal.show_error(problem)
    app.command(_make_installer(app), name=_INSTALL_COMPLETION, help="Install shell completion.")
    _add_options(app, terminal)
    return app


def _make_installer(app: App) -> Callable[..., None]:
    def install(*, shell: Shell | None = None, output: Path | None = None) -> None:
        """Install shell completion.

        Args:
            shell: The shell; by default, the one in use.
            output: Write the script there, and change no start-up file of the shell.
        """
        path = app.install_completion(shell=shell, output=output, add_to_startup=output is None)
        sys.stderr.write(f"{make_visible(str(path))} is written: {_advise(output)}\n")

    return install


def _advise(output: Path | None) -> str:
    """Say how a shell comes to use its completion."""
    if output is None:
        return "your shell loads it when it starts; start a new one"
    return "let your shell load it when it starts"


def _add_options(app: App, terminal: Terminal) -> None:
    def launch(
        *words: Annotated[str, _HIDDEN],
        app_dir: Annotated[Path, Parameter(env_var="CASTORE_APP_DIR", group=_COMMON)] = Path(),
        json: Annotated[bool, Parameter(group=_COMMON)] = False,
        quiet: Annotated[bool, Parameter(name=["--quiet", "-q"], group=_COMMON)] = False,
        yes: Annotated[bool, Parameter(name=["--yes", "-y"], group=_COMMON)] = False,
        debug: Annotated[bool, Parameter(group=_COMMON)] = False,
    ) -> object:
        """Read the options of all commands, and call the one that is named.

        Args:
            words: the rest of the command line.
            app_dir: Look for modules in this directory, too; by default, the current one.
            json: Write JSON to stdout, an object in each line, and nothing else.
            quiet: Show no progress, and no messages but errors.
            yes: Write without asking.
            debug: Show the traceback of an error.
        """
        del debug  # errors may come before this is parsed
        terminal.is_json, terminal.is_quiet, terminal.is_confirmed = json, quiet, yes
        _add_to_path(app_dir)
        command, bound, ignored = app.parse_args(words, exit_on_error=False, print_error=False)
        given = {name: terminal for name, kind in ignored.items() if kind is Terminal}
        return command(*bound.args, **bound.kwargs, **given)

    app.meta.default(launch)
    app.meta.suppress_keyboard_interrupt = False


def _add_to_path(app_dir: Path) -> None:
    if not app_dir.is_dir():
        raise UsageError(f"--app-dir: there is no directory {str(app_dir)!r}")
    sys.path.insert(0, str(app_dir.resolve()))


def _refuse_command(app: App, error: UnknownCommandError) -> UsageError:
    """Return the error of an unknown command, for which no package is imported."""
    if error.app is not None and error.app.name != app.name:
        return UsageError(str(error))
    name = (error.unused_tokens or [""])[0]
    names = sorted(each for each in app if not each.startswith("-"))
    close = get_close_matches(name, names, n=1)
    hint = f"do you mean {close[0]!r}?" if close else f"there are {', '.join(names)}"
    if package := _PACKAGES.get(name):
        hint = f"install {package}"
    return UsageError(f"there is no command {name!r}: {hint}")


@contextmanager
def _keeping_path() -> Generator[None]:
    path = list(sys.path)
    try:
        yield
    finally:
        sys.path[:] = path


@contextmanager
def _showing_logs(terminal: Terminal) -> Generator[None]:
    """Let warnings of a program that configures no logging go to stderr, as visible text."""
    handler, logging.lastResort = logging.lastResort, _LogHandler(terminal)
    try:
        yield
    finally:
        logging.lastResort = handler


class _LogHandler(logging.StreamHandler[TextIO]):
    def __init__(self, terminal: Terminal) -> None:
        super().__init__(terminal.errors)
        self.setLevel(logging.WARNING)

    def format(self, record: logging.LogRecord) -> str:
        return "\n".join(map(make_visible, super().format(record).split("\n")))
