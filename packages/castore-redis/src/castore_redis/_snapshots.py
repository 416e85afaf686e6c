"""Snapshot storage in Redis."""

import json
from datetime import timedelta
from typing import Any, Final

from castore_core import Snapshot, StorageError, check_json
from castore_redis._client import Commands, RedisClient, Script, check_client, describe_fault
from castore_redis._names import escape, escape_pattern, unescape
from castore_redis._nodes import get_encoder, keep_cancellation, to_bytes, translate_errors
from castore_redis._snapshot_scripts import DELETE, GET, LIST, PUT

_GREATEST: Final = 10**16 - 1  # versions have up to 16 digits
_AT_ONCE: Final = 1_000  # keys that a SCAN looks at
_MILLISECOND: Final = timedelta(milliseconds=1)


class RedisSnapshotStorageAdapter:
    """Keeps snapshots in Redis.

    Args:
        redis: a client of ``redis.asyncio``, of one server, of Sentinel's or of a cluster. It is
            yours, and never closed. It talks to a primary.
        key_prefix: begins all keys. On a cluster, the keys of one aggregate are in one slot.
        ttl: how long a snapshot is kept, in whole milliseconds. ``None`` keeps it until it is
            deleted.

    Raises:
        TypeError: ``redis`` is another kind of client.
        ValueError: ``ttl`` is less than a millisecond.
    """

    def __init__(
        self,
        redis: RedisClient,
        *,
        key_prefix: str = "castore:snapshots",
        ttl: timedelta | None = None,
    ) -> None:
        check_client(redis)
        if ttl is not None and ttl < _MILLISECOND:
            raise ValueError(f"ttl is not a millisecond or more: {ttl!r}")
        self._client = redis
        self._commands = Commands(redis)
        self._prefix = key_prefix
        self._ttl = "" if ttl is None else str(ttl // _MILLISECOND)

    def __repr__(self) -> str:
        return f"RedisSnapshotStorageAdapter(key_prefix={self._prefix!r})"

    async def put_snapshot(self, snapshot: Snapshot) -> None:
        """Keep a snapshot; one of the same store, aggregate, version and reducer is replaced.

        Raises:
            NotJSONError: the aggregate is not made of JSON values.
            StorageError: Redis failed, or has no memory left.
        """
        check_json(snapshot.aggregate, "aggregate")
        text = json.dumps(snapshot.aggregate, separators=(",", ":"))
        index = self._make_index(snapshot.event_store_id, snapshot.aggregate_id)
        name = _make_name(snapshot.reducer_version, snapshot.version)
        keys = [index, f"{index}:{name}"]
        with translate_errors(f"{_describe(snapshot.aggregate_id)} could not be kept"):
            await self._run(PUT, keys, name, text, self._ttl)

    async def get_snapshot(
        self,
        event_store_id: str,
        aggregate_id: str,
        *,
        reducer_version: str,
        max_version: int | None = None,
    ) -> Snapshot | None:
        """Return the snapshot of the greatest version at or below ``max_version``, if any.

        Raises:
            StorageError: it is not as this adapter writes it, or Redis failed.
        """
        index = self._make_index(event_store_id, aggregate_id)
        most = _GREATEST if max_version is None else min(max_version, _GREATEST)
        bounds = [f"[{_make_name(reducer_version, each)}" for each in (max(most, 0), 0)]
        with translate_errors(f"{_describe(aggregate_id)} could not be read"):
            found: Any = await self._run(GET, [index], *bounds)
        if found is None:
            return None
        name, text = found
        try:
            aggregate = json.loads(text.decode())
        except ValueError as error:
            reason = f"{_describe(aggregate_id)} cannot be read: {describe_fault(error)}"
            raise StorageError(reason) from error
        version = int(name.rpartition(b":")[2])
        return Snapshot(event_store_id, aggregate_id, version, reducer_version, aggregate)

    async def get_reducer_versions(self, event_store_id: str, aggregate_id: str) -> list[str]:
        """Return the reducer versions of which there are snapshots of an aggregate, each once.

        Raises:
            StorageError: Redis failed.
        """
        index = self._make_index(event_store_id, aggregate_id)
        with translate_errors(f"{_describe(aggregate_id)} could not be listed"):
            names: Any = await self._run(LIST, [index])
        reducers = [unescape(each.decode().rpartition(":")[0]) for each in names]
        return [*dict.fromkeys(reducers)]

    async def delete_snapshots(
        self,
        event_store_id: str,
        aggregate_id: str | None = None,
        *,
        reducer_version: str | None = None,
        max_version: int | None = None,
    ) -> None:
        """Forget the snapshots of an aggregate, or those of a whole store.

        With ``reducer_version``, those of that reducer alone; with ``max_version``, those at or
        below it. Those of a whole store are looked for among all the keys of the server (``SCAN``).

        Raises:
            StorageError: Redis failed. Some of them may be deleted.
        """
        reducer = "" if reducer_version is None else escape(reducer_version)
        most = _GREATEST if max_version is None else min(max_version, _GREATEST)
        with translate_errors(f"snapshots of store {event_store_id!r} could not be deleted"):
            if aggregate_id is not None:
                indexes = [self._make_index(event_store_id, aggregate_id)]
            else:
                indexes = await self._find_indexes(event_store_id)
            for each in indexes:
                await self._run(DELETE, [each], reducer, f"{most:016}")

    async def _find_indexes(self, event_store_id: str) -> list[str]:
        pattern = f"{escape_pattern(self._prefix)}:{{{escape(event_store_id)}:*}}"
        client: Any = self._client
        encoder = get_encoder(client)
        found = client.scan_iter(match=pattern.encode(), count=_AT_ONCE)
        return [to_bytes(each, encoder).decode() async for each in found]

    async def _run(self, script: Script, keys: list[str], *arguments: str) -> Any:
        return await keep_cancellation(self._commands.run(script, keys, *arguments))

    def _make_index(self, event_store_id: str, aggregate_id: str) -> str:
        return f"{self._prefix}:{{{escape(event_store_id)}:{escape(aggregate_id)}}}"


def _make_name(reducer_version: str, version: int) -> str:
    """Return a name in an index, which orders the snapshots of each reducer by their version."""
    return f"{escape(reducer_version)}:{version:016}"


def _describe(aggregate_id: str) -> str:
    return f"the snapshot of aggregate {aggregate_id!r:.100}"
