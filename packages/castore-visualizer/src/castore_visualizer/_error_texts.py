"""Texts of errors that the user's code has raised."""


def quote_error(error: BaseException) -> str:
    """Return the text of an error, or the name of its type where it has none, or fails to tell."""
    try:
        return str(error) or type(error).__name__
    except Exception:  # noqa: BLE001 the text is the user's, too
        return type(error).__name__
