"""What validation costs: plain events, those of castore-pydantic, and pydantic alone."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from castore_core import Event, EventRecord
from castore_pydantic import PydanticEvent
from measuring import Job, Measurement, interleave
from workload import ITEM_ADDED, ItemPayload, make_payload

BARE = "pydantic alone"
COUNT = 1000
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Price(BaseModel):
    """The price of the workload."""

    model_config = ConfigDict(frozen=True)
    amount: int
    currency: str


class Item(BaseModel):
    """The payload of the workload."""

    model_config = ConfigDict(frozen=True)
    sku: str
    title: str
    quantity: int
    price: Price
    discount: float | None
    gift: bool
    tags: list[str]
    warehouse: dict[str, str | int]
    note: str


class PlainItemAdded(Event, type=ITEM_ADDED):
    """It validates nothing of its payload."""

    payload: ItemPayload


class ItemAdded(PydanticEvent, type=ITEM_ADDED):
    """It validates its payload."""

    payload: Item


class BareItemAdded(BaseModel):
    """What a careful user of pydantic would write."""

    model_config = ConfigDict(frozen=True)
    aggregate_id: Annotated[str, Field(min_length=1)]
    version: Annotated[int, Field(ge=1)]
    type: Literal["ITEM_ADDED"] = ITEM_ADDED
    timestamp: AwareDatetime
    payload: Item


async def measure_validation(rounds: int) -> AsyncIterator[Measurement]:
    """Make events, read them from what is stored, and turn them into it."""
    payloads = [make_payload(number) for number in range(1, COUNT + 1)]
    numbered = list(enumerate(payloads, 1))
    yield await _measure("made", rounds, _make_makers(numbered))

    records = [
        EventRecord("a", number, ITEM_ADDED, NOW, _to_json(each)) for number, each in numbered
    ]
    stored = [each._asdict() for each in records]
    yield await _measure(
        "read",
        rounds,
        {
            BARE: lambda: [BareItemAdded.model_validate(each) for each in stored],
            "PydanticEvent": lambda: [ItemAdded.from_record(each) for each in records],
            "plain Event": lambda: [PlainItemAdded.from_record(each) for each in records],
        },
    )

    bare = [BareItemAdded.model_validate(each) for each in stored]
    validated = [ItemAdded.from_record(each) for each in records]
    plain = [PlainItemAdded.from_record(each) for each in records]
    yield await _measure(
        "encoded",
        rounds,
        {
            BARE: lambda: [each.model_dump(mode="json") for each in bare],
            "PydanticEvent": lambda: [each.to_record() for each in validated],
            "plain Event": lambda: [each.to_record() for each in plain],
        },
    )


def _make_makers(
    numbered: Sequence[tuple[int, ItemPayload]],
) -> Mapping[str, Callable[[], Sequence[object]]]:
    def envelope(version: int) -> dict[str, Any]:
        return {"aggregate_id": "a", "version": version, "timestamp": NOW}

    return {
        BARE: lambda: [
            BareItemAdded(**envelope(number), payload=Item.model_validate(each))
            for number, each in numbered
        ],
        "PydanticEvent": lambda: [
            ItemAdded(**envelope(number), payload=Item.model_validate(each))
            for number, each in numbered
        ],
        "plain Event": lambda: [
            PlainItemAdded(**envelope(number), payload=each) for number, each in numbered
        ],
    }


async def _measure(
    what: str, rounds: int, works: Mapping[str, Callable[[], Sequence[object]]]
) -> Measurement:
    jobs = {name: _to_job(work) for name, work in works.items()}
    seconds = await interleave(jobs, rounds=rounds, operations=COUNT)
    title = f"validation, {COUNT:,} events {what} (each)"
    return Measurement("validation", title, seconds, dict.fromkeys(seconds, BARE))


def _to_job(work: Callable[[], Sequence[object]]) -> Job:
    async def job(number: int) -> None:  # noqa: ARG001 every round is the same
        assert len(work()) == COUNT

    return job


def _to_json(payload: ItemPayload) -> dict[str, Any]:
    return {**payload}
