"""Values are shown as JSON that people recognize, whatever they are."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum, StrEnum
from types import MappingProxyType
from typing import Any

import pytest

from castore_core import Event, EventStore
from castore_core.display import to_json, to_json_state


class Colour(Enum):
    """An enum whose values are no texts."""

    RED = (1, 0, 0)


class Size(StrEnum):
    """An enum whose values are texts."""

    SMALL = "small"


@dataclass
class Point:
    """A dataclass."""

    x: int
    y: float


class Lamp:
    """An aggregate that is a plain object."""

    def __init__(self) -> None:
        self.aggregate_id = "lamp"
        self.version = 1
        self._cache = object()


class Model:
    """What a pydantic model looks like."""

    def model_dump(self, *, mode: str) -> dict[str, Any]:
        """Return its fields."""
        return {"mode": mode, "when": datetime(2026, 1, 1, tzinfo=UTC)}


class Lit(Event, type="LIT"):
    """An event without a payload."""


class ShoutingCodec:
    """Encodes aggregates in its own way."""

    def encode(self, aggregate: Any) -> Any:
        """Return an object that JSON does not have as a whole."""
        return {"ID": aggregate.aggregate_id.upper(), "SIZE": Size.SMALL}

    def decode(self, value: Any) -> Any:
        """Return it again."""
        return value


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, None),
        (True, True),
        (2**70, 2**70),
        (0.5, 0.5),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        (Colour.RED, [1, 0, 0]),
        (Size.SMALL, "small"),
        (datetime(2026, 1, 1, tzinfo=UTC), "2026-01-01T00:00:00.000Z"),
        (datetime(2026, 1, 1), "2026-01-01 00:00:00"),  # noqa: DTZ001 it has no zone
        (date(2026, 1, 1), "2026-01-01"),
        (Decimal("1.50"), "1.50"),
        (MappingProxyType({Size.SMALL: (1, {2})}), {"small": [1, [2]]}),
        ({8, 1}, [1, 8]),
        ({"b", "a", 1, None}, ["a", "b", 1, None]),
        (Point(1, float("inf")), {"x": 1, "y": "inf"}),
        (Lamp(), {"aggregate_id": "lamp", "version": 1}),
        (Model(), {"mode": "json", "when": "2026-01-01T00:00:00.000Z"}),
        (Point, str(Point)),
        (Model, str(Model)),
    ],
)
def test_values(value: object, shown: object) -> None:
    """A value is shown as JSON has it, and as a text where JSON lacks it."""
    assert shown == to_json(value)


def test_states() -> None:
    """An aggregate is shown as the codec of its store has it, or field by field."""
    plain: EventStore[Any, Any] = EventStore(
        "LAMPS", event_types=[Lit], reduce=lambda _, __: Lamp()
    )
    coded: EventStore[Any, Any] = EventStore(
        "LAMPS", event_types=[Lit], reduce=lambda _, __: Lamp(), aggregate_codec=ShoutingCodec()
    )
    assert {"aggregate_id": "lamp", "version": 1} == to_json_state(plain, Lamp())
    assert {"ID": "LAMP", "SIZE": "small"} == to_json_state(coded, Lamp())
