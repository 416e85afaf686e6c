"""The transaction of a move: the commands that a block queues."""

from typing import Any, Final, NoReturn

from redis.asyncio.client import Pipeline
from typing_extensions import override

_KINDS: Final = {
    "string": "APPEND GETSET INCR INCRBY INCRBYFLOAT DECR DECRBY SETRANGE SETBIT",
    "hash": "HSET HSETNX HMSET HINCRBY HINCRBYFLOAT HDEL HEXPIRE HPEXPIRE HPERSIST",
    "list": "LPUSH RPUSH LPUSHX RPUSHX LPOP RPOP LREM LSET LTRIM LINSERT",
    "set": "SADD SREM SPOP SMOVE",
    "zset": "ZADD ZINCRBY ZREM ZPOPMAX ZPOPMIN ZREMRANGEBYLEX ZREMRANGEBYRANK ZREMRANGEBYSCORE",
    "stream": "XADD XDEL XTRIM XACK XGROUP",
}
_KIND_OF: Final = {name: kind for kind, names in _KINDS.items() for name in names.split()}


class MoveTransaction(Pipeline):
    """Queues commands, which are executed with the move of a bookmark, and never alone."""

    def __init__(self) -> None:
        super().__init__(None, {}, True, None)  # type: ignore[arg-type] # it never connects

    @override
    async def execute(self, raise_on_error: bool = True) -> NoReturn:
        """Refuse it: the end of the block executes the commands."""
        _refuse("execute")

    @override
    async def immediate_execute_command(self, *args: Any, **options: Any) -> NoReturn:
        """Refuse it: the block has no connection."""
        _refuse(str(args[0]).lower())

    @override
    async def reset(self) -> NoReturn:
        """Refuse it: the commands would be lost."""
        _refuse("reset")

    def copy_to(self, pipeline: Pipeline) -> None:
        """Queue the commands in a pipeline that executes them."""
        queue: Any = pipeline
        for arguments, options in self.command_stack:
            queue.execute_command(*arguments, **options)
        pipeline.scripts |= self.scripts

    def get_kinds(self) -> dict[Any, str]:
        """Return the kinds of value that keys must have before the first command about each."""
        kinds: dict[Any, str] = {}
        seen: set[Any] = set()
        for (name, *arguments), _ in self.command_stack:
            if not arguments:
                continue
            kind = _KIND_OF.get(str(name).upper())
            if kind is not None and _normalize(arguments[0]) not in seen:
                kinds[arguments[0]] = kind
            seen.update(map(_normalize, arguments))
        return kinds


def _normalize(argument: object) -> object:
    return argument.encode() if isinstance(argument, str) else argument


def _refuse(name: str) -> NoReturn:
    raise RuntimeError(
        f"{name}() in the block of a move: queue commands only, the end of the block executes them"
    )
