"""A process that sends commands with keys.

``python keyed_senders.py PLACE send COUNT`` runs so many commands, each with a key of its own, one
after the other, and writes each output as a line. ``python keyed_senders.py PLACE race COUNT``
writes the line ``ready``, waits for a line, and runs so many commands with one key at once. PLACE
is the URL of a database and the arguments of its driver, as JSON.
"""

import asyncio
import json
import sys

from castore_sql import SQLEventStorageAdapter
from counting import Place
from deposits import insist, make_deposit, make_store
from sql_servers import dispose


async def run(place: Place, kind: str, count: int) -> None:
    """Do what a process is for."""
    engine = place.create_engine()
    adapter = SQLEventStorageAdapter(engine)
    await adapter.create_tables()
    store = make_store(adapter)
    deposit = make_deposit(store)

    async def send(request: str) -> str:
        keyed = deposit.with_idempotency_key(request)
        return await insist(lambda: keyed(request, (store,), "account 0"))

    if kind == "send":
        for number in range(count):
            tell(f"{number} {await send(f'request {number}')}")
    else:
        await store.get_events("account 0")  # opens a connection
        tell("ready")
        sys.stdin.readline()
        for each in await asyncio.gather(*(send("request") for _ in range(count))):
            tell(each)
    await dispose(engine)


def tell(line: str) -> None:
    """Write a line, at once."""
    print(line, flush=True)  # noqa: T201 the parent reads it


if __name__ == "__main__":
    place, kind, count = sys.argv[1:]
    asyncio.run(run(Place(*json.loads(place)), kind, int(count)))
