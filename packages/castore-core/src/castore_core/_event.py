"""Events: what happened to an aggregate, as frozen dataclasses of the user's own."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from datetime import datetime
from functools import partial
from typing import (
    Any,
    ClassVar,
    Concatenate,
    Final,
    Generic,
    ParamSpec,
    Self,
    cast,
    dataclass_transform,
    overload,
)
from weakref import WeakKeyDictionary

from typing_extensions import TypeVar

from castore_core._json import ABSENT, Absent, JSONSchema, JSONValue, check_json, is_unicode
from castore_core._metadata_annotations import find_annotated_room, find_default_keys
from castore_core._metadata_room import MetadataRoom
from castore_core._record import EventRecord
from castore_core._timestamp import to_utc_milliseconds, utc_now
from castore_core._violation import Violation
from castore_core.errors import (
    InvalidEventDataError,
    InvalidEventError,
    InvalidEventTypeError,
    describe,
)

REPLAYED: Final = "__REPLAYED__"
AGGREGATE_EXISTS: Final = "__AGGREGATE_EXISTS__"

MAX_VERSION: Final = 2**53 - 1
"""The greatest version: the greatest integer that JavaScript reads exactly."""

E = TypeVar("E", bound="Event", default=Any)
E_co = TypeVar("E_co", bound="Event", default=Any, covariant=True)
P = ParamSpec("P")

_RESERVED_TYPES = frozenset({REPLAYED, AGGREGATE_EXISTS})
_OWN_FIELDS = ("aggregate_id", "version", "timestamp")
_DATA_FIELDS = ("payload", "metadata")

_rooms: Final[WeakKeyDictionary[type[Any], MetadataRoom | None]] = WeakKeyDictionary()


class _DataField:
    """How ``payload`` or ``metadata`` of one event type is read and written."""

    __slots__ = ("_field", "index", "is_optional", "name")

    def __init__(self, declared: Field[Any]) -> None:
        self.name = declared.name
        self.index = _DATA_FIELDS.index(declared.name)
        self.is_optional = declared.default is None
        self._field = declared

    def default(self) -> object:
        if self._field.default is not MISSING:
            return self._field.default
        if self._field.default_factory is not MISSING:
            return self._field.default_factory()
        raise ValueError(f"{self.name} is absent")


def _find_data_fields(cls: type[Any]) -> tuple[_DataField, ...]:
    declared = [each for each in fields(cls) if each.name not in _OWN_FIELDS]
    for each in declared:
        if each.name not in _DATA_FIELDS:
            raise TypeError(
                f"{cls.__name__}.{each.name}: an event type declares no other fields than "
                "payload and metadata (a ClassVar is welcome)"
            )
    return tuple(_DataField(each) for each in declared)


def _check_type(event_type: object) -> None:
    if not isinstance(event_type, str) or not event_type:
        raise InvalidEventTypeError(str(event_type), "is not a non-empty string")
    if event_type in _RESERVED_TYPES:
        raise InvalidEventTypeError(event_type, "is reserved")
    if not is_unicode(event_type):
        raise InvalidEventTypeError(event_type, "is not well-formed Unicode")


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
class _FrozenBySubclass:
    """Makes every subclass a frozen dataclass whose new fields are keyword-only.

    It is apart from `Event` because type checkers do not count the fields of the class that
    carries ``dataclass_transform`` itself.
    """

    _data_fields: ClassVar[tuple[_DataField, ...]] = ()

    def __init_subclass__(cls, *, type: str | None = None) -> None:
        super().__init_subclass__()
        if type is not None:
            setattr(cls, "type", type)  # noqa: B010 the checkers know `type` from Event
        if "type" in vars(cls):
            _check_type(vars(cls)["type"])
        dataclass(frozen=True, kw_only=True)(cls)
        cls._data_fields = _find_data_fields(cls)


@dataclass(frozen=True)
class EventDraft(Generic[E_co]):
    """An event that has no aggregate and no version yet.

    Arguments are checked by `to_event`, not here.
    """

    event_type: type[E_co]
    values: dict[str, Any]

    def to_event(self, aggregate_id: str, version: int) -> E_co:
        """Return the event, as the ``version`` of an aggregate."""
        return self.event_type(aggregate_id=aggregate_id, version=version, **self.values)


def draft(
    event_type: Callable[Concatenate[str, int, P], E], /, *args: P.args, **values: P.kwargs
) -> EventDraft[E]:
    """Say what happens without saying to which aggregate: a command numbers its drafts.

    Takes what the class takes, less ``aggregate_id`` and ``version``. Both pyright and mypy check
    the arguments; those of ``PokemonAppeared.draft(...)``, which is the same, pyright alone does.
    At run time they are checked by `EventDraft.to_event`, not here.

    Raises:
        TypeError: ``event_type`` is no class of events, or an argument is ``aggregate_id`` or
            ``version``, or is given by position.
    """
    if not (isinstance(event_type, type) and issubclass(event_type, Event)):
        raise TypeError(f"not a class of events: {event_type!r}")
    if args or not values.keys().isdisjoint(("aggregate_id", "version")):
        raise TypeError("a draft has no aggregate_id and no version: the command gives them")
    return EventDraft(cast("type[E]", event_type), dict(values))


class _DraftMaker:
    """Gives an event class its ``draft``, with the parameters of the class less the first two.

    A classmethod could not: its type would have to name the parameters of each subclass.
    """

    @overload
    def __get__(
        self, instance: None, owner: "Callable[Concatenate[str, int, P], E]", /
    ) -> "Callable[P, EventDraft[E]]": ...

    @overload
    def __get__(
        self, instance: object, owner: "Callable[Concatenate[str, int, P], E]", /
    ) -> "Callable[P, EventDraft[E]]": ...

    def __get__(self, instance: object, owner: Any, /) -> Any:
        return partial(draft, owner)


class Event(_FrozenBySubclass):
    """Something that happened to an aggregate.

    Declare one class an event type, with the ``type`` that it is stored under, and with a
    ``payload`` and a ``metadata`` field where it has them::

        class PokemonAppeared(Event, type="POKEMON_APPEARED"):
            payload: AppearedPayload
            metadata: Trigger | None = None

    The class becomes a frozen dataclass. ``aggregate_id`` and ``version`` may be given by
    position, and the other fields by keyword only. A subclass without a ``type`` is an abstract
    base, for fields that several event types share. ``PokemonAppeared.draft(payload=...)`` says
    what happens without saying to which aggregate: see `draft`.

    ``aggregate_id`` is not empty. ``version`` counts from 1 to 2**53 - 1 within the aggregate.
    ``timestamp`` is aware; it is kept in UTC with millisecond precision, and defaults to now.

    Plain events pass JSON values through as they are; annotate ``payload`` with a ``TypedDict``.
    To hold other types, override `encode_field` and `decode_field`.

    Raises:
        InvalidEventError: a value that no event may have.
        TypeError: the class is abstract.
    """

    type: ClassVar[str]
    draft: ClassVar[_DraftMaker] = _DraftMaker()
    aggregate_id: str = field(kw_only=False)
    version: int = field(kw_only=False)
    timestamp: datetime = field(default_factory=utc_now)

    def __post_init__(self) -> None:
        if "type" not in self.__class__.__dict__:
            raise TypeError(f"{self.__class__.__name__} is abstract: it was declared without type=")
        _check_version(self.type, self.version)
        values = self.__dict__  # which is not frozen
        values["aggregate_id"] = _checked_id(self.type, self.aggregate_id)
        values["timestamp"] = _checked_timestamp(self.type, self.timestamp)

    def to_record(self) -> EventRecord:
        """Encode the event for storage.

        A field that is ``None``, and whose default is ``None``, is left out.

        Raises:
            NotJSONError: the encoded payload or metadata is not made of JSON values.
        """
        data = {each.name: self._encode(each) for each in self._data_fields}
        return EventRecord(self.aggregate_id, self.version, self.type, self.timestamp, **data)

    @classmethod
    def from_record(cls, record: EventRecord) -> Self:
        """Decode a stored event. Data without a field in the class is passed over.

        Raises:
            ValueError: a field without a default is absent, or `decode_field` refused its value.
        """
        # Reading is the hot path: the frozen __init__ and the checks of a new event are left out.
        event = object.__new__(cls)
        values = event.__dict__
        values["aggregate_id"], values["version"], _, values["timestamp"] = record[:4]
        data = record[4:]
        for each in cls._data_fields:
            stored = data[each.index]
            if stored is ABSENT:
                values[each.name] = each.default()
            else:
                values[each.name] = cls.decode_field(each.name, stored)
        return event

    @classmethod
    def encode_field(cls, name: str, value: Any) -> JSONValue:  # noqa: ARG003 for overriders
        """Turn the value of ``payload`` or ``metadata`` (the ``name``) into a JSON value."""
        encoded: JSONValue = value
        return encoded

    @classmethod
    def decode_field(cls, name: str, value: JSONValue) -> Any:  # noqa: ARG003 for overriders
        """Turn a stored JSON value back into that of ``payload`` or ``metadata`` (the ``name``).

        Raises:
            ValueError: the stored value does not fit.
        """
        return value

    @classmethod
    def field_schema(cls, name: str) -> JSONSchema | None:  # noqa: ARG003 for overriders
        """Return the JSON schema of the stored ``payload`` or ``metadata`` (the ``name``).

        The schema is of draft 2020-12; ``None`` where nothing is known of the field.
        """
        return None

    def get_metadata_room(self) -> MetadataRoom | None:
        """Return the keys that `event_metadata` may add, or ``None`` where there is no room.

        These are the keys that the annotation of ``metadata`` declares: those of a ``TypedDict``
        or of a dataclass. A ``dict``, a ``Mapping``, `JSONValue` and ``Any`` take all keys; of a
        union, those that all its members take. An annotation that cannot be resolved at run time
        declares no room.
        """
        cls = type(self)
        if cls not in _rooms:
            _rooms[cls] = cls._find_declared_room()
        room = _rooms[cls]
        defaults = find_default_keys(getattr(self, "metadata", None))
        return room._replace(defaults=defaults) if room and defaults else room

    @classmethod
    def _find_declared_room(cls) -> MetadataRoom | None:
        """Return the room that the class declares. It is asked for once."""
        return find_annotated_room(cls)

    def with_metadata(self, values: Mapping[str, JSONValue]) -> Self:
        """Return the event with more metadata, or the event itself if there is no room for any.

        The values are JSON values. The keys that the event has already keep theirs. A push does
        this with the values of `event_metadata`.

        Raises:
            InvalidEventDataError: a value does not fit the type of the metadata.
            TypeError: as in `get_metadata_room`.
        """
        room = self.get_metadata_room()
        if room is None:
            return self
        present = getattr(self, "metadata", None)
        stored = None if present is None else self.encode_field("metadata", present)
        if stored is not None and not isinstance(stored, dict):
            return self
        filled = room.fill(stored, values)
        return self if filled is None else self._replace_metadata(filled)

    def _replace_metadata(self, stored: JSONValue) -> Self:
        try:
            metadata = self.decode_field("metadata", stored)
        except ValueError as error:
            reason = f"values of event_metadata() do not fit: {describe(error)}"
            raise InvalidEventDataError(self.type, [Violation("metadata", reason)]) from error
        event = object.__new__(type(self))
        event.__dict__.update(self.__dict__, metadata=metadata)
        return event

    def _encode(self, each: _DataField) -> JSONValue | Absent:
        value = getattr(self, each.name)
        if value is None and each.is_optional:
            return ABSENT
        encoded = self.encode_field(each.name, value)
        check_json(encoded, each.name)
        return encoded


def index_event_types(event_types: Iterable[Callable[..., E]]) -> dict[str, type[E]]:
    """Return the event types of a store by their names.

    Raises:
        InvalidEventTypeError: two of them share a name, or one has none.
    """
    index: dict[str, type[E]] = {}
    for each in event_types:
        if not isinstance(each, type) or not issubclass(each, Event):
            raise TypeError(f"{each!r} is not a subclass of Event")
        event_type = cast("type[E]", each)
        if "type" not in vars(event_type):
            raise InvalidEventTypeError(event_type.__name__, "is abstract: declare it with type=")
        if index.setdefault(event_type.type, event_type) is not event_type:
            raise InvalidEventTypeError(event_type.type, "is the name of two classes of one store")
    if not index:
        raise ValueError("event_types is empty")
    return index


def _checked_id(event_type: str, aggregate_id: object) -> str:
    if not isinstance(aggregate_id, str):
        reason = f"is not a string: {aggregate_id!r}"
    elif not aggregate_id:
        reason = "is empty"
    elif not is_unicode(aggregate_id):
        reason = f"is not well-formed Unicode: {aggregate_id!r}"
    else:
        return str.__str__(aggregate_id)  # a plain one: an enum's member formats as its name
    raise InvalidEventError(event_type, "aggregate_id", reason)


def _check_version(event_type: str, version: object) -> None:
    if type(version) is not int:
        raise InvalidEventError(event_type, "version", f"is not an integer: {version!r}")
    if not 1 <= version <= MAX_VERSION:
        raise InvalidEventError(event_type, "version", f"is not from 1 to 2**53 - 1: {version}")


def _checked_timestamp(event_type: str, timestamp: object) -> datetime:
    if not isinstance(timestamp, datetime):
        raise InvalidEventError(event_type, "timestamp", f"is not a datetime: {timestamp!r}")
    try:
        return to_utc_milliseconds(timestamp)
    except ValueError as error:
        raise InvalidEventError(event_type, "timestamp", str(error)) from None
