"""Messages of castore on SQS."""

__all__: list[str] = []
