"""The version of a reducer follows from the sources of all that the state depends on."""

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias
from uuid import uuid4

import pydantic_core
import pytest

from castore_core import (
    DataclassCodec,
    EventStore,
    ReducerSources,
    Snapshots,
    UndefinedReducerVersionError,
)
from castore_in_memory import InMemoryEventStorageAdapter, InMemorySnapshotStorageAdapter
from snapshot_stores import make_event, make_snapshots, make_store, push

Load: TypeAlias = Callable[..., ModuleType]

SHOP = """\
import functools
import re
from dataclasses import dataclass, replace
from enum import Enum, IntEnum

from castore_core import DataclassCodec, Event, EventStore

RATE = 2
NAMES = {"a": 1}
PATTERN = re.compile("a+")
CACHE = object()


class Color(Enum):
    RED = 1


@dataclass(frozen=True)
class Money:
    amount: int


class Added(Event, type="ADDED"):
    payload: int


class Base:
    def get_label(self):
        return label()


@dataclass(frozen=True)
class Total(Base):
    aggregate_id: str
    version: int
    total: int = 0
    money: Money | None = None


def label():
    return "label"


def double(value):
    return RATE * value


def unused():
    return 1


def reduce(total: Total | None, event: Added) -> Total:
    CACHE
    before = 0 if total is None else total.total
    numbers = [double(each) for each in [event.payload]]
    assert NAMES and PATTERN and Color.RED
    return Total(event.aggregate_id, event.version, before + sum(numbers))


def older(record):
    return record


def make_store(reduce=reduce, **options):
    options = {"aggregate_codec": DataclassCodec(Total), **options}
    return EventStore("TOTALS", event_types=[Added], reduce=reduce, **options)
"""


@pytest.fixture
def load(tmp_path: Path) -> Iterator[Load]:
    """Give a function that writes a module, and imports it, under a name that it always has."""
    before = {*sys.modules}

    def load(source: str, name: str = "castore_test_shop.totals") -> ModuleType:
        path = tmp_path / str(uuid4()) / f"{name.rpartition('.')[2]}.py"
        path.parent.mkdir()
        path.write_text(source)
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    yield load
    for each in {*sys.modules} - before:
        del sys.modules[each]


def get_version(store: Any) -> str:
    """Return the version of the reducer of a store."""
    return ReducerSources.of(store).version


def test_the_same_sources_have_the_same_version(load: Load) -> None:
    """It does not depend on the process, nor on where the files are."""
    first, second = (get_version(load(SHOP).make_store()) for _ in range(2))
    assert first == second
    assert first.startswith("sha256:")
    assert 39 == len(first)


CHANGES = {
    "the reducer": ("before + sum", "before - sum"),
    "a function that it calls": ("RATE * value", "RATE + value"),
    "a constant": ("RATE = 2", "RATE = 3"),
    "a table": ('{"a": 1}', '{"a": 2}'),
    "a pattern": ('"a+"', '"b+"'),
    "an enum": ("RED = 1", "RED = 2"),
    "the aggregate": ("total: int = 0", "total: int = 1"),
    "a base of the aggregate": ("return label()", 'return label() + "s"'),
    "a function of a method": ('return "label"', 'return "labels"'),
    "a class in the aggregate": ("amount: int", "amount: float"),
    "an event": ("payload: int", "payload: float"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_counts(load: Load, change: tuple[str, str]) -> None:
    """A change of anything that the state depends on changes the version."""
    changed = SHOP.replace(*change)
    assert changed != SHOP
    assert get_version(load(SHOP).make_store()) != get_version(load(changed).make_store())


@pytest.mark.parametrize("change", [("return 1", "return 2"), ("CACHE = object()", "CACHE = {1}")])
def test_what_does_not_count(load: Load, change: tuple[str, str]) -> None:
    """A function that nothing refers to may change. So may an object of which nothing is known."""
    changed = SHOP.replace(*change)
    is_same = get_version(load(SHOP).make_store()) == get_version(load(changed).make_store())
    assert ("CACHE" not in change[0]) == is_same  # a set is a constant, an object is not


def test_upcasters_count(load: Load) -> None:
    """They change what a reducer is given."""
    shop = load(SHOP)
    with_one = get_version(shop.make_store(upcasters=[shop.older]))
    changed = load(SHOP.replace("return record", "return record.copy()"))
    versions = {
        get_version(shop.make_store()),
        with_one,
        get_version(shop.make_store(upcasters=[shop.older] * 2)),
        get_version(changed.make_store(upcasters=[changed.older])),
    }
    assert 4 == len(versions)


def test_the_codec_counts(load: Load) -> None:
    """A field that has another name in JSON would be read as missing."""
    shop = load(SHOP)
    renamed: Any = DataclassCodec(shop.Total, rename={"total": "sum"})
    assert get_version(shop.make_store()) != get_version(shop.make_store(aggregate_codec=renamed))


REDUCERS = """
def make(rate):
    def reduce(total, event):
        return Total(event.aggregate_id, event.version, rate)
    return reduce


def by(rate, total, event):
    return Total(event.aggregate_id, event.version, rate)


def with_default(total, event, rate=RATE):
    return Total(event.aggregate_id, event.version, rate)


class Reducer:
    def __init__(self, rate):
        self.rate = rate

    def __call__(self, total, event) -> Total:
        return Total(event.aggregate_id, event.version, self.rate)

    def method(self, total, event):
        return self(total, event)

    @classmethod
    def of_class(cls, total, event):
        return cls(1)(total, event)


class Slotted(Reducer):
    __slots__ = ("rate",)


@dataclass(frozen=True)
class Frozen:
    rate: int

    def __call__(self, total, event):
        return Total(event.aggregate_id, event.version, self.rate)


def decorate(times):
    def decorator(function):
        @functools.wraps(function)
        def wrapper(total, event):
            for _ in range(times):
                result = function(total, event)
            return result
        return wrapper
    return decorator


decorated = decorate(1)(reduce)
decorated_twice = decorate(2)(reduce)
cached = functools.lru_cache(reduce)
cached_other = functools.lru_cache(with_default)
pair = (lambda total, event: Total("a", 1), lambda total, event: Total("a", 2))


@functools.singledispatch
def dispatch(event):
    raise LookupError


@dispatch.register
def _(event: Added):
    return 1


def dispatched(total, event):
    return Total(event.aggregate_id, event.version, dispatch(event))


def inline(total, event):
    from castore_test_shop.helpers import help_out
    return Total(event.aggregate_id, event.version, help_out())


def through_module(total, event):
    import castore_test_shop.helpers as helpers
    return Total(event.aggregate_id, event.version, helpers.help_out())


def recursive(total, event):
    return recursive(total, event)
"""

HELPERS = """
def help_out():
    return 1
"""

VARIANTS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "closures": (lambda shop: shop.make(1), lambda shop: shop.make(2)),
    "closures of functions": (
        lambda shop: shop.make(shop.label),
        lambda shop: shop.make(shop.double),
    ),
    "partials": (
        lambda shop: shop.functools.partial(shop.by, 1),
        lambda shop: shop.functools.partial(shop.by, 2),
    ),
    "objects": (lambda shop: shop.Reducer(1), lambda shop: shop.Reducer(2)),
    "objects with slots": (lambda shop: shop.Slotted(1), lambda shop: shop.Slotted(2)),
    "dataclasses": (lambda shop: shop.Frozen(1), lambda shop: shop.Frozen(2)),
    "bound methods": (lambda shop: shop.Reducer(1).method, lambda shop: shop.Reducer(2).method),
    "a class method": (lambda shop: shop.Reducer.of_class, lambda shop: shop.Reducer(1).method),
    "decorated": (lambda shop: shop.decorated, lambda shop: shop.decorated_twice),
    "decorated or not": (lambda shop: shop.decorated, lambda shop: shop.reduce),
    "cached": (lambda shop: shop.cached, lambda shop: shop.cached_other),
    "lambdas of one line": (lambda shop: shop.pair[0], lambda shop: shop.pair[1]),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_reducers_of_any_kind(load: Load, name: str) -> None:
    """Those that do other things have other versions, and the same in the next process."""
    versions: list[set[str]] = []
    for make in VARIANTS[name]:
        shops = [load(SHOP + REDUCERS) for _ in range(2)]
        versions.append({get_version(each.make_store(make(each))) for each in shops})
    assert [1, 1] == [len(each) for each in versions]
    assert versions[0] != versions[1]


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("decorated", ("before + sum", "before - sum")),
        ("decorated", ("for _ in range(times)", "for _ in range(times + 1)")),
        ("cached", ("before + sum", "before - sum")),
        ("with_default", ("RATE = 2", "RATE = 3")),
        ("dispatched", ("    return 1\n\n\ndef dispatched", "    return 2\n\n\ndef dispatched")),
        ("recursive", ("recursive(total, event)\n", "recursive(None, event)\n")),
    ],
)
def test_what_is_behind_a_reducer(load: Load, name: str, change: tuple[str, str]) -> None:
    """What a reducer wraps, or hands on to, counts as well."""
    before, after = SHOP + REDUCERS, (SHOP + REDUCERS).replace(*change)
    assert before != after
    versions = [
        get_version((shop := load(source)).make_store(getattr(shop, name)))
        for source in (before, after)
    ]
    assert versions[0] != versions[1]


@pytest.mark.parametrize("name", ["inline", "through_module"])
def test_other_modules_of_the_package(load: Load, name: str) -> None:
    """Helpers in other modules of the user's package count, however they are imported."""
    versions: set[str] = set()
    for helpers in (HELPERS, HELPERS.replace("1", "2")):
        load("", "castore_test_shop")
        load(helpers, "castore_test_shop.helpers")
        shop = load(SHOP + REDUCERS)
        versions.add(get_version(shop.make_store(getattr(shop, name))))
    assert 2 == len(versions)


def test_modules_beside_each_other(load: Load, tmp_path: Path) -> None:
    """Of a program that is no package, the modules in its folder are the user's own."""
    versions: set[str] = set()
    source = SHOP.replace("RATE = 2", "from castore_test_helpers import help_out").replace(
        "RATE *", "help_out() *"
    )
    for each, helpers in enumerate((HELPERS, HELPERS.replace("1", "2"))):
        load(helpers, "castore_test_helpers")
        load(source, "castore_test_totals")
        folder = tmp_path / f"folder{each}"
        folder.mkdir()
        for name in ("castore_test_helpers", "castore_test_totals"):
            old = Path(str(sys.modules.pop(name).__file__))
            old.rename(folder / old.name)
        sys.path.insert(0, str(folder))
        try:
            importlib.invalidate_caches()
            shop = importlib.import_module("castore_test_totals")
            versions.add(get_version(shop.make_store()))
        finally:
            sys.path.remove(str(folder))
            del sys.modules["castore_test_helpers"], sys.modules["castore_test_totals"]
    assert 2 == len(versions)


def test_a_record_names_what_counts(load: Load) -> None:
    """Each function and class has a digest, under its name."""
    found = ReducerSources.of(load(SHOP).make_store()).digests
    names = {each.removeprefix("castore_test_shop.totals.") for each in found}
    assert {"reduce", "double", "Total", "Base", "Added", "Money", "Color", "label"} <= names
    assert "unused" not in names
    assert not [each for each in names if each.startswith(("castore_core", "dataclasses"))]


def test_a_reducer_without_source() -> None:
    """What was typed into an interactive session is refused, with the way out."""
    namespace: dict[str, Any] = {"__name__": "castore_test_session"}
    exec(SHOP, namespace)  # noqa: S102
    with pytest.raises(UndefinedReducerVersionError, match=r"Give one: Snapshots\(\.\.\., reduc"):
        get_version(namespace["make_store"]())


def test_a_reducer_of_which_nothing_is_known(load: Load) -> None:
    """A closure over anything might be any reducer."""
    shop = load(SHOP + REDUCERS)
    with pytest.raises(UndefinedReducerVersionError, match=r"make\.<locals>\.reduce refers to"):
        get_version(shop.make_store(shop.make(shop.CACHE)))


def test_a_compiled_function_has_no_source(load: Load) -> None:
    """A change of an extension module would not be seen."""
    shop = load(SHOP + REDUCERS)
    with pytest.raises(UndefinedReducerVersionError, match="is compiled"):
        get_version(shop.make_store(pydantic_core.to_json))
    assert get_version(shop.make_store(shop.make(len)))  # Python's own may count by their names


async def test_the_error_comes_before_anything_is_written(load: Load) -> None:
    """Neither a push nor a load goes on without a version."""
    shop = load(SHOP + REDUCERS)
    store: Any = shop.make_store(
        shop.make(shop.CACHE),
        storage_adapter=InMemoryEventStorageAdapter(),
        snapshots=Snapshots(InMemorySnapshotStorageAdapter()),
    )
    event = shop.Added("a", 1, payload=1)
    with pytest.raises(UndefinedReducerVersionError, match=r"refers to an object of builtins"):
        await store.push_event(event)
    with pytest.raises(UndefinedReducerVersionError):
        await EventStore.push_event_group(store.group_event(event))
    assert [] == await store.get_events("a")
    with pytest.raises(UndefinedReducerVersionError):
        await store.get_aggregate("a")


PROGRAM = """\
import asyncio
import importlib.util
import json
import sys
from pathlib import Path

from castore_core import Snapshots
from castore_in_memory import InMemoryEventStorageAdapter, InMemorySnapshotStorageAdapter

events = InMemoryEventStorageAdapter()
snapshots = Snapshots(InMemorySnapshotStorageAdapter(), every=3, in_background=False)


def load(path):
    name = "castore_test_shop.totals"
    spec = importlib.util.spec_from_file_location(name, path)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def run(path, deployed):
    shop = load(path)
    if deployed:
        path.write_text(deployed)
    store = shop.make_store(storage_adapter=events, snapshots=snapshots)
    if not await store.get_events("a"):
        for version in (1, 2, 3):
            await store.push_event(shop.Added("a", version, payload=1))
    first = await store.get_existing_aggregate("a")
    loaded = await store.get_existing_aggregate("a")
    return first.snapshot_version, loaded.snapshot_version, loaded.aggregate.total


async def main():
    paths = sorted(Path(sys.argv[1]).glob("*.py"))
    found = [await run(each, sys.stdin.read()) for each in paths]
    print(json.dumps([found, snapshots.counts]))


asyncio.run(main())
"""


def run_program(folder: Path, *sources: str, deployed: str = "") -> Any:
    """Run a program whose stores have the sources, in their order; return what it found.

    It begins after its files were written, as the next process after a deployment does.
    """
    for number, source in enumerate(sources):
        (folder / f"{number}.py").write_text(source)
    command = [sys.executable, "-c", PROGRAM, str(folder)]
    done = subprocess.run(command, input=deployed, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_a_computed_version_is_used(tmp_path: Path) -> None:
    """A store goes on from the snapshots of its own sources alone."""
    changed = SHOP.replace("RATE = 2", "RATE = 3")
    found, _ = run_program(tmp_path, SHOP, SHOP, changed, changed)
    assert [[3, 3, 6], [3, 3, 6], [None, 3, 9], [3, 3, 9]] == found


def test_a_source_that_changed_after_it_was_loaded(tmp_path: Path) -> None:
    """It is that of the next process: this one has no version, and takes no snapshots."""
    found, counts = run_program(tmp_path, SHOP, deployed=SHOP.replace("RATE = 2", "RATE = 3"))
    assert ([[None, None, 6]], {"outdated": 1}) == (found, counts)


async def test_the_same_store_computes_once() -> None:
    """A store that is used within transactions shares the version."""
    store = make_store(make_snapshots(reducer_version=None))
    await push(store, 1, 2, 3)
    assert 3 == (await store.get_aggregate("a1")).snapshot_version
    assert (await store.push_event(make_event(4))).event.version == 4
