"""Measures castore beside its neighbours: ``scripts/bench --help`` tells the options."""

import asyncio
import sys
from argparse import ArgumentParser, Namespace
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from measuring import Measurement
from report import (
    describe_environment,
    print_environment,
    print_measurement,
    print_targets,
    write_json,
)
from scenarios import QUICK, SCENARIOS, Sizes

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
        sizes = replace(
            sizes, rounds=options.rounds, log_rounds=options.rounds, starts=options.rounds
        )
    measurements: list[Measurement] = []
    for name in options.only or SCENARIOS:
        async for each in SCENARIOS[name](sizes):
            print_measurement(console, each)
            measurements.append(each)
    return measurements


def _parse_options() -> Namespace:
    parser = ArgumentParser("scripts/bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few seconds, to see that it works")
    parser.add_argument("--only", action="append", choices=SCENARIOS, help="may be repeated")
    parser.add_argument("--rounds", type=int, help="how often everybody has a turn")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write JSON lines")
    return parser.parse_args()


if __name__ == "__main__":
    main()
