"""Values of any type that pydantic knows, validated, and as JSON values."""

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from functools import partial
from threading import RLock
from typing import Any, Final, Generic, TypeVar, cast

from pydantic import TypeAdapter
from pydantic_core import PydanticSerializationError, to_json

from castore_core import ABSENT, Absent, JSONValue
from castore_pydantic._comparison import Change, find_change
from castore_pydantic._schema import StoredJsonSchema

T = TypeVar("T")

_BUILDING: Final = RLock()  # pydantic builds one thing at a time: classes may refer to each other


class ValueCodec(Generic[T]):
    """Validates the values of one type, and turns them into JSON values and back.

    The validator is built once, at the first use: a program that only imports a module with a
    hundred event types does not wait for a hundred validators, and types may be defined later.
    """

    __slots__ = ("_adapter", "_find_type")

    def __init__(self, find_type: Callable[[], Any]) -> None:
        self._find_type = find_type
        self._adapter: TypeAdapter[T] | None = None

    def prepare(self) -> None:
        """Build what is needed, or raise what pydantic raises for a type that it cannot handle."""
        if self._adapter is None:
            self._build()

    def validate(self, value: object) -> T:
        """Return the valid value, or raise pydantic's ``ValidationError``."""
        adapter = self._adapter or self._build()
        valid: T = adapter.validator.validate_python(value)
        return valid

    def encode(self, value: T) -> JSONValue:
        """Return the JSON value under the aliases, or raise ``PydanticSerializationError``."""
        adapter = self._adapter or self._build()
        try:
            encoded: JSONValue = adapter.serializer.to_python(
                value, mode="json", by_alias=True, round_trip=True, warnings="error"
            )
        except AttributeError as error:  # a dataclass of another class does not have the fields
            raise PydanticSerializationError(str(error)) from error
        return encoded

    def encode_given(self, value: T) -> JSONValue | Absent:
        """Return the JSON value without the fields that models filled in by themselves.

        It is `ABSENT` where the value holds a set, whose order is another in each process. Raises
        ``PydanticSerializationError``.
        """
        adapter = self._adapter or self._build()
        dump = partial(
            adapter.serializer.to_python,
            value,
            by_alias=True,
            exclude_unset=True,
            warnings="none",
        )
        encoded: JSONValue = dump(mode="json")
        return ABSENT if _holds_set(dump(mode="python")) else encoded

    def find_change(self, value: T, encoded: JSONValue) -> Change | None:
        """Return where a value would be read as another one, or raise ``ValidationError``."""
        return find_change(value, self.decode(encoded))

    def decode(self, value: object) -> T:
        """Return what a JSON value stands for, or raise pydantic's ``ValidationError``.

        It is read as JSON text is, where a strict model takes a moment that is a text.
        """
        return self.decode_text(to_json(value))

    def decode_text(self, text: str | bytes | bytearray) -> T:
        """Return what a JSON text stands for, or raise pydantic's ``ValidationError``."""
        adapter = self._adapter or self._build()
        valid: T = adapter.validator.validate_json(text, by_alias=True)
        return valid

    def get_schema(self) -> dict[str, Any]:
        """Return the JSON schema of what `encode` returns."""
        adapter = self._adapter or self._build()
        return adapter.json_schema(mode="serialization", schema_generator=StoredJsonSchema)

    def get_output_schema(self) -> dict[str, Any]:
        """Return the JSON schema of what pydantic writes, with computed fields."""
        adapter = self._adapter or self._build()
        return adapter.json_schema(mode="serialization")

    def get_input_schema(self) -> dict[str, Any]:
        """Return the JSON schema of what `decode` takes."""
        adapter = self._adapter or self._build()
        return adapter.json_schema(mode="validation")

    def _build(self) -> TypeAdapter[T]:
        with _BUILDING:
            if self._adapter is None:
                self._adapter = TypeAdapter(self._find_type())
            return self._adapter


def _holds_set(value: object) -> bool:
    match value:
        case dict():
            return any(map(_holds_set, cast("dict[object, object]", value).values()))
        case list() | tuple():
            return any(map(_holds_set, cast("Sequence[object]", value)))
        case _:
            return isinstance(value, AbstractSet)
