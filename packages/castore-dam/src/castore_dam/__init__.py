"""Replay, migrate, archive and check event stores."""

__all__: list[str] = []
