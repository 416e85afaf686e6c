"""Giving a file the name of another one, in one step."""

import os
import sys
from pathlib import Path


def replace_durably(successor: Path, path: Path) -> None:
    """Give a file, which is synced already, the name of one in the same directory."""
    successor.replace(path)
    if sys.platform != "win32":  # it opens no directory
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
