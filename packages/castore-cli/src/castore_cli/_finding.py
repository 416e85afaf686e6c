"""Finding the user's stores, and other objects, by their addresses."""

from collections.abc import AsyncGenerator, Collection, Iterable, Mapping, Sized
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final, TypeVar, cast, get_origin

from castore_cli._addresses import import_address
from castore_cli._opening import unwrap
from castore_cli.errors import UsageError
from castore_core import EventStore
from castore_core.sync import Facade

T = TypeVar("T")

_TARGETS: Final = ("event_store", "projection", "relay")  # of façades


@asynccontextmanager
async def open_objects(
    address: str, *kinds: type[T], wanted: str | None = None
) -> AsyncGenerator[list[T]]:
    """Find the objects of some kinds that an address names; close them afterwards.

    The address may name an object, an iterable or mapping of them, a function without arguments
    that returns (or is awaited for) either, or a context manager or generator function, whose end
    comes when this context ends. All of it happens in the running event loop.

    A kind is a class or a protocol. Of a protocol, an object has all the methods. Façades of
    `castore_core.sync` stand for what is behind them.

    Args:
        address: the module and the name.
        kinds: what the objects may be.
        wanted: tells the user what to name, as in "a projection or a relay"; by default, an object
            of the classes.

    Raises:
        UsageError: there is no such module or attribute, or it is something else.
        CommandError: the user's module raises an error.
    """
    async with AsyncExitStack() as stack:
        value = import_address(address)
        value = await unwrap(address, value, lambda each: _collect(each, kinds) is not None, stack)
        found = _collect(value, kinds)
        if found is None:
            raise _refuse(address, value, kinds, wanted or f"an object of {_name(kinds)}")
        yield found


@asynccontextmanager
async def open_object(address: str, *kinds: type[T]) -> AsyncGenerator[T]:
    """Find the one object of some kinds that an address names, as `open_objects` does.

    Raises:
        UsageError, CommandError: as in `open_objects`. There are several, too.
    """
    async with open_objects(address, *kinds) as found:
        if len(found) > 1:
            raise UsageError(
                f"{address!r} has {len(found)} objects of {_name(kinds)}: name one of them"
            )
        yield found[0]


@asynccontextmanager
async def open_stores(
    address: str, *, store_ids: Collection[str] = ()
) -> AsyncGenerator[list[EventStore]]:
    """Find the event stores that an address names, or those of them with the given ids.

    Raises:
        UsageError, CommandError: as in `open_objects`. No store has one of the ids, too.
    """
    async with open_objects(address, EventStore) as stores:
        _check_ids(address, stores, store_ids)
        yield [each for each in stores if not store_ids or each.event_store_id in store_ids]


@asynccontextmanager
async def open_store(address: str, *, store_id: str | None = None) -> AsyncGenerator[EventStore]:
    """Find the event store that an address names, or the one of several that has the id.

    Raises:
        UsageError, CommandError: as in `open_stores`. There are several stores, and no id, too.
    """
    async with open_stores(address, store_ids=() if store_id is None else (store_id,)) as stores:
        if len(stores) > 1:
            raise UsageError(
                f"{address!r} has several event stores: choose one with --store, of "
                f"{_list_ids(stores)}"
            )
        yield stores[0]


def _collect(value: object, kinds: tuple[type[T], ...]) -> list[T] | None:
    """Return the objects of some kinds that a value is or holds, or ``None``."""
    held = list(map(_take_from_facade, _list_held(value) or [value]))
    if all(_is_one_of(each, kinds) for each in held):
        return cast("list[T]", held)
    return None


def _is_one_of(value: object, kinds: Iterable[type]) -> bool:
    return any(_is_instance(value, each) for each in kinds)


def _take_from_facade(value: object) -> object:
    if not isinstance(value, Facade):
        return value
    found = (getattr(cast("object", value), each, None) for each in _TARGETS)
    return next((each for each in found if each is not None), cast("object", value))


def _list_held(value: object) -> list[object]:
    if isinstance(value, Mapping):
        value = tuple(cast("Mapping[object, object]", value).values())
    if isinstance(value, (list, tuple, set, frozenset)):
        return list(cast("Iterable[object]", value))
    return []


def _is_instance(value: object, kind: type) -> bool:
    if isinstance(value, type):
        return False
    kind = get_origin(kind) or kind
    if getattr(kind, "_is_protocol", False):
        return all(hasattr(value, each) for each in _list_members(kind))
    return isinstance(value, kind)


def _list_members(protocol: type) -> list[str]:
    """Return the public names of a protocol and of the protocols that it extends."""
    parts = [each for each in protocol.__mro__ if getattr(each, "_is_protocol", False)]
    return [name for each in parts for name in vars(each) if not name.startswith("_")]


def _name(kinds: Iterable[type]) -> str:
    return " or ".join(sorted(each.__name__ for each in kinds))


def _refuse(address: str, value: object, kinds: tuple[type, ...], wanted: str) -> UsageError:
    advice = f"name {wanted}, or a list of them"
    held = _list_held(value)
    other = next((each for each in held if not _is_one_of(each, kinds)), None)
    if other is not None:
        return UsageError(f"{address!r} has {_describe(other)}: {advice}")
    return UsageError(f"{address!r} is {_describe(value)}: {advice}")


def _describe(value: object) -> str:
    if value is None:
        return "None"
    if isinstance(value, type):
        return f"the class {value.__qualname__}"
    is_empty = isinstance(value, Sized) and not len(value)
    return f"{'an empty' if is_empty else 'an object of'} {type(value).__qualname__}"


def _check_ids(address: str, stores: list[EventStore], store_ids: Iterable[str]) -> None:
    known = {each.event_store_id for each in stores}
    for store_id in store_ids:
        if store_id not in known:
            raise UsageError(
                f"{address!r} has no event store {store_id!r}, but {_list_ids(stores)}"
            )


def _list_ids(stores: Iterable[EventStore]) -> str:
    return ", ".join(sorted(repr(each.event_store_id) for each in stores))
