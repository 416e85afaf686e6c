"""The names of a projection in its storage of bookmarks."""

from typing import Any, NamedTuple, Self, cast

from castore_projections._keys import make_key
from castore_projections._partition import Partition


class Identity(NamedTuple):
    """The names of a projection, or of a relay.

    Attributes:
        kind: tells projections and relays of one name apart.
        name: as the user gave it.
        version: counts its rebuilds, from 1.
    """

    kind: str
    name: str
    version: int = 1

    @classmethod
    def make(cls, kind: str, name: str, version: int = 1) -> Self:
        """Return the names of a projection.

        Raises:
            ValueError: the name is empty, or no text that can be stored, or the version is no
                number of 1 or more.
        """
        if not isinstance(cast("Any", name), str) or not name or "\0" in name:
            raise ValueError(f"the name of a {kind} is empty, or no text: {name!r}")
        if type(version) is not int or version < 1:
            raise ValueError(f"version is not 1 or more: {version!r}")
        return cls(kind, name, version)

    @property
    def ledger_id(self) -> str:
        """The bookmark of the ledger, which all versions share."""
        return make_key(self.kind, self.name)

    @property
    def sharing_id(self) -> str:
        """The bookmark whose lease a process takes that wants partitions."""
        return make_key(self.kind, self.name, f"v{self.version}", "sharing")

    def get_partitions(self, count: int) -> list[Partition]:
        """Return the partitions, of so many."""
        prefix = (self.kind, self.name, f"v{self.version}")
        return [
            Partition(self.name, each, count, make_key(*prefix, f"{each}-of-{count}"))
            for each in range(count)
        ]

    def get_aggregate_id(self, event_store_id: str, aggregate_id: str) -> str:
        """Return the bookmark of one aggregate, for messages."""
        prefix = (self.kind, self.name, f"v{self.version}")
        return make_key(*prefix, "aggregate", event_store_id, aggregate_id)
