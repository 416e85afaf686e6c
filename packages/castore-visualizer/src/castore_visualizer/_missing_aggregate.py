"""The answer for an aggregate that has no events."""

from starlette.exceptions import HTTPException


class MissingAggregateError(HTTPException):
    """A store has no such aggregate: the page leads to the search of those that it has."""

    def __init__(self, event_store_id: str, aggregate_id: str) -> None:
        super().__init__(404, f"Event store {event_store_id!r} has no aggregate {aggregate_id!r}.")
        self.event_store_id = event_store_id
        self.aggregate_id = aggregate_id
