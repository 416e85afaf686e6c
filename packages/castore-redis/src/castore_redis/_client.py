"""The user's client: commands go through here, and errors come back without payloads."""

import asyncio
import re
from collections.abc import Callable, Coroutine, Iterable
from hashlib import sha1
from typing import Any, Final, TypeAlias, cast

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.client import Pipeline
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    NoPermissionError,
    NoScriptError,
    RedisClusterException,
    RedisError,
    ResponseError,
)

RedisClient: TypeAlias = Redis | RedisCluster
"""A client of redis-py's asyncio: also the master of a Sentinel, and one of a cluster."""

REDIS_ERRORS: Final = (RedisError, RedisClusterException, OSError)
"""All that a client raises when a server does not answer, or refuses."""

Argument: TypeAlias = str | bytes | int

_RAW: Final[dict[str, Any]] = {"NEVER_DECODE": True}
_REFUSALS: Final = AuthenticationError, AuthorizationError, NoPermissionError
_REFUSALS_IN_SCRIPTS: Final = "ACL failure in script", "The user executing the script can't"
_QUOTED_COMMAND: Final = re.compile(
    r"Command # .* of pipeline caused error: \(.(.*).,\)", re.DOTALL
)
_QUOTED_ARGUMENTS: Final = re.compile(r",? with args beginning with: .*", re.DOTALL)
_LONGEST_REASON: Final = 200  # characters; a server may quote a command


class Script:
    """A Lua script, which runs as one step."""

    def __init__(self, text: str) -> None:
        self.text = text.strip()
        self.digest = sha1(self.text.encode(), usedforsecurity=False).hexdigest()


class Commands:
    """Sends commands through a client, and returns answers as bytes, whatever the client decodes.

    Arguments are encoded here: the client may have another encoding.

    Args:
        patience: how many seconds an answer may take: a connection may hang, and a client need not
            have a limit of its own.
    """

    def __init__(self, client: RedisClient, *, patience: float | None = None) -> None:
        self._patience = patience
        self._execute = cast(
            "Callable[..., Coroutine[Any, Any, Any]]",
            client.execute_command,  # pyright: ignore[reportUnknownMemberType] it has no types
        )

    async def execute(self, name: str, *arguments: Argument, blocks: float = 0.0) -> Any:
        """Send a command, which ``blocks`` for so many seconds."""
        patience = None if self._patience is None else self._patience + blocks
        async with asyncio.timeout(patience):
            return await self._execute(name, *map(_encode, arguments), **_RAW)

    async def run(self, script: Script, keys: Iterable[str], *arguments: Argument) -> Any:
        """Run a script; its keys have one slot."""
        named = list(keys)
        rest = (len(named), *named, *arguments)
        try:
            return await self.execute("EVALSHA", script.digest, *rest)
        except NoScriptError:  # after a restart, say
            return await self.execute("EVAL", script.text, *rest)


def check_client(client: object) -> None:
    """Check that a client is one of redis-py's asyncio, and no pipeline, which sends nothing.

    Raises:
        TypeError: it is not.
    """
    if not isinstance(client, (Redis, RedisCluster)) or isinstance(client, Pipeline):
        kind = f"{type(client).__module__}.{type(client).__qualname__}"
        raise TypeError(f"the client is none of redis.asyncio: it is a {kind}")


def describe_fault(error: Exception) -> str:
    """Return what a client or its server said, cut where it is long, without quoted arguments."""
    text = _QUOTED_COMMAND.sub(r"\1", str(error))
    text = _QUOTED_ARGUMENTS.sub("", text)
    shown = text if len(text) <= _LONGEST_REASON else f"{text[:_LONGEST_REASON]}..."
    return f"{type(error).__name__}: {shown}" if shown else type(error).__name__


def is_missing_group(error: Exception) -> bool:
    """Tell whether a server does not know the consumer group, or the stream."""
    return isinstance(error, ResponseError) and "NOGROUP" in str(error)


def is_refusal(error: Exception) -> bool:
    """Tell whether a server does not know the user, or does not let the user do this."""
    if isinstance(error, _REFUSALS):
        return True
    return isinstance(error, ResponseError) and str(error).startswith(_REFUSALS_IN_SCRIPTS)


def _encode(argument: Argument) -> bytes:
    return argument if isinstance(argument, bytes) else str(argument).encode()
