"""An invocation that parks the records that it cannot publish, and publishes all others."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Final

from castore_core import MessageRecord, StorageError
from castore_dynamodb._parking import Aggregate, Park, ParkedRecord, Suspect, hand_over
from castore_dynamodb._pending import Pending, find_failures, publishing, split

_MOST_FAILURES: Final = 3  # in a row
_ATTEMPTS: Final = 3


@dataclass(frozen=True, kw_only=True)
class InvocationParts:
    """The parts of an invocation.

    Attributes:
        publish: publishes messages.
        park: is given what is passed over.
        park_after: seconds after which a record is parked though the channel took no other one.
        retry_delay: returns the seconds to wait after an attempt that failed, by its number.
        deadline: the moment after which nothing more is published.
        log_error: logs an error and a text.
    """

    publish: Callable[[Sequence[MessageRecord]], Awaitable[None]]
    park: Park
    park_after: float
    retry_delay: Callable[[int], float]
    deadline: float
    log_error: Callable[[Exception, str], None]


class Invocation:
    """Publishes the messages of a batch, and parks those that the channel does not take.

    A message fails when the channel has refused it three times. It is parked if the channel took
    another one: the channel is up. Where three fail in a row, the channel counts as down, and
    Lambda tries again from the first record that was neither published nor parked.

    Args:
        parts: what it is made of.
        unsendable: the records that have no message.
    """

    def __init__(self, parts: InvocationParts, unsendable: Iterable[Suspect]) -> None:
        self._parts = parts
        self._suspects: list[Suspect] = []
        self._blocked: dict[Aggregate, int] = {}  # from which place in the batch on
        self._proven: set[int] = set()  # the places of suspects after which a message was taken
        self._has_taken = False
        self._in_a_row = 0
        for each in unsendable:
            self._add(each)

    async def run(self, pending: Iterable[Pending]) -> str | None:
        """Publish, and return the number of the record from which Lambda has to go on, if any."""
        rest = await self._publish_all(pending)
        for each in sorted(self._suspects, key=lambda suspect: suspect.place):
            if rest is not None and each.place > rest.place:
                break
            if not self._may_park(each) or not await self._park(each):
                return each.parked.sequence_number
        return None if rest is None else rest.sequence_number

    # Publishing

    async def _publish_all(self, pending: Iterable[Pending]) -> Pending | None:
        """Publish messages, and return the first that was not tried, if any."""
        for number, chunk in enumerate(split(pending)):
            if number and self._is_over:
                return chunk[0]
            for each in chunk:
                if self._is_blocked(each):
                    self._add(_suspect(each, None))
            ready = [each for each in chunk if not self._is_blocked(each)]
            rest = await self._publish_chunk(ready) if ready else None
            if rest is not None:
                return rest
        return None

    async def _publish_chunk(self, chunk: Sequence[Pending]) -> Pending | None:
        """Publish messages of different aggregates; those that fail are tried one by one."""
        error = await self._publish(chunk)
        failed: Sequence[Pending] = () if error is None else find_failures(chunk, error)
        if len(failed) < len(chunk):
            self._note_taken()
        for each in failed:
            if self._is_over or not await self._insist(each, error if len(chunk) == 1 else None):
                return each
        return None

    async def _insist(self, pending: Pending, error: Exception | None) -> bool:
        """Try a message alone, which may have failed once so, and tell whether there was time."""
        for attempt in range(1 if error is None else 2, _ATTEMPTS + 1):
            if attempt > 1:
                await asyncio.sleep(self._parts.retry_delay(attempt - 1))
            if monotonic() > self._parts.deadline:
                return False
            error = await self._publish([pending])
            if error is None:
                self._note_taken()
                return True
        if error is not None:
            self._parts.log_error(error, f"{pending} was not published")
        self._in_a_row += 1
        self._add(_suspect(pending, error))
        return True

    async def _publish(self, chunk: Sequence[Pending]) -> Exception | None:
        try:
            with publishing(chunk):
                await self._parts.publish([each.message for each in chunk])
        except Exception as error:  # noqa: BLE001 an adapter may raise anything
            return error
        return None

    @property
    def _is_over(self) -> bool:
        return self._is_down or monotonic() > self._parts.deadline

    @property
    def _is_down(self) -> bool:
        return self._in_a_row >= _MOST_FAILURES

    def _note_taken(self) -> None:
        self._has_taken = True
        self._in_a_row = 0
        self._proven.update(each.place for each in self._suspects)

    # Suspects

    def _add(self, suspect: Suspect) -> None:
        self._suspects.append(suspect)
        if suspect.aggregate is not None:
            self._blocked.setdefault(suspect.aggregate, suspect.place)

    def _is_blocked(self, pending: Pending) -> bool:
        return self._blocked.get(pending.aggregate, pending.place) < pending.place

    def _may_park(self, suspect: Suspect) -> bool:
        """Tell whether a failure is that of the record, and not of the channel or a storage."""
        if suspect.is_hopeless or suspect.parked.error is None:
            return True
        if suspect.is_older_than(self._parts.park_after):
            return True
        if isinstance(suspect.parked.error, StorageError):
            return False
        return suspect.place in self._proven or (self._has_taken and not self._is_down)

    async def _park(self, suspect: Suspect) -> bool:
        number = suspect.parked.sequence_number
        try:
            await hand_over(self._parts.park, suspect.parked)
        except Exception as error:  # noqa: BLE001 the user's function may raise anything
            self._parts.log_error(error, f"record {number} of the stream could not be parked")
            return False
        return True


def _suspect(pending: Pending, error: Exception | None) -> Suspect:
    return Suspect(pending.place, ParkedRecord(pending.record, pending.stored, error))
