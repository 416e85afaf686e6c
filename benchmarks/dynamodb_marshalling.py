"""Times the marshalling of castore-dynamodb beside that of boto3.

Run it with `uv run python benchmarks/dynamodb_marshalling.py`.
"""

import timeit
from collections.abc import Callable

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer

from castore_core import JSONValue
from castore_dynamodb._marshal import (
    marshal,
    unmarshal,
)

CALLS = 5_000
PAYLOADS: dict[str, JSONValue] = {
    "flat, 3 fields": {"name": "Pikachu", "level": 7, "wild": True},
    "nested, 25 values": {
        "name": "Pikachu",
        "level": 7,
        "moves": ["thunder", "tackle", {"power": 90.5, "points": 35}],
        "trainer": {"id": "ash", "badges": 8, "caught": True, "nickname": None},
        "note": "x" * 100,
        "stats": {"a": "b", "c": "d", "e": "f", "g": 1.25, "h": -3, "i": ["k", "l", "m"]},
    },
    "a list of 100 texts": list[JSONValue](["text"] * 100),
    "a list of 100 numbers": list[JSONValue](range(100)),
}


def measure(call: Callable[[], object]) -> float:
    """Return the microseconds of a call, in the best of several runs."""
    return min(timeit.repeat(call, number=CALLS, repeat=5)) / CALLS * 1e6


def main() -> None:
    """Print a table."""
    read, write = TypeDeserializer().deserialize, TypeSerializer().serialize
    print("us for a payload        unmarshal    boto3    marshal    boto3")
    for name, payload in PAYLOADS.items():
        attribute = marshal(payload)
        decimals = read(attribute)  # type: ignore[arg-type]
        times = [
            measure(lambda: unmarshal(attribute)),  # noqa: B023 called at once
            measure(lambda: read(attribute)),  # type: ignore[arg-type]  # noqa: B023
            measure(lambda: marshal(payload)),  # noqa: B023
            measure(lambda: write(decimals)),  # noqa: B023
        ]
        print(f"{name:22}", *(f"{each:10.2f}" for each in times))


if __name__ == "__main__":
    main()
