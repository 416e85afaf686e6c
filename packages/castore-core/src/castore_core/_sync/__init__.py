"""Façades of the asynchronous objects, for synchronous programs."""
