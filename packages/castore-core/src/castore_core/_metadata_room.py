"""Room for metadata: which keys the type of an event takes."""

import re
from collections.abc import Iterable, Mapping
from functools import reduce
from typing import Final, NamedTuple

from castore_core._json import JSONValue, copy_json


class MetadataRoom(NamedTuple):
    """The keys that the metadata of an event may have, as they are stored.

    Metadata without the ``required`` keys are not valid. With ``is_open``, there is room for other
    keys too. The keys in ``defaults`` hold values that nobody has given.
    """

    keys: frozenset[str] = frozenset()
    required: frozenset[str] = frozenset()
    is_open: bool = False
    defaults: frozenset[str] = frozenset()

    def fill(
        self, held: Mapping[str, JSONValue] | None, values: Mapping[str, JSONValue]
    ) -> dict[str, JSONValue] | None:
        """Return metadata with the values for which there is room, or ``None`` if nothing changes.

        ``held`` is the metadata that an event has already; its values win. If it has none, and
        ``values`` lack a required key, there is no room at all.
        """
        merged = dict(held or {})
        places = {self._find_place(name, merged): name for name in values}
        for place, name in places.items():
            if place is not None and (place not in merged or place in self.defaults):
                merged[place] = copy_json(values[place if place in values else name])
        if merged == held or not merged or (held is None and not self.required <= merged.keys()):
            return None
        return merged

    def _find_place(self, name: str, held: Mapping[str, JSONValue]) -> str | None:
        """Return the key for a value, which may be spelled ``correlationId`` there."""
        if name in self.keys or name in held:
            return name
        other = respell(name)
        if other in self.keys or other in held:
            return other
        return name if self.is_open else None

    def meet(self, other: "MetadataRoom") -> "MetadataRoom":
        """Return the room that both have."""
        shared = frozenset(
            each
            for each in self.keys | other.keys
            if (each in self.keys or self.is_open) and (each in other.keys or other.is_open)
        )
        is_open = self.is_open and other.is_open
        return MetadataRoom(shared, self.required | other.required, is_open)


OPEN_ROOM: Final = MetadataRoom(is_open=True)


def respell(name: str) -> str:
    """Return ``correlationId`` for ``correlation_id``, and the other way round."""
    if "_" in name:
        first, *rest = name.split("_")
        return first + "".join(each.capitalize() for each in rest)
    return re.sub("[A-Z]", lambda found: f"_{found[0].lower()}", name)


def meet_all(rooms: Iterable[MetadataRoom | None]) -> MetadataRoom | None:
    """Return the room that all have, apart from those without any."""
    found = [each for each in rooms if each is not None]
    return reduce(MetadataRoom.meet, found) if found else None
