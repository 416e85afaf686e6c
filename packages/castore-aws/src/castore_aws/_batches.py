"""Batches: several messages in one request, of which each may fail alone."""

from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final, NamedTuple, TypeAlias

from castore_aws._entries import BatchLimits, Entry, Unsent
from castore_aws._faults import describe_fault, is_about_contents
from castore_aws._retries import RetryPolicy
from castore_core import MessagePublishError


class Refusal(NamedTuple):
    """Why AWS did not take an entry, and whether it may take it a moment later."""

    reason: str
    is_retryable: bool = False


SendBatch: TypeAlias = Callable[[Sequence[Entry]], Awaitable[Sequence[Refusal | None]]]
"""Sends one request, and returns for each of its entries ``None``, or why it was not taken."""


async def send_batches(
    entries: Iterable[Entry | Unsent], send: SendBatch, *, limits: BatchLimits, retries: RetryPolicy
) -> None:
    """Send entries in as few requests as their limits allow, in their order.

    Entries that were refused for the moment are sent again, and none that was taken. A request has
    one entry of a group at most, and none of a group follows an entry that was not taken. So the
    entries that were taken are the first ones of their group, but for messages that can never be
    sent.

    If AWS refuses a request as a whole for its content, each of its entries is sent alone. If a
    request fails for another reason, those after it are not sent.

    Raises:
        MessagePublishError: names the messages that were not taken, in their order. Where a
            request failed whose answer was lost, its messages may have been taken all the same.
    """
    entries = list(entries)
    sender = _Sender(send, limits, retries)
    await sender.send(entries)
    if refused := sender.refused:
        failures = [(each.message, refused[id(each)]) for each in entries if id(each) in refused]
        raise MessagePublishError(failures) from sender.error


_Lane: TypeAlias = deque[Entry]
"""Entries that have to go one after the other."""

_HELD_BACK: Final = "not sent, because one before it in its group was not taken"


def _make_lanes(entries: Iterable[Entry]) -> deque[_Lane]:
    lanes: deque[_Lane] = deque()
    groups: dict[str, _Lane] = {}
    for entry in entries:
        if entry.group in groups:
            groups[entry.group].append(entry)
            continue
        lanes.append(lane := deque([entry]))
        if entry.group is not None:
            groups[entry.group] = lane
    return lanes


class _Sender:
    def __init__(self, send: SendBatch, limits: BatchLimits, retries: RetryPolicy) -> None:
        self._send_batch = send
        self._limits = limits
        self._retries = retries
        self._is_stopped = False
        self.refused: dict[int, str] = {}  # by the id() of the entry: equal ones may be sent
        self.error: Exception | None = None  # of the request that stopped it, or else the first

    async def send(self, entries: Iterable[Entry | Unsent]) -> None:
        lanes = _make_lanes(self._set_aside(entries))
        while lanes and not self._is_stopped:
            batch = self._take_batch(lanes)
            await self._send([lane[0] for lane in batch])
            for lane in batch:
                self._go_on(lane, lanes)
        if lanes and self.error is not None:
            reason = f"not sent after a request that failed: {describe_fault(self.error)}"
            for lane in lanes:
                self._refuse(lane, reason)

    def _set_aside(self, entries: Iterable[Entry | Unsent]) -> list[Entry]:
        """Return the entries to send: neither unsendable ones nor those that wait behind one."""
        to_be_sent: list[Entry] = []
        held_back: set[str] = set()
        for entry in entries:
            if isinstance(entry, Unsent):
                self._refuse([entry], entry.reason, entry.error)
                if entry.group is not None:
                    held_back.add(entry.group)
            elif entry.group in held_back:
                self._refuse([entry], _HELD_BACK)
            else:
                to_be_sent.append(entry)
        return to_be_sent

    def _take_batch(self, lanes: deque[_Lane]) -> list[_Lane]:
        batch = [lanes.popleft()]
        size = batch[0][0].size
        while lanes and len(batch) < self._limits.max_entries:
            size += lanes[0][0].size
            if size > self._limits.max_batch_bytes:
                break
            batch.append(lanes.popleft())
        return batch

    async def _send(self, entries: Sequence[Entry]) -> None:
        """Send a request, and again what it refused for the moment."""
        pending = list(entries)

        async def attempt() -> None:
            nonlocal pending
            outcomes = list(zip(pending, await self._send_batch(pending), strict=True))
            for entry, refusal in outcomes:
                self.refused.pop(id(entry), None)
                if refusal is not None:
                    self.refused[id(entry)] = refusal.reason
            pending = [each for each, refusal in outcomes if refusal and refusal.is_retryable]
            if pending:
                raise _PartialFailureError

        try:
            await self._retries.run(attempt, lambda error: isinstance(error, _PartialFailureError))
        except _PartialFailureError:
            return
        except Exception as error:  # noqa: BLE001 credentials that are renewed raise what they like
            await self._fail(pending, error)

    async def _fail(self, entries: Sequence[Entry], error: Exception) -> None:
        """Send entries alone of which AWS did not say which one it refuses."""
        self._refuse(entries, describe_fault(error), error)
        if not is_about_contents(error):
            self._stop(error)
        elif len(entries) > 1:
            for each in entries:
                if not self._is_stopped:
                    await self._send([each])
            if all(id(each) in self.refused for each in entries):
                self._stop(error)

    def _stop(self, error: Exception) -> None:
        self._is_stopped = True
        self.error = error

    def _go_on(self, lane: _Lane, lanes: deque[_Lane]) -> None:
        entry = lane.popleft()
        if id(entry) in self.refused:
            self._refuse(lane, _HELD_BACK)
        elif lane:
            lanes.append(lane)

    def _refuse(
        self, entries: Iterable[Entry | Unsent], reason: str, error: Exception | None = None
    ) -> None:
        self.refused.update({id(each): reason for each in entries})
        if self.error is None:
            self.error = error


class _PartialFailureError(Exception):
    """Some entries are worth another attempt."""
