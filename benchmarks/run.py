"""Measures castore beside its neighbours: ``scripts/bench --help`` tells the options."""

import asyncio
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from measuring import Measurement
from postgres import POSTGRES_SCENARIOS
from postgres_server import SERVER, describe_server
from redis_server import SERVER as REDIS_SERVER
from redis_server import describe_redis
from report import (
    describe_environment,
    print_environment,
    print_measurement,
    print_targets,
    write_json,
)
from scenarios import REDIS, SCENARIOS
from sizes import QUICK, Sizes

POSTGRES = "postgres"
"""All the scenarios on PostgreSQL."""

REPORT_WIDTH = 120
"""How many columns a report has that goes to a file."""


def main() -> None:
    """Run the scenarios that were asked for, print a table of each, and write JSON lines."""
    options = _parse_options()
    console = Console(width=None if sys.stdout.isatty() else REPORT_WIDTH)
    environment = describe_environment()
    print_environment(console, environment)
    measurements = asyncio.run(_run(options, console))
    print_targets(console, measurements)
    if options.json is not None:
        with options.json.open("w") as file:
            write_json(file, environment, measurements)


async def _run(options: Namespace, console: Console) -> list[Measurement]:
    sizes = QUICK if options.quick else Sizes()
    if options.rounds is not None:
        rounds: int = options.rounds
        sizes = replace(
            sizes, rounds=rounds, log_rounds=rounds, projection_rounds=rounds, starts=rounds
        )
    measurements: list[Measurement] = []
    for name in await _choose(options.only, console):
        async for each in SCENARIOS[name](sizes):
            print_measurement(console, each)
            measurements.append(each)
    return measurements


async def _choose(only: Sequence[str] | None, console: Console) -> list[str]:
    """Return the scenarios that were asked for, less those whose server does not answer."""
    names: list[str] = []
    for name in only or SCENARIOS:
        names += POSTGRES_SCENARIOS if name == POSTGRES else [name]
    missing: set[str] = set()
    if not POSTGRES_SCENARIOS.keys().isdisjoint(names):
        version = await describe_server()
        if not _tell_server(console, "PostgreSQL", version, SERVER):
            missing |= POSTGRES_SCENARIOS.keys()
    if REDIS in names and not _tell_server(console, "Redis", await describe_redis(), REDIS_SERVER):
        missing.add(REDIS)
    return [each for each in names if each not in missing]


def _tell_server(console: Console, name: str, version: str | None, url: str) -> bool:
    """Print the version of a server, and tell whether it answers."""
    if version is None:
        console.print(f"{name}: left out, because it does not answer at {url}")
        return False
    console.print(f"[dim]{name.lower():>13}[/]  {version}", highlight=False)
    return True


def _parse_options() -> Namespace:
    parser = ArgumentParser("scripts/bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few seconds, to see that it works")
    parser.add_argument(
        "--only", action="append", choices=[*SCENARIOS, POSTGRES], help="may be repeated"
    )
    parser.add_argument("--rounds", type=int, help="how often everybody has a turn")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write JSON lines")
    return parser.parse_args()


if __name__ == "__main__":
    main()
