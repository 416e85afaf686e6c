"""Measures what validation costs: `uv run --group bench python benchmarks/json_schema.py`.

With `--with 'jsonschema[format-nongpl]'`, the validator in Python has its turns too.
"""

import asyncio
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import jsonschema_rs
from rich.console import Console

from castore_core import Event
from castore_json_schema import JSONSchemaEvent
from measuring import Job, Measurement, interleave
from report import describe_environment, print_environment, print_measurement
from workload import ItemPayload, make_payload

ROUNDS = 15
EVENTS = 1000

NOW = datetime(2024, 1, 1, tzinfo=UTC)

TEXT_SCHEMA = {"type": "string", "minLength": 1}
ITEM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "sku": {"type": "string", "pattern": "^SKU-[0-9]{8}$"},
        "title": TEXT_SCHEMA,
        "quantity": {"type": "integer", "minimum": 1},
        "price": {
            "type": "object",
            "properties": {"amount": {"type": "integer"}, "currency": {"enum": ["EUR", "JPY"]}},
            "required": ["amount", "currency"],
            "additionalProperties": False,
        },
        "discount": {"type": ["number", "null"], "minimum": 0, "maximum": 1},
        "gift": {"type": "boolean"},
        "tags": {"type": "array", "items": TEXT_SCHEMA},
        "warehouse": {"type": "object", "additionalProperties": {"type": ["string", "integer"]}},
        "note": {"type": "string"},
    },
    "required": ["sku", "title", "quantity", "price"],
    "additionalProperties": False,
}


class PlainItemAdded(Event, type="ITEM_ADDED"):
    """It is not validated."""

    payload: ItemPayload


class ItemAdded(JSONSchemaEvent, type="ITEM_ADDED"):
    """It is validated."""

    payload_schema = ITEM_SCHEMA
    payload: ItemPayload


PAYLOADS = [make_payload(number) for number in range(EVENTS)]
RECORDS = [
    PlainItemAdded(aggregate_id="order", version=1, timestamp=NOW, payload=payload).to_record()
    for payload in PAYLOADS
]

_validator = jsonschema_rs.Draft202012Validator(ITEM_SCHEMA, validate_formats=True)


def construct(event_type: type[PlainItemAdded] | type[ItemAdded]) -> None:
    """Make the events."""
    for payload in PAYLOADS:
        event_type(aggregate_id="order", version=1, timestamp=NOW, payload=payload)


def read(event_type: type[PlainItemAdded] | type[ItemAdded]) -> None:
    """Decode the stored events."""
    for record in RECORDS:
        event_type.from_record(record)


def validate(is_valid: Callable[[Any], bool]) -> None:
    """Validate the payloads, and make no event."""
    for payload in PAYLOADS:
        assert is_valid(payload)


def get_validators() -> Iterable[tuple[str, Callable[[Any], bool]]]:
    """Yield those that are installed here."""
    yield "jsonschema-rs alone", _validator.is_valid
    if find_spec("jsonschema"):
        kind = import_module("jsonschema").Draft202012Validator
        yield "jsonschema alone", kind(ITEM_SCHEMA, format_checker=kind.FORMAT_CHECKER).is_valid


def to_job(work: Callable[[Any], None], argument: object) -> Job:
    """Return work that is done in each round."""

    async def run(_: int) -> None:
        work(argument)

    return run


async def measure(title: str, work: Callable[[Any], None]) -> Measurement:
    """Do the work with plain and with validated events, and validate alone beside it."""
    jobs = {"Event": to_job(work, PlainItemAdded), "JSONSchemaEvent": to_job(work, ItemAdded)}
    for name, is_valid in get_validators():
        jobs[name] = to_job(validate, is_valid)
    seconds = await interleave(jobs, rounds=ROUNDS, operations=EVENTS)
    return Measurement(title, title, seconds, dict.fromkeys(jobs, "Event"))


async def main() -> None:
    """Measure construction and reading, and print the medians and ratios for one event."""
    console = Console()
    print_environment(console, describe_environment())
    print_measurement(console, await measure("construction of an event", construct))
    print_measurement(console, await measure("reading of a stored event", read))


if __name__ == "__main__":
    asyncio.run(main())
