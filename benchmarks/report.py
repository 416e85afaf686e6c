"""What is printed, and what is written as JSON lines."""

import json
import os
import platform
import sqlite3
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory, gettempdir
from time import perf_counter
from typing import TextIO

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from measuring import Measurement, Spread

PACKAGES = (
    *("castore-core", "sqlalchemy", "orjson", "pydantic", "eventsourcing", "eventsource-py"),
    *("asyncpg", "psycopg", "castore-redis", "redis"),
)


def describe_environment() -> dict[str, object]:
    """Say where this runs. ``load_average`` tells how quiet the machine was."""
    return {
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "platform": platform.platform(),
        "cpu_count": os.cpu_count(),
        "load_average": [round(each, 2) for each in os.getloadavg()],
        "directory": gettempdir(),
        "fsync_us": round(_measure_fsync() * 1e6),
        "packages": {name: _find_version(name) for name in PACKAGES},
    }


def print_environment(console: Console, environment: dict[str, object]) -> None:
    """Print one line for each value."""
    for name, value in environment.items():
        console.print(f"[dim]{name:>13}[/]  {value}", highlight=False, soft_wrap=True)


def print_measurement(console: Console, measurement: Measurement) -> None:
    """Print a table of those who took part."""
    table = Table(
        box=SIMPLE_HEAD, title=measurement.title, title_justify="left", title_style="bold"
    )
    table.add_column("", min_width=40)
    table.add_column("pushes/s" if measurement.is_rate else "time", justify="right", min_width=10)
    table.add_column("ratio", justify="right", min_width=7)
    table.add_column("middle half", justify="right", min_width=15)
    for name, baseline in measurement.baselines.items():
        spread = measurement.get_spread(name)
        ratio = measurement.get_ratio(name, baseline, is_speed=measurement.is_rate)
        table.add_row(
            name,
            f"{1 / spread.median:,.0f}" if measurement.is_rate else format_time(spread.median),
            *(("1", "") if name == baseline else format_ratio(ratio)),
        )
    console.print(table)


def print_targets(console: Console, measurements: Iterable[Measurement]) -> None:
    """Print what the project wants to reach, and whether it does."""
    table = Table(box=SIMPLE_HEAD, title="targets", title_justify="left", title_style="bold")
    for name in ("", "of", "to", "ratio", "middle half", "target", ""):
        table.add_column(name, justify="left" if name in {"", "of", "to"} else "right")
    for measurement in measurements:
        for each in measurement.targets:
            ratio = measurement.get_ratio(each.of, each.to, is_speed=each.is_speed)
            is_met = each.is_met(ratio.median)
            table.add_row(
                measurement.title,
                each.of,
                each.to,
                *format_ratio(ratio),
                f"{'>=' if each.is_speed else '<='} {each.limit:g}",
                "[green]met[/]" if is_met else "[red]not met[/]",
            )
    if table.rows:
        console.print(table)


def write_json(file: TextIO, environment: dict[str, object], all_: Iterable[Measurement]) -> None:
    """Write the environment, each result and each target as one line of JSON."""
    lines: list[dict[str, object]] = [{"environment": environment}]
    for measurement in all_:
        lines += _to_lines(measurement)
    file.writelines(json.dumps(each) + "\n" for each in lines)


def format_time(seconds: float) -> str:
    """Write microseconds, or milliseconds from 1,000 of them on."""
    microseconds = seconds * 1e6
    if microseconds < 1000:  # noqa: PLR2004 from here on in milliseconds
        return f"{microseconds:,.1f} µs"
    return f"{microseconds / 1000:,.2f} ms"


def format_ratio(ratio: Spread) -> tuple[str, str]:
    """Write the median, and the middle half."""
    return f"{ratio.median:.2f}", f"{ratio.low:.2f} - {ratio.high:.2f}"


def _to_lines(measurement: Measurement) -> Iterable[dict[str, object]]:
    for name, baseline in measurement.baselines.items():
        yield {
            "scenario": measurement.scenario,
            "title": measurement.title,
            "name": name,
            "seconds": measurement.get_spread(name)._asdict(),
            "baseline": baseline,
            "ratio": measurement.get_ratio(name, baseline)._asdict(),
            "rounds": len(measurement.seconds[name]),
        }
    for each in measurement.targets:
        ratio = measurement.get_ratio(each.of, each.to, is_speed=each.is_speed)
        yield {
            "scenario": measurement.scenario,
            "title": measurement.title,
            "target": {"of": each.of, "to": each.to, "limit": each.limit, "speed": each.is_speed},
            "ratio": ratio._asdict(),
            "met": each.is_met(ratio.median),
        }


def _find_version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _measure_fsync() -> float:
    """Return the median seconds that the disk of the temporary directory takes for 4 KiB."""
    seconds: list[float] = []
    with TemporaryDirectory() as directory, (Path(directory) / "fsync").open("wb") as file:
        for _ in range(50):
            began = perf_counter()
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())
            seconds.append(perf_counter() - began)
    return median(seconds)
