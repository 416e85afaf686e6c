"""Projections and relays for synchronous programs.

    from castore_projections.sync import SyncProjection

See `castore_core.sync` for the event loop that they run in.
"""

from castore_projections._sync import SyncProjection, SyncRelay

__all__ = ["SyncProjection", "SyncRelay"]
