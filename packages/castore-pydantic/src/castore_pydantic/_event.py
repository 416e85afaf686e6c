"""Events whose payload and metadata are validated by pydantic."""

from dataclasses import fields
from functools import partial
from typing import Any, ClassVar, Final

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from castore_core import Event, InvalidEventDataError, JSONSchema, JSONValue
from castore_pydantic._annotations import find_field_type, get_local_names
from castore_pydantic._codec import ValueCodec
from castore_pydantic._violations import describe, explain_change, find_violations

_DATA_FIELDS: Final = ("payload", "metadata")


class PydanticEvent(Event):
    """An event whose ``payload`` and ``metadata`` may be of any type that pydantic knows.

    Declare it as any `Event`. A model will do, a dataclass, a ``TypedDict``, a union, a
    ``datetime``, an ``Annotated`` type::

        class PokemonAppeared(PydanticEvent, type="POKEMON_APPEARED"):
            payload: Appeared
            metadata: Trigger | None = None

    What an event is made of is validated, and the event holds the valid values. They are stored as
    JSON, under the aliases of their models and without computed fields, and validated again when
    they are read. The settings of the models (strict, alias, extra, frozen) are honoured.

    A value that is changed after it was validated is not validated again until it is pushed, so
    make models frozen. What could not be read again, or would be read as something else, is
    refused before it is written.

    Raises:
        InvalidEventDataError: payload or metadata is not valid.
        InvalidEventError: as for `Event`.
    """

    _codecs: ClassVar[dict[str, ValueCodec[Any]]] = {}
    _local_names: ClassVar[dict[str, Any]] = {}

    def __init_subclass__(cls, *, type: str | None = None) -> None:
        super().__init_subclass__(type=type)
        data = [each for each in fields(cls) if each.name in _DATA_FIELDS]
        for each in data:
            if isinstance(each.default, FieldInfo):
                raise TypeError(
                    f"{cls.__name__}.{each.name}: an event is a dataclass, which does not know "
                    "Field(): write Annotated[..., Field(...)] = default"
                )
        cls._codecs = {
            each.name: ValueCodec(partial(find_field_type, cls, each.name)) for each in data
        }
        cls._local_names = get_local_names(cls, [each.type for each in data])

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
            NotJSONError: it has a number that JSON does not have.
        """
        codec = cls._codecs[name]
        try:
            encoded = codec.encode(value)
            is_kept = codec.keeps(value, encoded)
        except ValueError as error:  # also the serializer's
            raise InvalidEventDataError(cls.type, find_violations(error, name)) from error
        if not is_kept:
            raise InvalidEventDataError(cls.type, [explain_change(name, encoded)])
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
