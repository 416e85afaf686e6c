"""The version of a reducer tells constructs apart whose source is the same."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TypeAlias

import pytest

HEAD = """\
import logging
import threading
from collections import deque
from dataclasses import dataclass, field, replace
from functools import partialmethod, singledispatch, singledispatchmethod, wraps
from operator import itemgetter
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Annotated, Any

from castore_core import DataclassCodec, Event, EventStore


class Made(Event, type="MADE"):
    payload: Any = None


def bonus(*_):
    return VALUE


def logged(function):
    @wraps(function)
    def inner(*given):
        return function(*given)
    return inner


class Rules:
    def __init__(self, *held):
        self.held = held
        self.itself = self


def make(held):
    def inner():
        return held
    return inner


VALUE = 1
"""

TAIL = """

@dataclass(frozen=True)
class Total(Base):
    aggregate_id: str
    version: int
    total: int = 0


def reduce(total, event) -> Total:
    return Total(event.aggregate_id, event.version, use(total, event))


store = EventStore(
    "TOTALS", event_types=[Made], reduce=reduce, aggregate_codec=DataclassCodec(Total)
)
"""

BASE = """
class Base:
    pass


def use(total, event):
    return CONSTANT
"""

CONSTANTS = {
    "an object": "Rules({})",
    "an object of objects": "Rules(Rules({{1, {}}}))",
    "a registry": "Rules({{'MADE': make({})}})",
    "a mapping": "MappingProxyType({{'a': {}}})",
    "a range": "range({})",
    "a deque": "deque([{}])",
    "an item getter": "itemgetter({})",
    "a path": "PurePosixPath('{}')",
    "a method of a dict": "{{'a': {}}}.get",
    "a logger beside it": "Rules(logging.getLogger(), {})",
    "swapped closures": "(make({0}), make(3 - {0}))",
}

CLASSES = {
    "a wrapped method": "    @logged\n    def up(self):\n        return bonus()",
    "a partial method": "    up = partialmethod(bonus)",
    "a method by type": """\
    @singledispatchmethod
    def up(self, event):
        raise TypeError

    @up.register
    def _(self, event: Made):
        return bonus()""",
    "a default of a method": "    def up(self, number=VALUE):\n        return number",
    "a private attribute": "    _bonus = VALUE",
    "an object in it": "    rules = Rules(VALUE)",
    "an annotation": "    number: Annotated[int, bonus]",
    "an annotation with an object": "    number: Annotated[int, Rules(bonus)] | None",
    "a default factory": "    number: int = field(default_factory=bonus, init=False)",
    "a default": "    number: int = field(default=VALUE, init=False)",
}


def make_of_constant(constant: str) -> list[str]:
    """Return two sources, whose reducers refer to constants that differ."""
    return [f"{HEAD}CONSTANT = {constant.format(each)}\n{BASE}{TAIL}" for each in (1, 2)]


def make_of_class(body: str) -> list[str]:
    """Return two sources, of which a base class of the aggregate depends on a number."""
    base = BASE.replace("    pass", body, 1).replace("class", "@dataclass(frozen=True)\nclass", 1)
    source = f"{HEAD}CONSTANT = 0\n{base}{TAIL}"
    source = source.replace("    aggregate_id: str\n", "    aggregate_id: str = ''\n")
    source = source.replace("    version: int\n", "    version: int = 0\n")
    return [source, source.replace("VALUE = 1", "VALUE = 2")]


SOURCES = {
    **{name: make_of_constant(each) for name, each in CONSTANTS.items()},
    **{name: make_of_class(each) for name, each in CLASSES.items()},
}

IMPORTS = {
    "a function": ("from .rules import help_out", "help_out()"),
    "a module": ("from . import rules", "rules.help_out()"),
    "an absolute name": ("from shop.rules import help_out", "help_out()"),
    "a dotted name": ("import shop.rules", "shop.rules.help_out()"),
}

DISPATCHER = """
    return up(event)


@singledispatch
def up(event):
    raise TypeError


@up.register
def _(event: Made):
    return bonus()
"""

PROGRAM = """\
import importlib
import json
import sys

from castore_core import ReducerSources, UndefinedReducerVersionError


def find(folder):
    sys.path.insert(0, folder)
    importlib.invalidate_caches()
    try:
        store = importlib.import_module("shop.totals").store
        versions = {ReducerSources.of(store).version}
        store.reduce(None, store.event_types[0]("a", 1))
        versions.add(ReducerSources.of(store).version)
        return sorted(versions)
    except UndefinedReducerVersionError as error:
        return [str(error)]
    finally:
        sys.path.remove(folder)
        for each in [each for each in sys.modules if each.partition(".")[0] == "shop"]:
            del sys.modules[each]


print(json.dumps([find(each) for each in sys.argv[1:]]))
"""

Versions: TypeAlias = list[str]
"""The versions of a store before and after the reducer ran, each once, or an error."""


def make_with(body: str) -> str:
    """Return a source whose reducer has another body."""
    return make_of_constant("{}")[0].replace("    return CONSTANT", body)


def make_all() -> dict[str, list[str]]:
    """Return the sources that are told apart, two by two."""
    found = {**SOURCES, "a dispatcher": [make_with(DISPATCHER)]}
    found["a dispatcher"] += [found["a dispatcher"][0].replace("VALUE = 1", "VALUE = 2")]
    for name, (statement, call) in IMPORTS.items():
        found[f"import: {name}"] = [make_with(f"    {statement}\n    return {call}")] * 2
    return found


def write(folder: Path, **modules: str) -> str:
    """Write the modules of a package; return where."""
    package = folder / "shop"
    package.mkdir(parents=True)
    for name, source in {"__init__": "", **modules}.items():
        (package / f"{name}.py").write_text(source)
    return str(folder)


def find_versions(*folders: str, seed: str = "0") -> list[Versions]:
    """Return the versions of the stores in some folders, in a new process."""
    done = subprocess.run(
        [sys.executable, "-B", "-c", PROGRAM, *folders],
        env={**os.environ, "PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
        check=True,
    )
    found: list[Versions] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> list[list[Versions]]:
    """Give the versions of all sources, one after the other, in two processes."""
    folders: list[str] = []
    for sources in make_all().values():
        for number, source in enumerate(sources):
            rules = f"def help_out():\n    return {number}\n"
            folders.append(write(tmp_path_factory.mktemp("source"), totals=source, rules=rules))
    return [find_versions(*folders, seed=each) for each in "12"]


@pytest.mark.parametrize("name", make_all())
def test_what_is_told_apart(versions: list[list[Versions]], name: str) -> None:
    """Each has one version, in each process, whether the reducer has run or not."""
    at = 2 * [*make_all()].index(name)
    (one, other), again = (each[at : at + 2] for each in versions)
    assert [one, other] == again
    for each in (one, other):
        assert 1 == len(each)
        assert each[0].startswith("sha256:")
    assert one != other


REFUSED = {
    "an object of Python": "threading.Lock()",
    "one in an object": "Rules(threading.Lock())",
    "one in a list": "[threading.Lock()]",
    "a generator": "(each for each in ())",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_told_apart(tmp_path: Path, name: str) -> None:
    """An object of which nothing is known is refused, with the way out."""
    folder = write(tmp_path, totals=make_of_constant(REFUSED[name])[0])
    ((error,),) = find_versions(folder)
    assert "refers to an object of" in error
    assert "Snapshots(..., reducer_version=" in error


def test_an_import_that_fails(tmp_path: Path) -> None:
    """A module that is not there may be there in the next process."""
    source = make_with("    from .rules import help_out\n    return help_out()")
    ((error,),) = find_versions(write(tmp_path, totals=source))
    assert "use imports rules: No module named 'shop.rules'" in error
