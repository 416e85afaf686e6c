"""The functions work as Lambda calls them: in one container, one invocation after the other."""

import asyncio
import importlib
import os
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import boto3
import pytest

from castore_dynamodb import create_table, table_definition
from pokemon import pokemons


@pytest.fixture
def api(find_server: Callable[[str], str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Give the module, imported as in a container whose table is there."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", find_server("ministack"))
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("EVENTS_TABLE", f"events-{uuid4()}")
    client: Any = boto3.client("dynamodb")
    module = importlib.import_module("pokemon_lambda.api")
    table_name = os.environ["EVENTS_TABLE"]
    asyncio.run(create_table(client, table_definition(table_name)))
    yield module
    client.delete_table(TableName=table_name)
    client.close()
    module.client.close()
    pokemons.storage_adapter = None


def test_invocations_of_one_container(api: Any) -> None:
    """Each runs an event loop of its own, and all share the client."""
    response = api.wild_pokemon_appears({"name": "Pikachu", "level": 5}, None)

    levels = [api.level_up(response, None)["level"] for _ in range(2)]

    assert [6, 7] == levels
