"""The commands `castore dynamodb create-table | template`."""

import json
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import boto3
import pytest

from castore_command import call_castore
from castore_dynamodb import table_definition

SOURCE = """\
import boto3
from castore_core import Event, EventStore
from castore_dynamodb import DynamoDBEventStorageAdapter

class Opened(Event, type="OPENED"): ...

def reduce(state, event):
    raise NotImplementedError

client = boto3.client("dynamodb", endpoint_url={url!r}, region_name="eu-west-1",
    aws_access_key_id="key", aws_secret_access_key="secret")
events = DynamoDBEventStorageAdapter(client, {table!r})
accounts = EventStore("ACCOUNTS", event_types=[Opened], reduce=reduce, storage_adapter=events)
bare = EventStore("BARE", event_types=[Opened], reduce=reduce)
"""


def test_create_table(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, find_server: Callable[[str], str]
) -> None:
    """The table is created with the adapter's client, not without leave, and not twice."""
    url, table = find_server("moto"), f"cli-{uuid4()}"
    tmp_path.joinpath("dynamodb_accounts.py").write_text(SOURCE.format(url=url, table=table))
    words = "dynamodb", "create-table", "dynamodb_accounts:accounts", "--stream", "NEW_IMAGE"
    client = boto3.client(
        "dynamodb",
        endpoint_url=url,
        region_name="eu-west-1",
        aws_access_key_id="key",
        aws_secret_access_key="secret",  # noqa: S106 the server of the tests takes any
    )

    refused = call_castore(capsys, *words, app_dir=tmp_path)
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.describe_table(TableName=table)
    created = call_castore(capsys, *words, "--yes", "--json", app_dir=tmp_path)
    again = call_castore(capsys, *words, "--yes", app_dir=tmp_path)

    assert 2 == refused.code
    assert f"create the table {table!r} in DynamoDB" in refused.errors
    assert (0, [{"table": table}]) == (created.code, created.rows)
    found = client.describe_table(TableName=table)["Table"]
    assert "NEW_IMAGE" == found.get("StreamSpecification", {}).get("StreamViewType")
    assert (1, 1) == (again.code, again.errors.count("\n"))
    client.delete_table(TableName=table)
    client.close()


def test_an_adapter_is_needed(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """An event store without a storage adapter of DynamoDB is refused."""
    source = SOURCE.format(url="http://nowhere.invalid", table="events")
    tmp_path.joinpath("dynamodb_bare.py").write_text(source)
    words = "dynamodb", "create-table", "dynamodb_bare:bare", "--yes"
    result = call_castore(capsys, *words, app_dir=tmp_path)

    assert 2 == result.code
    assert "has no storage adapter of castore-dynamodb" in result.errors


def test_template(capsys: pytest.CaptureFixture[str]) -> None:
    """The template has the definition of the table, and keeps the table when it is deleted."""
    shown = call_castore(capsys, "dynamodb", "template", "EVENTS")
    [row] = call_castore(capsys, "dynamodb", "template", "EVENTS", "--json").rows

    resource = row["Resources"]["EventTable"]
    assert row == json.loads(shown.output)
    assert table_definition("EVENTS") == resource["Properties"]
    assert "Retain" == resource["DeletionPolicy"] == resource["UpdateReplacePolicy"]


def test_template_with_a_stream(capsys: pytest.CaptureFixture[str]) -> None:
    """CloudFormation knows no StreamEnabled."""
    words = "dynamodb", "template", "EVENTS", "--stream", "NEW_IMAGE", "--json"
    [row] = call_castore(capsys, *words).rows

    stream = row["Resources"]["EventTable"]["Properties"]["StreamSpecification"]
    assert {"StreamViewType": "NEW_IMAGE"} == stream


def test_half_a_capacity(capsys: pytest.CaptureFixture[str]) -> None:
    """One capacity without the other is refused in a line."""
    result = call_castore(capsys, "dynamodb", "template", "EVENTS", "--read-capacity", "5")

    assert 0 != result.code
    assert 1 == result.errors.count("\n")
