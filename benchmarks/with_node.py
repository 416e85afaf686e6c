"""Libraries of Node on PostgreSQL, in processes of their own, which measure themselves."""

import asyncio
import json
import shutil
import subprocess
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from postgres_server import Schema

SOURCE = Path(__file__).parent / "postgres_node"
DIRECTORY = Path(__file__).parents[1] / ".services" / "postgres_node"
CONNECTIONS = 16
LONGEST_ANSWER = 2**20  # bytes


@cache
def find_node() -> bool:
    """Install the libraries from npm beside the servers of tests; say so where that fails."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        print("Castore and EvtStore on Node: left out, because there is no node or npm")
        return False
    shutil.copytree(SOURCE, DIRECTORY, dirs_exist_ok=True)
    install = ("npm", "install", "--silent", "--no-audit", "--no-fund", "--no-package-lock")
    if subprocess.run(install, cwd=DIRECTORY, check=False).returncode != 0:
        print("Castore and EvtStore on Node: left out, because npm could not install them")
        return False
    return True


class OnNode:
    """A program of Node that is asked for work, a line of JSON at a time."""

    name: str
    _program: str
    _process: Process

    async def open(self, schema: Schema) -> None:
        """Start it; it creates its tables."""
        self._process = await asyncio.create_subprocess_exec(
            *("node", "--no-warnings", self._program, schema.get_node_url(CONNECTIONS)),
            cwd=DIRECTORY,
            stdin=PIPE,
            stdout=PIPE,
            limit=LONGEST_ANSWER,
        )
        await self._read()

    async def close(self) -> None:
        """Let it end."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()

    async def show(self, setting: str) -> object:
        """Ask a connection that writes."""
        return (await self._ask("show", setting=setting))["value"]

    async def fill(self, versions: Mapping[str, int]) -> None:
        """Write that many events of each aggregate."""
        await self._ask("fill", versions=versions)

    async def push(self, ids: Sequence[str], count: int) -> float:
        """Push so many versions of each aggregate, the aggregates at a time; return the seconds."""
        seconds: float = (await self._ask("push", ids=ids, count=count))["seconds"]
        return seconds

    async def load(self, aggregate_id: str, times: int) -> tuple[int, float]:
        """Load an aggregate so many times; return its version and the seconds."""
        answer = await self._ask("load", id=aggregate_id, times=times)
        return answer["value"], answer["seconds"]

    async def scan(self, batch: int) -> tuple[int, float]:
        """Read all events; return their number and the seconds."""
        answer = await self._ask("scan", batch=batch)
        return answer["value"], answer["seconds"]

    async def _ask(self, work: str, **options: object) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"work": work, **options}).encode() + b"\n")
        await self._process.stdin.drain()
        return await self._read()

    async def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} has ended")
        answer: dict[str, Any] = json.loads(line)
        return answer


class CastoreOnNode(OnNode):
    """Castore, with its adapter for PostgreSQL. It has no log."""

    name = "Castore 2.4.2 on Node"
    _program = "castore.mjs"


class EvtStoreOnNode(OnNode):
    """EvtStore, with its provider for Postgres.js and no cache."""

    name = "EvtStore 12.0.1 on Node"
    _program = "evtstore.mjs"
