"""Consumer groups: created on all streams of a queue."""

from collections.abc import Iterable
from typing import Final

from redis.exceptions import ResponseError

from castore_redis._client import Commands

GROUP: Final = "castore"
"""The name of the consumer group, unless told otherwise."""


async def create_group(commands: Commands, streams: Iterable[str], group: str) -> None:
    """Create a group, which begins with the first message that is there, and streams too."""
    for each in streams:
        try:
            await commands.execute("XGROUP CREATE", each, group, "0", "MKSTREAM")
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):  # it exists
                raise
