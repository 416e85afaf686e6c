"""The base of all payloads, and the metadata of all events."""

from pydantic import BaseModel, ConfigDict


class Model(BaseModel):
    """Data that does not change, and has no unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Origin(Model):
    """The request and the event that caused an event, who asked for it, and its trace."""

    correlation_id: str | None = None
    causation_id: str | None = None
    actor: str | None = None
    traceparent: str | None = None
    tracestate: str | None = None
