"""The adapter keeps the contract of event storages and of event logs."""

from collections.abc import Callable
from pathlib import Path

import pytest

from castore_test_tools import EventLogTests, EventStorageAdapterTests
from json_lines import JSONLinesEventStorageAdapter


class TestJSONLines(EventStorageAdapterTests, EventLogTests):
    """Every rule, on a file."""

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        """Make an empty file."""
        path = tmp_path / "events.jsonl"
        path.touch()
        return path

    @pytest.fixture
    def adapter(self, path: Path) -> JSONLinesEventStorageAdapter:
        """Return an adapter without events."""
        return JSONLinesEventStorageAdapter(path)

    @pytest.fixture
    def sibling_adapter(self, path: Path) -> JSONLinesEventStorageAdapter:
        """Return another adapter, whose events go into one group with those of the first."""
        return JSONLinesEventStorageAdapter(path)

    @pytest.fixture
    def foreign_adapter(self, tmp_path: Path) -> JSONLinesEventStorageAdapter:
        """Return an adapter on another file, which no group can span too."""
        path = tmp_path / "others.jsonl"
        path.touch()
        return JSONLinesEventStorageAdapter(path)

    @pytest.fixture
    def connect_again(self, path: Path) -> Callable[[], JSONLinesEventStorageAdapter]:
        """Make more adapters on the file."""
        return lambda: JSONLinesEventStorageAdapter(path)

    @pytest.fixture
    def break_backend(self, path: Path) -> Callable[[], None]:
        """Take the file away."""
        return path.unlink
