"""Events whose payload and metadata are validated by pydantic."""

from dataclasses import fields
from functools import partial
from typing import Any, ClassVar, Final

from pydantic import ValidationError

from castore_core import (
    Event,
    InvalidEventDataError,
    JSONSchema,
    JSONValue,
    MetadataRoom,
    find_schema_room,
)
from castore_pydantic._annotations import get_local_names
from castore_pydantic._codec import ValueCodec
from castore_pydantic._declaration import check_declared, copy_defaults, find_declared_type
from castore_pydantic._room import find_model_room
from castore_pydantic._violations import describe, explain_change, find_violations

_DATA_FIELDS: Final = ("payload", "metadata")


class PydanticEvent(Event):
    """An event whose ``payload`` and ``metadata`` may be of any type that pydantic knows.

    Declare it as any `Event`. A model will do, a dataclass, a ``TypedDict``, a union, a
    ``datetime``, an ``Annotated`` type::

        class PokemonAppeared(PydanticEvent, type="POKEMON_APPEARED"):
            payload: Appeared
            metadata: Trigger | None = None

    The payload and metadata are validated, and the event holds the valid values. They are stored as
    JSON, under the aliases of their models and without computed fields, and validated again when
    they are read. The settings of the models (strict, alias, extra, frozen) are honoured.

    A value that is changed after it was validated is not validated again until it is pushed, so
    make models frozen. Values that could not be read again, or would be read as something else, are
    refused before they are written.

    Raises:
        InvalidEventDataError: payload or metadata is not valid.
        InvalidEventError: as for `Event`.
        TypeError: as for `Event`; or a class names ``BaseModel`` itself, whose fields nobody knows.
    """

    _codecs: ClassVar[dict[str, ValueCodec[Any]]] = {}
    _local_names: ClassVar[dict[str, Any]] = {}

    def __init_subclass__(cls, *, type: str | None = None) -> None:
        copy_defaults(cls, _DATA_FIELDS)
        super().__init_subclass__(type=type)
        data = [each for each in fields(cls) if each.name in _DATA_FIELDS]
        cls._codecs = {
            each.name: ValueCodec(partial(find_declared_type, cls, each.name)) for each in data
        }
        cls._local_names = get_local_names(cls, [each.type for each in data])
        for each in data:
            check_declared(cls, each)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, codec in self._codecs.items():
            value = getattr(self, name)
            try:
                valid = codec.validate(value)
            except ValidationError as error:
                violations = find_violations(error, name)
                raise InvalidEventDataError(self.type, violations) from error
            if valid is not value:
                object.__setattr__(self, name, valid)

    @classmethod
    def encode_field(cls, name: str, value: Any) -> JSONValue:
        """Turn the value of ``payload`` or ``metadata`` (the ``name``) into a JSON value.

        Raises:
            InvalidEventDataError: there is no JSON for the value, or it could not be read again, or
                would be read as something else.
        """
        codec = cls._codecs[name]
        try:
            encoded = codec.encode(value)
            change = codec.find_change(value, encoded)
        except ValueError as error:  # also the serializer's
            raise InvalidEventDataError(cls.type, find_violations(error, name)) from error
        if change:
            raise InvalidEventDataError(cls.type, [explain_change(name, encoded, change)])
        return encoded

    @classmethod
    def decode_field(cls, name: str, value: JSONValue) -> Any:
        """Turn a stored JSON value back into that of ``payload`` or ``metadata`` (the ``name``).

        Raises:
            ValueError: the stored value is not valid. The text has the path to each violation.
        """
        try:
            return cls._codecs[name].decode(value)
        except ValidationError as error:
            raise ValueError(describe(error, name)) from error

    @classmethod
    def field_schema(cls, name: str) -> JSONSchema | None:
        """Return the JSON schema of the stored ``payload`` or ``metadata`` (the ``name``)."""
        return cls._codecs[name].get_schema()

    def get_metadata_room(self) -> MetadataRoom | None:
        """Return the keys that `event_metadata` may add, or ``None`` where there is no room.

        These are the aliases of the model's fields, and any key where it has ``extra="allow"``.
        """
        return find_model_room(getattr(self, "metadata", None)) or super().get_metadata_room()

    @classmethod
    def _find_declared_room(cls) -> MetadataRoom | None:
        schema = cls.field_schema("metadata") if "metadata" in cls._codecs else None
        return find_schema_room(schema, is_open_by_default=False)
