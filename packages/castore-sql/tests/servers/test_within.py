"""Pushes and reads inside a transaction of the user's, on servers."""

import pytest
from sqlalchemy import Engine
from sqlalchemy.ext.asyncio import AsyncEngine

from sql_servers import KINDS
from within_suite import WithinTests


@pytest.mark.parametrize("kind", KINDS, indirect=True)
class TestWithin(WithinTests):
    """Through each driver."""

    @pytest.fixture
    async def engine(self, engine: Engine | AsyncEngine) -> Engine | AsyncEngine:
        """Return the engine on an empty database of the server."""
        return engine
