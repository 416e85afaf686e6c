"""A primary of a test's own, with a replica and a Sentinel that promotes it."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from redis.asyncio import Sentinel
from redis.exceptions import RedisError, ResponseError

from private_redis import PrivateRedis, private_redis

_NAME = "castore"
_PATIENCE = 30  # seconds


class Watched(NamedTuple):
    """Two servers, and what finds out which of them is the primary."""

    primary: PrivateRedis
    replica: PrivateRedis
    sentinel: Any

    def make_client(self) -> Any:
        """Return a client of the primary, whichever that is."""
        return self.sentinel.master_for(_NAME, socket_timeout=4.0)

    async def fail_over(self) -> None:
        """Promote the replica while the primary is alive: it becomes a replica."""
        watcher = self.sentinel.sentinels[0]
        async with asyncio.timeout(_PATIENCE):
            while True:
                with suppress(ResponseError):  # it does not know the replica well enough
                    await watcher.execute_command("SENTINEL FAILOVER", _NAME)
                    return
                await asyncio.sleep(0.1)

    async def has_promoted(self) -> bool:
        """Tell whether the replica is the primary by now."""
        found = await self._ask(self.sentinel.discover_master)
        return bool(found) and found[1] == self.replica.port

    async def knows_replica(self) -> bool:
        """Tell whether Sentinel has found the replica."""
        found = await self._ask(self.sentinel.discover_slaves)
        return bool(found) and found[0][1] == self.replica.port

    async def _ask(self, question: Callable[[str], Awaitable[Any]]) -> Any:
        try:
            return await question(_NAME)
        except (RedisError, OSError):
            return None


@asynccontextmanager
async def private_sentinel() -> AsyncGenerator[Watched]:
    """Start the servers; without the program, skip the test."""
    async with AsyncExitStack() as stack:
        primary = stack.enter_context(private_redis("--repl-diskless-sync-delay", "0"))
        replica = stack.enter_context(private_redis("--replicaof", f"127.0.0.1 {primary.port}"))
        port = await stack.enter_async_context(_running_sentinel(primary))
        sentinel: Any = Sentinel([("127.0.0.1", port)], socket_timeout=4.0)
        for each in sentinel.sentinels:
            stack.push_async_callback(each.aclose)
        watched = Watched(primary, replica, sentinel)
        async with asyncio.timeout(_PATIENCE):
            while not await watched.knows_replica():  # noqa: ASYNC110 it tells nobody
                await asyncio.sleep(0.05)
        yield watched


@asynccontextmanager
async def _running_sentinel(primary: PrivateRedis) -> AsyncGenerator[int]:
    directory = Path(tempfile.mkdtemp(prefix="castore-sentinel-"))
    port = PrivateRedis(directory).port
    config = directory / "sentinel.conf"
    config.write_text(
        f"port {port}\nbind 127.0.0.1\ndir {directory}\n"
        f"sentinel monitor {_NAME} 127.0.0.1 {primary.port} 1\n"
        f"sentinel down-after-milliseconds {_NAME} 500\n"
        f"sentinel failover-timeout {_NAME} 3000\n"
    )
    process = await asyncio.create_subprocess_exec(
        "redis-server", config, "--sentinel", stdout=asyncio.subprocess.DEVNULL
    )
    try:
        yield port
    finally:
        process.kill()
        await process.wait()
        shutil.rmtree(directory, ignore_errors=True)
