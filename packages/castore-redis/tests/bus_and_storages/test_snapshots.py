"""Snapshots in Redis: their time to live, and what is refused."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from redis.asyncio import Redis

from castore_core import NotJSONError, Snapshot, StorageError
from castore_redis import RedisSnapshotStorageAdapter

SHORT = timedelta(milliseconds=200)
Adapter = RedisSnapshotStorageAdapter


def make_snapshot(version: int, aggregate: Any = "state") -> Snapshot:
    """Return a snapshot."""
    return Snapshot("POKEMONS", "pikachu1", version, "1", aggregate)


async def get_version(adapter: Adapter) -> int | None:
    """Return the version of the newest snapshot."""
    found = await adapter.get_snapshot("POKEMONS", "pikachu1", reducer_version="1")
    return found and found.version


async def test_a_snapshot_runs_out(redis: Redis, reader: Redis, prefix: str) -> None:
    """Then no key is left; one that was put anew lives on."""
    adapter = Adapter(redis, key_prefix=prefix, ttl=SHORT)
    await adapter.put_snapshot(make_snapshot(1))
    await adapter.put_snapshot(make_snapshot(2))
    await asyncio.sleep(0.15)
    await adapter.put_snapshot(make_snapshot(1))
    await asyncio.sleep(0.1)
    assert 1 == await get_version(adapter)
    assert ["1"] == await adapter.get_reducer_versions("POKEMONS", "pikachu1")
    await asyncio.sleep(0.25)
    assert await get_version(adapter) is None
    assert [] == await adapter.get_reducer_versions("POKEMONS", "pikachu1")
    anything: Any = reader
    assert [] == await anything.keys(f"{prefix}*")


async def test_snapshots_with_and_without_a_time_to_live(redis: Redis, prefix: str) -> None:
    """Each keeps its own, whichever was put last."""
    brief = Adapter(redis, key_prefix=prefix, ttl=SHORT)
    lasting = Adapter(redis, key_prefix=prefix)
    await brief.put_snapshot(make_snapshot(2))
    await lasting.put_snapshot(make_snapshot(1))
    await brief.put_snapshot(make_snapshot(3))
    assert 3 == await get_version(lasting)
    await asyncio.sleep(0.4)
    assert 1 == await get_version(lasting)
    longer = Adapter(redis, key_prefix=f"{prefix}-2", ttl=timedelta(minutes=1))
    brief = Adapter(redis, key_prefix=f"{prefix}-2", ttl=SHORT)
    await longer.put_snapshot(make_snapshot(1))
    await brief.put_snapshot(make_snapshot(2))
    await asyncio.sleep(0.4)
    assert 1 == await get_version(longer)


async def test_other_keys_are_left_alone(redis: Redis, reader: Redis, prefix: str) -> None:
    """Prefixes that look like patterns, or begin alike, have snapshots of their own."""
    adapters = [Adapter(redis, key_prefix=each) for each in (f"{prefix}*", prefix, f"{prefix}x")]
    for each in adapters:
        await each.put_snapshot(make_snapshot(1))
    await adapters[0].delete_snapshots("POKEMONS")

    assert [None, 1, 1] == [await get_version(each) for each in adapters]
    anything: Any = reader
    assert 4 == len(await anything.keys(f"{prefix}*"))


@pytest.mark.parametrize("text", [b"{", b'{"name": "flab\xe9b\xe9"}'])
async def test_a_snapshot_that_cannot_be_read(
    redis: Redis, reader: Redis, prefix: str, text: bytes
) -> None:
    """It is an error that the event store takes for a missing one, without values."""
    adapter = Adapter(redis, key_prefix=prefix)
    await adapter.put_snapshot(make_snapshot(1))
    anything: Any = reader
    [key] = [each for each in await anything.keys(f"{prefix}*") if each.endswith(b"1")]
    await anything.set(key, text)

    with pytest.raises(StorageError, match="'pikachu1' cannot be read") as caught:
        await get_version(adapter)
    assert "flab" not in str(caught.value)


async def test_mistakes(redis: Redis, prefix: str) -> None:
    """Values that are no JSON, and options, are refused."""
    adapter = Adapter(redis, key_prefix=prefix)
    nothing: Any = "redis://"

    with pytest.raises(NotJSONError):
        await adapter.put_snapshot(make_snapshot(1, {1, 2}))
    with pytest.raises(ValueError, match="ttl is not a millisecond or more"):
        Adapter(redis, ttl=timedelta(0))
    with pytest.raises(TypeError, match=r"none of redis\.asyncio"):
        Adapter(nothing)
