"""Aggregates that pydantic turns into JSON values and back."""

from collections.abc import Iterator
from types import UnionType
from typing import Annotated, Any, Generic, TypeVar, Union, get_args, get_origin

from pydantic import ValidationError
from typing_extensions import TypeForm

from castore_core import Aggregate, JSONSchema, JSONValue
from castore_pydantic._codec import ValueCodec
from castore_pydantic._declaration import refuse_bare_model
from castore_pydantic._violations import describe, explain_change

A = TypeVar("A", bound=Aggregate)


class PydanticCodec(Generic[A]):
    """The codec of an aggregate that is a model, a dataclass, or a union of such.

    It is an `AggregateCodec`, for state-carrying messages and snapshots. Fields are written under
    their aliases and without computed fields, and are validated when they are read. Values that
    could not be read again, or would be read as something else, are refused.
    """

    def __init__(self, aggregate_type: TypeForm[A]) -> None:
        refuse_bare_model(aggregate_type, "PydanticCodec")
        self._codec: ValueCodec[A] = ValueCodec(lambda: aggregate_type)
        self._classes = tuple(_find_classes(aggregate_type))

    def encode(self, aggregate: A) -> JSONValue:
        """Return the aggregate as a JSON value.

        Raises:
            TypeError: it is of another class than the codec.
            ValueError: a field holds something that is not of its type, or the aggregate would be
                read as another one.
        """
        if not isinstance(aggregate, self._classes):
            names = " or ".join(each.__qualname__ for each in self._classes)
            raise TypeError(f"the aggregate is no {names}, but a {type(aggregate).__qualname__}")
        try:
            encoded = self._codec.encode(aggregate)
            change = self._codec.find_change(aggregate, encoded)
        except ValueError as error:  # also the serializer's
            raise ValueError(describe(error, "aggregate")) from error
        if change:
            raise ValueError(str(explain_change("aggregate", encoded, change)))
        return encoded

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


def _find_classes(aggregate_type: Any) -> Iterator[type[Any]]:
    """Yield the classes that a type is made of."""
    origin = get_origin(aggregate_type)
    if hasattr(aggregate_type, "__value__"):  # type Alias = ...
        yield from _find_classes(aggregate_type.__value__)
    elif origin is Annotated:
        yield from _find_classes(get_args(aggregate_type)[0])
    elif origin in {Union, UnionType}:
        for each in get_args(aggregate_type):
            yield from _find_classes(each)
    else:
        found = origin or aggregate_type
        yield found if isinstance(found, type) else object  # of which nothing is known
