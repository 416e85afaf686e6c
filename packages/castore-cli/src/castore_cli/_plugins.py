"""Commands of other packages: entry points of the group ``castore.commands``.

The name of an entry point is that of the command, and its value leads to a function or to an `App`
of cyclopts with the same name. It is imported when the command is called, and not before.
"""

import ast
from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from cyclopts import App

from castore_cli._failures import describe_with_place
from castore_cli.errors import CommandError

GROUP: Final = "castore.commands"


def add_plugins(app: App) -> list[str]:
    """Add the commands of all installed packages, and return what is wrong with some of them."""
    problems: list[str] = []
    for entry_point in sorted(entry_points(group=GROUP), key=lambda each: each.name):
        if entry_point.name in app:
            problems.append(
                f"command {entry_point.name!r} of {_name(entry_point)} is there already"
            )
        else:
            add_command(app, entry_point)
    return problems


def add_command(app: App, entry_point: EntryPoint) -> None:
    """Add a command that is imported when it is called."""
    app.command(entry_point.value, name=entry_point.name, help=_find_help(entry_point))


def drop_broken(app: App) -> None:
    """Take the commands away that cannot be loaded, where all are going to be."""
    for entry_point in entry_points(group=GROUP):
        if find_broken(app, [entry_point.name]) is not None:
            del app[entry_point.name]


def find_broken(app: App, tokens: Iterable[str]) -> CommandError | None:
    """Return why the command of a package cannot be loaded, if one of ``tokens`` names such one."""
    known = {each.name: each for each in entry_points(group=GROUP)}
    for entry_point in (known[each] for each in tokens if each in known):
        try:
            app[entry_point.name]
        except Exception as error:  # noqa: BLE001 it is the package's, whatever it is
            reason = describe_with_place(error.__cause__ or error)
            return CommandError(
                f"command {entry_point.name!r} of {_name(entry_point)} cannot be loaded: {reason}"
            )
    return None


def _find_help(entry_point: EntryPoint) -> str:
    """Return the first line that the source says about a command, without importing it."""
    path = _find_source(entry_point.module)
    try:
        module = ast.parse("" if path is None else path.read_text("utf-8"))
    except (OSError, SyntaxError, ValueError):
        return f"From {_name(entry_point)}."
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    documented = next(
        (
            each
            for each in module.body
            if isinstance(each, functions) and each.name == entry_point.attr
        ),
        module,
    )
    text = ast.get_docstring(documented)
    return text.partition("\n")[0] if text else f"From {_name(entry_point)}."


def _find_source(module: str) -> Path | None:
    """Return the file of a module, for which no package is imported."""
    package, *names = module.split(".")
    try:
        spec = find_spec(package)
    except (ImportError, ValueError):
        return None
    if spec is None or not names:
        return None if spec is None or spec.origin is None else Path(spec.origin)
    folders = map(Path, spec.submodule_search_locations or ())
    bases = [each.joinpath(*names) for each in folders]
    found = [path for each in bases for path in (each.with_suffix(".py"), each / "__init__.py")]
    return next((each for each in found if each.exists()), None)


def _name(entry_point: EntryPoint) -> str:
    distribution = entry_point.dist
    return entry_point.value if distribution is None else distribution.name
