"""Addresses: ``module:attribute``, as uvicorn takes them."""

import importlib
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, NamedTuple, TypeAlias

from cyclopts import Parameter

from castore_cli._failures import describe_with_place
from castore_cli.errors import CommandError, UsageError

Address: TypeAlias = Annotated[str, Parameter(metavar="MODULE:ATTRIBUTE")]
"""The address of an object of the user's: ``module:attribute``, where dots lead further down."""


class ParsedAddress(NamedTuple):
    """A module, and the names that lead from it to an object."""

    module: str
    names: tuple[str, ...]


def parse_address(text: str) -> ParsedAddress:
    """Take an address apart.

    Raises:
        UsageError: it is none.
    """
    module, colon, attribute = text.partition(":")
    if module.endswith(".py") or "/" in module:
        dotted = module.removesuffix(".py").strip("./").replace("/", ".")
        raise UsageError(f"{text!r} names a file: name its module, as in '{dotted}:stores'")
    if not module or (colon and not attribute):
        raise UsageError(f"{text!r} is no address: write module:attribute, as in 'app:stores'")
    return ParsedAddress(module, tuple(attribute.split(".")) if attribute else ())


def import_address(text: str) -> Any:
    """Import the module of an address, and return the object that the address names.

    Raises:
        UsageError: there is no such module or attribute.
        CommandError: the module raises an error of its own.
    """
    address = parse_address(text)
    module = _import_module(address.module)
    if not address.names:
        raise UsageError(f"{text!r} names a module: name what is in it, as in '{text}:stores'")
    value: Any = module
    for depth, name in enumerate(address.names):
        try:
            value = getattr(value, name)
        except AttributeError:
            owner = ":".join(
                [address.module, *([".".join(address.names[:depth])] if depth else [])]
            )
            raise UsageError(
                f"{owner!r} has no attribute {name!r}{_suggest(name, value)}"
            ) from None
    return value


def _import_module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise _refuse_module(name, error) from error
        raise UsageError(
            f"there is no module {error.name!r} in {Path.cwd()} or on Python's path: "
            "give the directory that it is in with --app-dir"
        ) from None
    except (Exception, SystemExit) as error:
        raise _refuse_module(name, error) from error


def _refuse_module(name: str, error: BaseException) -> CommandError:
    return CommandError(f"module {name!r} cannot be imported: {describe_with_place(error)}")


def _suggest(name: str, owner: object) -> str:
    close = get_close_matches(name, [each for each in dir(owner) if each[:1] != "_"], n=3)
    return f": do you mean {' or '.join(map(repr, close))}?" if close else ""
