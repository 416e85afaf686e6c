"""Publishes stored events to channels, those of an aggregate one after the other."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from castore_core import (
    BookmarkStorageAdapter,
    LogEntry,
    LogPosition,
    MessageChannel,
    MessagePublishError,
    MessageRecord,
)
from castore_core.workers import ends_task, handling
from castore_projections._deliveries import Deliveries
from castore_projections._failures import is_unreadable
from castore_projections._processing import EntryFailedError, Step

_Aggregate: TypeAlias = tuple[str, str]  # store, aggregate
_Errors: TypeAlias = dict[LogPosition, BaseException]

_MOST_FAILURES: Final = 3


class Publisher:
    """Publishes the events of a step to channels, and moves the bookmark when all were taken.

    Events go as records: their types may be unknown here, and fields that no class declares are
    passed on.

    Args:
        channels: each is given all the events.
        bookmarks: where the bookmarks are.
        is_replay: tells whether consumers may have seen an event.
        timeout: seconds after which a channel that does not answer has failed.
    """

    def __init__(
        self,
        channels: Sequence[MessageChannel[Any]],
        bookmarks: BookmarkStorageAdapter[Any],
        is_replay: Callable[[LogEntry], bool],
        timeout: float,
    ) -> None:
        self._channels = channels
        self._bookmarks = bookmarks
        self._is_replay = is_replay
        self._timeout = timeout
        self._deliveries: dict[str, Deliveries] = {}  # by bookmark

    def wants(self, entry: LogEntry) -> bool:  # noqa: ARG002 every event is published
        """Tell that every event is published."""
        return True

    def is_hopeless(self, error: BaseException) -> bool:
        """Tell whether a further attempt would fail, too: the state cannot be computed here."""
        return is_unreadable(error)

    def is_fatal(self, error: BaseException) -> bool:  # noqa: ARG002 of every error
        """Tell that no event ends a relay."""
        return False

    async def process(self, step: Step) -> None:
        """Publish the events of a step, then move the bookmark.

        Raises:
            EntryFailedError: a channel did not take the message of an event. Later events of its
                aggregate were not published; those of others may have been.
        """
        taken, errors = await self._publish_all(step)
        for each in step.entries:
            if each.position in errors:
                raise EntryFailedError(each, taken) from errors[each.position]
        move = self._bookmarks.move_bookmark
        async with move(step.lease, step.position, parked=step.parked, unparked=step.unparked):
            pass

    async def _publish_all(self, step: Step) -> tuple[set[LogPosition], _Errors]:
        """Return the positions of the events that were taken, and the errors of others."""
        deliveries = self._get_deliveries(step)
        taken: set[LogPosition] = set()
        errors: _Errors = {}
        held: set[_Aggregate] = set()
        for wave in _split(step.entries):
            ready = [each for each in wave if _get_aggregate(each) not in held]
            failed = await self._publish_wave(ready, deliveries)
            taken.update(each.position for each in ready if each.position not in failed)
            held.update(_get_aggregate(each) for each in ready if each.position in failed)
            errors.update(failed)
        return taken, errors

    def _get_deliveries(self, step: Step) -> Deliveries:
        lease = step.lease
        deliveries = self._deliveries.get(lease.bookmark_id)
        if deliveries is None or deliveries.lease != lease:  # another reader may have gone on
            deliveries = self._deliveries[lease.bookmark_id] = Deliveries(lease)
        return deliveries

    async def _publish_wave(self, wave: Sequence[LogEntry], deliveries: Deliveries) -> _Errors:
        """Publish events of different aggregates, and return the errors of those not taken.

        A channel may refuse all because of one. So they go one by one then, until several fail in
        a row: the channel is down.
        """
        failed = await self._publish(wave, deliveries)
        if len(wave) == 1 or len(failed) < len(wave):
            return failed
        in_a_row = 0
        for each in wave:
            if in_a_row == _MOST_FAILURES:
                break
            error = await self._publish([each], deliveries)
            del failed[each.position]
            failed.update(error)
            in_a_row = in_a_row + 1 if error else 0
        return failed

    async def _publish(self, wave: Sequence[LogEntry], deliveries: Deliveries) -> _Errors:
        failed: _Errors = {}
        for number, channel in enumerate(self._channels):
            missing = deliveries.get_missing(number, wave)
            with handling(*missing):
                errors = await self._publish_to(channel, missing)
            deliveries.add(number, [each for each in missing if each.position not in errors])
            failed.update(errors)
        deliveries.drop(each for each in wave if each.position not in failed)
        return failed

    async def _publish_to(
        self, channel: MessageChannel[Any], entries: Sequence[LogEntry]
    ) -> _Errors:
        errors: _Errors = {}
        for is_replay in (True, False):
            chosen = [each for each in entries if self._is_replay(each) is is_replay]
            messages = await _make_messages(channel, chosen, errors)
            errors.update(await self._hand_over(channel, messages, is_replay=is_replay))
        return errors

    async def _hand_over(
        self,
        channel: MessageChannel[Any],
        messages: Mapping[LogPosition, MessageRecord],
        *,
        is_replay: bool,
    ) -> _Errors:
        """Publish messages, and return the errors of those that were not taken."""
        if not messages:
            return {}
        channel.get_message_channel_adapter()
        try:
            async with asyncio.timeout(self._timeout):
                await channel.publish_records(list(messages.values()), replay=is_replay)
        except MessagePublishError as error:
            positions = list(messages)
            refused = error.find_refused(messages.values())
            return {positions[index]: error for index in refused}
        except BaseException as error:
            if ends_task(error):
                raise
            return dict.fromkeys(messages, error)
        return {}


def _split(entries: Iterable[LogEntry]) -> list[list[LogEntry]]:
    """Return waves of events: each aggregate has at most one event in each, in its order."""
    waves: list[list[LogEntry]] = []
    counts: Counter[_Aggregate] = Counter()
    for each in entries:
        number = counts[_get_aggregate(each)]
        counts[_get_aggregate(each)] += 1
        if number == len(waves):
            waves.append([])
        waves[number].append(each)
    return waves


def _get_aggregate(entry: LogEntry) -> _Aggregate:
    return entry.event_store_id, entry.record.aggregate_id


async def _make_messages(
    channel: MessageChannel[Any], entries: Iterable[LogEntry], errors: _Errors
) -> dict[LogPosition, MessageRecord]:
    """Return the messages of events, and note the errors of those that have none."""
    messages: dict[LogPosition, MessageRecord] = {}
    for position, event_store_id, record in entries:
        try:
            message = await channel.record_to_message(event_store_id, record)
        except BaseException as error:
            if ends_task(error):
                raise
            errors[position] = error
        else:
            if message is not None:
                messages[position] = message
    return messages
