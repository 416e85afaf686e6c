"""Real repositories, made by running git, and a database to import them into."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from git_history.history import History, open_adapter, open_history
from git_history.tests.workshop import Workshop


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    """Give a repository without a commit."""
    return Workshop.init(tmp_path / "repository")


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Give the path of a database that is not there yet."""
    return tmp_path / "events.sqlite3"


@pytest.fixture
async def history(database: Path) -> AsyncIterator[History]:
    """Give an empty history."""
    with open_adapter(database) as adapter:
        yield await open_history(adapter)
