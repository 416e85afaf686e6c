"""Aggregates that pydantic turns into JSON values and back."""

from typing import Generic, TypeVar

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError
from typing_extensions import TypeForm

from castore_core import Aggregate, JSONSchema, JSONValue
from castore_pydantic._codec import ValueCodec
from castore_pydantic._violations import describe

A = TypeVar("A", bound=Aggregate)


class PydanticCodec(Generic[A]):
    """The codec of an aggregate that is a model, a dataclass, or a union of such.

    It is an `AggregateCodec`, for state-carrying messages and snapshots. Fields are written under
    their aliases and without computed fields, and are validated when they are read.
    """

    def __init__(self, aggregate_type: TypeForm[A]) -> None:
        self._codec: ValueCodec[A] = ValueCodec(lambda: aggregate_type)

    def encode(self, aggregate: A) -> JSONValue:
        """Return the aggregate as a JSON value.

        Raises:
            ValueError: a field holds something that is not of its type.
        """
        try:
            return self._codec.encode(aggregate)
        except PydanticSerializationError as error:
            raise ValueError(describe(error, "aggregate")) from error

    def decode(self, value: JSONValue) -> A:
        """Return the aggregate that a JSON value stands for.

        Raises:
            ValueError: the value is not valid. The text has the path to each violation.
        """
        try:
            return self._codec.decode(value)
        except ValidationError as error:
            raise ValueError(describe(error, "aggregate")) from error

    @property
    def schema(self) -> JSONSchema:
        """The JSON schema of an encoded aggregate."""
        return self._codec.get_schema()
