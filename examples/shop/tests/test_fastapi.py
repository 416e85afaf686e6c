"""The shop behind FastAPI."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import pytest
from httpx2 import ASGITransport, AsyncClient
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from shop import Shop
from shop.fastapi_app import create_app
from sql_servers import POSTGRES_KINDS, ServerDatabase, opened_database

BIKE = {"name": "Bike", "price": 40_000, "stock": 50}
