"""Errors between the modules of this package."""


class LostConnectionError(Exception):
    """The connection broke while it was at work: what it wrote may be stored."""
