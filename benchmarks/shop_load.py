"""Puts the shop of examples/ under load: requests a second, and how long they take.

Run it with `uv run python benchmarks/shop_load.py`. One uvicorn process serves SQLite, and then
PostgreSQL where it answers. The clients share the machine with it.
"""

import asyncio
import os
import sys
from argparse import ArgumentParser
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, TypeAlias

from httpx2 import AsyncClient, ConnectError
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from postgres_server import created_database, describe_server
from report import describe_environment, print_environment

PORT = 4699
CLIENTS = 16
PRODUCTS = 200
PATIENCE = 30.0  # seconds until the server answers
EXAMPLES = Path(__file__).parent.parent / "examples"

Request: TypeAlias = Callable[[AsyncClient, int], Awaitable[Any]]


def make_basket(product: int) -> dict[str, Any]:
    """Return the body of an order of one piece."""
    lines = {f"product-{product}": {"quantity": 1, "price": 100}}
    return {"customer_id": "misty", "lines": lines}


async def show_nothing(client: AsyncClient, _: int) -> int:
    """Ask for what is not there: the share of FastAPI, uvicorn and the client."""
    return (await client.get("/nothing")).status_code


async def place_order(client: AsyncClient, number: int) -> int:
    """Order one of many products."""
    path, basket = f"/orders/order-{number}", make_basket(number % PRODUCTS)
    return (await client.put(path, json=basket)).status_code


async def place_order_once(client: AsyncClient, number: int) -> int:
    """Order one of many products, with an idempotency key."""
    path, basket = f"/orders/once-{number}", make_basket(number % PRODUCTS)
    headers = {"Idempotency-Key": f"click-{number}"}
    return (await client.put(path, json=basket, headers=headers)).status_code


async def place_order_of_one_product(client: AsyncClient, number: int) -> int:
    """Order the product that all want."""
    return (await client.put(f"/orders/hot-{number}", json=make_basket(0))).status_code


async def show_order(client: AsyncClient, number: int) -> int:
    """Load an order."""
    return (await client.get(f"/orders/order-{number % CLIENTS}")).status_code


async def list_products(client: AsyncClient, _: int) -> int:
    """Read the catalogue of all products."""
    return (await client.get("/products")).status_code


REQUESTS: dict[str, tuple[Request, int]] = {
    "nothing (404)": (show_nothing, 404),
    "place an order": (place_order, 201),
    "place an order, with a key": (place_order_once, 201),
    "place an order, all of one product": (place_order_of_one_product, 201),
    "show an order": (show_order, 200),
    "list 200 products": (list_products, 200),
}


@asynccontextmanager
async def served(url: str) -> AsyncGenerator[str]:
    """Serve the shop on a database, and give its address."""
    environment = {**os.environ, "SHOP_DATABASE": url, "PYTHONPATH": str(EXAMPLES)}
    options = ["--factory", "shop.fastapi_app:create_app", f"--port={PORT}", "--no-access-log"]
    command = [sys.executable, "-m", "uvicorn", *options, "--log-level=warning"]
    process = await asyncio.create_subprocess_exec(*command, env=environment)
    address = f"http://127.0.0.1:{PORT}"
    try:
        await _wait_for(address)
        yield address
    finally:
        process.terminate()
        await process.wait()


async def _wait_for(address: str) -> None:
    async with AsyncClient(base_url=address) as client:
        deadline = perf_counter() + PATIENCE
        while True:
            try:
                await client.get("/nothing")
            except ConnectError:
                if perf_counter() > deadline:
                    raise
                await asyncio.sleep(0.05)
            else:
                return


async def measure(address: str, request: Request, expected: int, seconds: float) -> list[float]:
    """Return the seconds that each request took, of clients that send one after the other."""
    numbers, durations = count(), list[float]()
    end = perf_counter() + seconds

    async def run_client() -> None:
        async with AsyncClient(base_url=address, timeout=60) as client:
            while (began := perf_counter()) < end:
                if (status := await request(client, next(numbers))) != expected:
                    raise RuntimeError(f"{status} instead of {expected}")
                durations.append(perf_counter() - began)

    async with asyncio.TaskGroup() as group:
        for _ in range(CLIENTS):
            group.create_task(run_client())
    return durations


async def measure_all(console: Console, database: str, url: str, seconds: float) -> None:
    """Measure all the requests on a database, and print a table."""
    table = Table(box=SIMPLE_HEAD, title=database, title_justify="left", title_style="bold")
    for each in ("request", "a second", "p50 ms", "p99 ms"):
        table.add_column(each, justify="left" if each == "request" else "right")
    async with served(url) as address:
        async with AsyncClient(base_url=address) as client:
            for number in range(PRODUCTS):
                product = {"name": f"Product {number}", "price": 100, "stock": 10**6}
                await client.put(f"/products/product-{number}", json=product)
        for name, (request, expected) in REQUESTS.items():
            found = [each * 1000 for each in await measure(address, request, expected, seconds)]
            cuts = quantiles(found, n=100)
            rate = len(found) / seconds
            table.add_row(name, f"{rate:,.0f}", f"{cuts[49]:.1f}", f"{cuts[98]:.1f}")
    console.print(table)


async def main(seconds: float) -> None:
    """Measure both databases."""
    console = Console()
    print_environment(console, describe_environment())
    console.print(f"{CLIENTS} clients, one uvicorn process, {seconds:g} s for each kind of request")
    with TemporaryDirectory() as directory:
        url = f"sqlite+aiosqlite:///{directory}/shop.db"
        await measure_all(console, "SQLite (aiosqlite)", url, seconds)
    if await describe_server() is None:
        console.print("PostgreSQL does not answer: scripts/services start")
        return
    async with created_database() as url:
        await measure_all(console, "PostgreSQL (asyncpg)", url, seconds)


if __name__ == "__main__":
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="for each kind of request")
    asyncio.run(main(parser.parse_args().seconds))
