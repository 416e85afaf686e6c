"""The order in which a consumer handles its messages."""

from collections.abc import Iterable
from dataclasses import dataclass
from heapq import heapify, heappop, heappush

from castore_in_memory._delivery import Letter


@dataclass
class Delivery:
    """A letter on its way to one handler; ``attempt`` counts from 1.

    It is readable once its message was parsed.
    """

    letter: Letter
    attempt: int = 1
    is_readable: bool = False

    @property
    def aggregate(self) -> tuple[str, str]:
        """Its aggregate, which is one of an event store."""
        return self.letter.message.event_store_id, self.letter.message.aggregate_id


class Lineup:
    """Deliveries in the order of their numbers.

    A delivery that is held, because it waits for its retry, holds back those of its aggregate, and
    no others.
    """

    def __init__(self, deliveries: Iterable[Delivery] = ()) -> None:
        self._ready = [(each.letter.number, each) for each in deliveries]
        heapify(self._ready)
        self._held: dict[tuple[str, str], list[Delivery]] = {}

    def add(self, delivery: Delivery) -> None:
        """Let a delivery wait for its turn."""
        heappush(self._ready, (delivery.letter.number, delivery))

    def pop(self) -> Delivery | None:
        """Remove and return the first delivery that is not held back."""
        while self._ready:
            _, delivery = heappop(self._ready)
            behind = self._held.get(delivery.aggregate)
            if behind is None:
                return delivery
            behind.append(delivery)
        return None

    def hold(self, delivery: Delivery) -> None:
        """Hold a delivery, and all of its aggregate, until it is released."""
        self._held[delivery.aggregate] = [delivery]

    def release(self, delivery: Delivery) -> None:
        """Let a held delivery, and those behind it, wait for their turns again."""
        for each in self._held.pop(delivery.aggregate):
            self.add(each)
