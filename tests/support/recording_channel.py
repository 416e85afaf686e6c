"""A channel adapter that remembers what it took, and fails as a test wants it to."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from castore_core import MessagePublishError, MessageRecord


class RecordingChannelAdapter:
    """Takes messages, unless it is down, or refuses one of them.

    Attributes:
        taken: the messages that it took, each with the flag of replays.
        calls: how many messages came with each call.
        is_down: whether it takes nothing.
        refuses: tells whether it refuses a message.
        names_failures: whether its error names what it refused, and it takes the others; else one
            message that it refuses makes it refuse all.
        delay: seconds that a call takes.
    """

    def __init__(
        self,
        *,
        refuses: Callable[[MessageRecord], bool] = lambda _: False,
        names_failures: bool = True,
        delay: float = 0.0,
    ) -> None:
        self.taken: list[tuple[MessageRecord, bool]] = []
        self.calls: list[int] = []
        self.is_down = False
        self.refuses = refuses
        self.names_failures = names_failures
        self.delay = delay
        self.is_busy = asyncio.Event()

    async def publish_message(self, message: MessageRecord, *, replay: bool = False) -> None:
        """Take one message."""
        await self.publish_messages([message], replay=replay)

    async def publish_messages(
        self, messages: Sequence[MessageRecord], *, replay: bool = False
    ) -> None:
        """Take what is not refused."""
        self.calls.append(len(messages))
        self.is_busy.set()
        await asyncio.sleep(self.delay)
        if self.is_down:
            raise ConnectionError("the channel is down")
        refused = [each for each in messages if self.refuses(each)]
        if refused and not self.names_failures:
            raise ValueError("one of them is too large")
        self.taken += [(each, replay) for each in messages if each not in refused]
        if refused:
            raise MessagePublishError([(each, "too large") for each in refused])

    @property
    def places(self) -> list[tuple[str, int | None]]:
        """The aggregates and versions of what was taken."""
        return [(each.aggregate_id, each.version) for each, _ in self.taken]

    @property
    def bodies(self) -> list[Any]:
        """The bodies of what was taken."""
        return [each.body for each, _ in self.taken]

    @property
    def versions(self) -> dict[str, list[int]]:
        """The versions of each aggregate, each where it was first taken."""
        versions: defaultdict[str, list[int]] = defaultdict(list)
        for aggregate_id, version in dict.fromkeys(self.places):
            versions[aggregate_id].append(version or 0)
        return dict(versions)
