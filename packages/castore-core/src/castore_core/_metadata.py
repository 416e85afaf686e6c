"""The metadata of a context: values that are added to the events that are pushed in it."""

from collections.abc import Mapping
from contextvars import ContextVar, Token
from types import MappingProxyType, TracebackType
from typing import Final, TypeAlias, cast

from castore_core._json import JSONValue, check_json, copy_json
from castore_core._metadata_room import respell

Metadata: TypeAlias = Mapping[str, JSONValue]

NO_METADATA: Final[Metadata] = MappingProxyType({})

_current: Final[ContextVar[Metadata]] = ContextVar("castore_event_metadata", default=NO_METADATA)

find_metadata: Final = _current.get
"""Return the values of the present context, which are not to be changed."""


class MetadataScope:
    """Gives a context its values, and takes them back at the end of a ``with`` block."""

    __slots__ = ("_metadata", "_token")

    def __init__(self, metadata: Metadata) -> None:
        self._metadata = metadata
        self._token: Token[Metadata] | None = None

    def __enter__(self) -> None:
        if self._token is not None:
            raise RuntimeError(f"this {type(self).__name__}() is in use: make one for each block")
        self._token = _current.set(self._find_values())

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        token, self._token = self._token, None
        try:
            _current.reset(cast("Token[Metadata]", token))
        except ValueError:
            raise RuntimeError(
                f"{type(self).__name__}() began in another context: a generator around such a "
                "block has to run in one task"
            ) from None

    def _find_values(self) -> Metadata:
        return self._metadata


class event_metadata(MetadataScope):  # noqa: N801 it is used as a function is
    """Add values to the metadata of the events that are pushed within a ``with`` block.

    ::

        with event_metadata(correlation_id=request_id, actor="misty"):
            await pokemons.push_event(caught)

    It holds for the tasks that the block starts, and for threads that get its context variables,
    as those of `asyncio.to_thread` do. Blocks nest: the values of the inner one win, also over a
    key that the outer one spells otherwise (``correlationId``).

    An event gets the values that its type has room for: see `Event.get_metadata_room`. The keys
    that it has already keep their values, and nested objects are not merged.

    Args:
        values: keys that are no names of Python's.
        **more: all other keys.

    Raises:
        NotJSONError: a value is no JSON value.
        RuntimeError: the object is in use, by another task say; or the block ends in another
            context than it began in, where the values were not seen.
    """

    __slots__ = ()

    def __init__(self, values: Metadata = NO_METADATA, /, **more: JSONValue) -> None:
        metadata = {**values, **more}
        check_json(metadata, "event_metadata")
        super().__init__(copy_json(metadata))

    def _find_values(self) -> Metadata:
        own = self._metadata
        around = find_metadata()
        return {
            **{key: each for key, each in around.items() if key in own or respell(key) not in own},
            **own,
        }


def get_event_metadata() -> dict[str, JSONValue]:
    """Return a copy of the values that the present context adds to events."""
    return copy_json(dict(find_metadata()))
