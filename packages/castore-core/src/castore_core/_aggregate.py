"""Aggregates, and how they become JSON values and back."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, ClassVar, Generic, Protocol

from typing_extensions import TypeVar

from castore_core._json import JSONValue


class Aggregate(Protocol):
    """The state of an entity after its event number ``version``.

    Any class with these two attributes will do; a frozen dataclass is the usual choice.
    """

    @property
    def aggregate_id(self) -> str:
        """The id that all the events of the aggregate carry."""
        ...

    @property
    def version(self) -> int:
        """The version of the last event that the state includes."""
        ...


A = TypeVar("A", bound=Aggregate, default=Any)
A_co = TypeVar("A_co", bound=Aggregate, default=Any, covariant=True)


class AggregateCodec(Protocol[A]):
    """Turns aggregates into JSON values and back, for state-carrying messages and snapshots."""

    def encode(self, aggregate: A) -> JSONValue:
        """Return the aggregate as a JSON value. The caller checks that it is one."""
        ...

    def decode(self, value: JSONValue) -> A:
        """Return the aggregate that a JSON value stands for.

        Raises:
            ValueError: the value stands for no aggregate of this kind.
        """
        ...


class _DataclassInstance(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Any]]


class _DataclassAggregate(Aggregate, _DataclassInstance, Protocol):
    pass


D = TypeVar("D", bound=_DataclassAggregate)


class DataclassCodec(Generic[D]):
    """The codec of a dataclass whose fields hold JSON values.

    A field is written under its own name, or under the one that ``rename`` gives for it: with
    ``rename={"aggregate_id": "aggregateId"}`` a TypeScript service reads it. Keys that the class
    has no field for are passed over on reading, so that a newer writer does not break an older
    reader. There is no run-time validation.
    """

    def __init__(self, aggregate_type: type[D], *, rename: Mapping[str, str] | None = None) -> None:
        rename = rename or {}
        names = [each.name for each in fields(aggregate_type) if each.init]
        if unknown := sorted(rename.keys() - set(names)):
            raise ValueError(f"{aggregate_type.__name__} has no field {', '.join(unknown)}")
        self._aggregate_type = aggregate_type
        self._keys = {name: rename.get(name, name) for name in names}
        if len(set(self._keys.values())) < len(names):
            raise ValueError(f"two fields of {aggregate_type.__name__} get one name")

    def encode(self, aggregate: D) -> JSONValue:
        """Return the aggregate as an object with a key for each field."""
        return {key: getattr(aggregate, name) for name, key in self._keys.items()}

    def decode(self, value: JSONValue) -> D:
        """Return the aggregate that an object stands for.

        Raises:
            ValueError: the value is no object, or a field without a default is missing.
        """
        if not isinstance(value, dict):
            raise ValueError(f"an aggregate is an object, not {type(value).__name__}")
        given = {name: value[key] for name, key in self._keys.items() if key in value}
        try:
            return self._aggregate_type(**given)
        except TypeError as error:
            raise ValueError(str(error)) from error
