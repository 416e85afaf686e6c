"""A class of events is refused where it is declared, if its events would lose something."""

from dataclasses import field
from types import new_class
from typing import Annotated, Any, Generic, TypeVar

import pytest
from pydantic import BaseModel, ConfigDict, Field, SerializeAsAny
from typing_extensions import TypeAliasType

from castore_core import EventRecord
from castore_pydantic import PydanticCodec, PydanticEvent

T = TypeVar("T")

Models = TypeAliasType("Models", list[BaseModel])


def declare(annotation: Any) -> Any:
    """Return a class of events whose payload is of a type."""
    return new_class(
        "Held",
        (PydanticEvent,),
        {"type": "HELD"},
        lambda body: body.update(__module__=__name__, __annotations__={"payload": annotation}),
    )


@pytest.mark.parametrize(
    "annotation",
    [
        BaseModel,
        BaseModel | None,
        list[BaseModel],
        dict[str, tuple[int, BaseModel]],
        Annotated[BaseModel, Field(description="any model")],
        SerializeAsAny[BaseModel],
        Models,
        "BaseModel",
        "list[BaseModel] | None",
    ],
    ids=str,
)
def test_any_model_is_refused(annotation: Any) -> None:
    """BaseModel itself has no fields: those of a model would not be written."""
    with pytest.raises(TypeError, match=r"Held\.payload: the fields of a model would be lost"):
        declare(annotation)


class Boxed(PydanticEvent, Generic[T]):
    """An abstract base with a type parameter."""

    payload: list[T]


@pytest.mark.parametrize("annotation", ["BaseModel | Later", "Alias"])
def test_any_model_by_a_name_that_is_not_known_yet(annotation: str) -> None:
    """What cannot be seen at the declaration is refused at the first use."""
    event_type = declare(annotation)
    globals()["Later"], globals()["Alias"] = int, BaseModel

    with pytest.raises(TypeError, match=r"Held\.payload: the fields of a model would be lost"):
        event_type("a", 1, payload=1)
    del globals()["Later"], globals()["Alias"]


def test_any_model_as_a_type_argument() -> None:
    """A type argument is seen at the first use."""

    class ModelsBoxed(Boxed[BaseModel], type="MODELS_BOXED"):
        pass

    with pytest.raises(TypeError, match=r"ModelsBoxed\.payload: the fields of a model would be"):
        ModelsBoxed("a", 1, payload=[])


def test_codec_of_any_model_is_refused() -> None:
    """An aggregate of any model would lose its fields too."""
    any_model: Any = BaseModel

    with pytest.raises(TypeError, match="PydanticCodec: the fields of a model would be lost"):
        PydanticCodec(any_model)


# Defaults


class Team(BaseModel):
    """A model that is frozen, and has a list in it that is not."""

    model_config = ConfigDict(frozen=True)
    names: list[str]


class Met(PydanticEvent, type="MET"):
    """Its fields have defaults that can be changed."""

    payload: Team = Team(names=["Ash"])
    metadata: Team = field(default=Team(names=["Misty"]), repr=False)


def test_events_do_not_share_a_default() -> None:
    """A change of one event reaches no other one, neither made nor read."""
    event = Met("a", 1)
    event.payload.names.append("Brock")
    event.metadata.names.append("Brock")
    read = Met.from_record(EventRecord("a", 1, "MET", event.timestamp))

    for other in (Met("a", 1), read):
        assert ["Ash"] == other.payload.names
        assert ["Misty"] == other.metadata.names
    assert "Misty" not in repr(event)


def test_default_may_be_a_list() -> None:
    """As in a model, each event gets a list of its own."""

    class Listed(PydanticEvent, type="LISTED"):
        payload: list[int] = []

    Listed("a", 1).payload.append(1)

    assert [] == Listed("a", 1).payload


class Caught(Met, type="CAUGHT"):
    """It inherits the defaults."""


def test_default_is_inherited() -> None:
    """A subclass has the default of its base."""
    assert ["Ash"] == Caught("a", 1).payload.names
