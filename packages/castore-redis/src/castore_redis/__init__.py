"""Messages of castore on Redis Streams: a queue adapter."""

__all__: list[str] = []
