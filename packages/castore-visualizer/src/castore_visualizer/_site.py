"""The parts that all pages show, and whether writes are allowed."""

from collections import deque
from dataclasses import dataclass, field

from starlette.exceptions import HTTPException
from starlette.requests import Request

from castore_core import EventStore
from castore_visualizer._counts import EventCounts
from castore_visualizer._inventory import Inventory
from castore_visualizer._masking import Masking
from castore_visualizer._storage_failures import PATIENCE


@dataclass(frozen=True)
class Site:
    """The parts of a visualizer, and whether it may write.

    ``patience`` is in seconds: so long a page waits for a storage.
    """

    inventory: Inventory
    masking: Masking
    allow_writes: bool
    title: str
    patience: float = PATIENCE
    counts: EventCounts = field(default_factory=EventCounts)
    _sent: deque[str] = field(default_factory=lambda: deque(maxlen=1_000))

    def is_first(self, form_id: str) -> bool:
        """Tell whether a form is sent for the first time; the latest 1,000 are remembered."""
        if form_id in self._sent:
            return False
        self._sent.append(form_id)
        return True

    def get_store(self, event_store_id: str) -> EventStore:
        """Return an event store, or answer that there is none."""
        store = self.inventory.stores.get(event_store_id)
        if store is None:
            raise HTTPException(404, f"There is no event store {event_store_id!r}.")
        return store

    def get_hue(self, event_store_id: str, event_type: str) -> int:
        """Return the number of the colour of an event type, from 0 to 7; 8 where it is unknown."""
        store = self.inventory.stores.get(event_store_id)
        types = [] if store is None else [each.type for each in store.event_types]
        return types.index(event_type) % 8 if event_type in types else 8


def get_site(request: Request) -> Site:
    """Return the parts of the visualizer that handles a request."""
    site: Site = request.app.state.site
    return site
