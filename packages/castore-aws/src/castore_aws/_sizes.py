"""How AWS counts what is sent to it."""


def count_bytes(text: str) -> int:
    """Return the length of a text in bytes of UTF-8, which is what the limits of AWS are about.

    Raises:
        UnicodeEncodeError: the text has a lone surrogate.
    """
    return len(text) if text.isascii() else len(text.encode())
