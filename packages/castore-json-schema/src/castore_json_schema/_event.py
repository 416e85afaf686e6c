"""Events whose payload and metadata fit a JSON schema."""

from collections.abc import Iterator
from dataclasses import fields
from typing import ClassVar, NamedTuple, Self

from castore_core import (
    ABSENT,
    CastoreError,
    Event,
    EventRecord,
    InvalidEventDataError,
    JSONSchema,
    MetadataRoom,
    Violation,
    find_schema_room,
)
from castore_json_schema._registry import SchemaRegistry
from castore_json_schema._validator import SchemaValidator
from castore_json_schema.errors import InvalidSchemaError

_DATA_FIELDS = ("payload", "metadata")


class _CheckedField(NamedTuple):
    name: str
    is_optional: bool
    validator: SchemaValidator


class JSONSchemaEvent(Event):
    """An event whose ``payload`` and ``metadata`` are validated.

    A subclass says with which JSON schemas (draft 2020-12), beside the fields themselves::

        class PokemonAppeared(JSONSchemaEvent, type="POKEMON_APPEARED"):
            payload_schema = APPEARED_SCHEMA
            payload: AppearedPayload

    The schemas are of the JSON values that are stored. An event is validated when it is made, when
    it is encoded (its payload may have been changed since) and when it is read. A field without a
    schema is not validated, nor is one that is left out.

    `event_metadata` may add the keys that the schema of the metadata and its annotation allow.

    Schemas are inherited. They are read when the class is made; later changes have no effect.

    Raises:
        InvalidEventDataError: payload or metadata does not fit its schema.
        NotJSONError: it is not made of JSON values.
        InvalidSchemaError: at the definition of a class: a schema is broken, or is of a field
            that the class does not have.
    """

    payload_schema: ClassVar[JSONSchema | None] = None
    metadata_schema: ClassVar[JSONSchema | None] = None
    schema_registry: ClassVar[SchemaRegistry | None] = None
    """Definitions that the schemas refer to, and formats of your own."""

    _validators: ClassVar[dict[str, SchemaValidator]] = {}
    _checked_fields: ClassVar[tuple[_CheckedField, ...]] = ()

    def __init_subclass__(cls, *, type: str | None = None) -> None:
        super().__init_subclass__(type=type)
        cls._validators = dict(cls._find_validators())
        cls._checked_fields = tuple(cls._find_checked_fields())

    def __post_init__(self) -> None:
        super().__post_init__()
        violations: tuple[Violation, ...] = ()
        for name, is_optional, validator in self._checked_fields:
            value = getattr(self, name)
            if value is not None or not is_optional:
                violations += validator.find_violations(self.encode_field(name, value))
        if violations:
            raise InvalidEventDataError(self.type, violations)

    def to_record(self) -> EventRecord:
        """Encode the event for storage.

        Raises:
            InvalidEventDataError: payload or metadata was changed, and does not fit any more.
            NotJSONError: it is not made of JSON values.
        """
        record = super().to_record()
        self._check_record(record)
        return record

    @classmethod
    def from_record(cls, record: EventRecord) -> Self:
        """Decode a stored event.

        Raises:
            InvalidEventDataError: the stored payload or metadata does not fit its schema.
            ValueError: a field without a default is absent, `decode_field` refused its value, or
                a format of your own raised one.
        """
        try:
            cls._check_record(record)
        except CastoreError:
            raise
        except ValueError as error:  # its text may have the value
            raise ValueError(f"a format raised {type(error).__name__}") from error
        return super().from_record(record)

    @classmethod
    def field_schema(cls, name: str) -> JSONSchema | None:
        """Return a copy of the schema of ``payload`` or ``metadata`` (the ``name``), if any."""
        validator = cls._validators.get(name)
        return validator.get_schema() if validator else None

    @classmethod
    def _find_declared_room(cls) -> MetadataRoom | None:
        annotated = super()._find_declared_room()
        if "metadata" not in cls._validators:
            return annotated
        allowed = find_schema_room(cls.field_schema("metadata"))
        return allowed.meet(annotated) if allowed and annotated else allowed

    @classmethod
    def _check_record(cls, record: EventRecord) -> None:
        violations: tuple[Violation, ...] = ()
        for name, _, validator in cls._checked_fields:
            value = getattr(record, name)
            if value is not ABSENT:
                violations += validator.find_violations(value)
        if violations:
            raise InvalidEventDataError(cls.type, violations)

    @classmethod
    def _find_validators(cls) -> Iterator[tuple[str, SchemaValidator]]:
        for name in _DATA_FIELDS:
            attribute = f"{name}_schema"
            owner = next(each for each in cls.__mro__ if attribute in vars(each))
            schema: JSONSchema | None = vars(owner)[attribute]
            if schema is None:
                continue
            if owner is not cls and issubclass(owner, JSONSchemaEvent):
                validator = owner._validators[name]
            else:
                registry = cls.schema_registry
                validator = SchemaValidator(cls.__name__, name, schema, registry)
            yield name, validator

    @classmethod
    def _find_checked_fields(cls) -> Iterator[_CheckedField]:
        is_optional = {each.name: each.default is None for each in fields(cls)}
        is_abstract = "type" not in vars(cls)
        for name, validator in cls._validators.items():
            if name in is_optional:
                yield _CheckedField(name, is_optional[name], validator)
            elif not is_abstract:
                fault = Violation(f"{name}_schema", f"there is no field {name!r}")
                raise InvalidSchemaError(cls.__name__, [fault])
