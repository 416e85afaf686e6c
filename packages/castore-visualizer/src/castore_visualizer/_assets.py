"""Static files: all of them are in the package, and are checked by the browser."""

import base64
import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent / "_static"


@lru_cache
def get_integrity(name: str) -> str:
    """Return the hash of a static file, as the attribute ``integrity`` has it."""
    digest = hashlib.sha384((FOLDER / name).read_bytes()).digest()
    return f"sha384-{base64.b64encode(digest).decode()}"


@lru_cache
def get_fingerprint(name: str) -> str:
    """Return a short text that changes with the content of a static file."""
    return hashlib.sha256((FOLDER / name).read_bytes()).hexdigest()[:12]
