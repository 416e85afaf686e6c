"""Databases for the shop: a file of SQLite, or a schema of PostgreSQL."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sql_servers import POSTGRES_KINDS, ServerDatabase, using_servers


@pytest.fixture(params=["SQLite", "PostgreSQL"])
def url(
    request: pytest.FixtureRequest, tmp_path: Path, find_server: Callable[[str], str]
) -> Iterator[str]:
    """Give the URL of an empty database, without the driver."""
    if request.param == "SQLite":
        yield f"sqlite:///{tmp_path}/shop.db"
        return
    database = ServerDatabase("postgres", find_server("postgres"))
    driver = POSTGRES_KINDS["psycopg"].driver
    with using_servers(alone=True):
        database.create()
        options = database.get_connect_args(driver)["options"]
        plain = database.get_url(driver).update_query_dict({"options": options})
        yield plain.render_as_string(hide_password=False)
        database.drop()
