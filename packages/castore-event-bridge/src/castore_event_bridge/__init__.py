"""Messages of castore on EventBridge."""

__all__: list[str] = []
