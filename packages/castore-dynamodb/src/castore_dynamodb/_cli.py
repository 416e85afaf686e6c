"""Create the table of castore-dynamodb, or print a template of it."""

import json
from typing import Any, Final

from cyclopts import App

from castore_cli import Address, Terminal, UsageError, open_object
from castore_core import EventStore
from castore_dynamodb._bookmarks import DynamoDBBookmarkStorageAdapter
from castore_dynamodb._events import DynamoDBEventStorageAdapter
from castore_dynamodb._snapshots import DynamoDBSnapshotStorageAdapter
from castore_dynamodb._table import Table
from castore_dynamodb._tables import StreamViewType, create_table, table_definition

_ADAPTERS: Final = (
    DynamoDBBookmarkStorageAdapter,
    DynamoDBEventStorageAdapter,
    DynamoDBSnapshotStorageAdapter,
)

app: Final = App(name="dynamodb", help=__doc__)


@app.command(name="create-table")
async def create(
    address: Address,
    /,
    *,
    stream: StreamViewType | None = None,
    read_capacity: int | None = None,
    write_capacity: int | None = None,
    terminal: Terminal,
) -> None:
    """Create the table of a storage adapter, and wait until it can be used.

    It is billed on demand, unless both capacities are given.

    Args:
        address: The storage adapter, or an event store that has it. Its client is used.
        stream: The changes go to a stream; NEW_IMAGE is what carries events.
        read_capacity: Read units a second, of the table and of its index.
        write_capacity: Write units a second, of the table and of its index.
    """
    async with open_object(address, EventStore, *_ADAPTERS) as found:
        table = _get_table(address, found)
        definition = table_definition(
            table.name,
            stream_view_type=stream,
            read_capacity=read_capacity,
            write_capacity=write_capacity,
        )
        terminal.confirm(f"create the table {table.name!r} in DynamoDB")
        await create_table(table.client.client, definition)
        terminal.show({"table": table.name})


@app.command
def template(
    table_name: str,
    /,
    *,
    stream: StreamViewType | None = None,
    read_capacity: int | None = None,
    write_capacity: int | None = None,
    terminal: Terminal,
) -> None:
    """Print a CloudFormation template of the table.

    Args:
        table_name: The name of the table.
        stream: The changes go to a stream; NEW_IMAGE is what carries events.
        read_capacity: Read units a second, of the table and of its index.
        write_capacity: Write units a second, of the table and of its index.
    """
    properties = table_definition(
        table_name,
        stream_view_type=stream,
        read_capacity=read_capacity,
        write_capacity=write_capacity,
    )
    if stream is not None:
        properties["StreamSpecification"] = {"StreamViewType": stream}
    resource = {
        "Type": "AWS::DynamoDB::Table",
        "DeletionPolicy": "Retain",
        "UpdateReplacePolicy": "Retain",
        "Properties": properties,
    }
    made = {"AWSTemplateFormatVersion": "2010-09-09", "Resources": {"EventTable": resource}}
    terminal.show_text(json.dumps(made, indent=2), made)


def _get_table(address: Address, found: Any) -> Table:
    adapter = found.storage_adapter if isinstance(found, EventStore) else found
    if not isinstance(adapter, _ADAPTERS):
        raise UsageError(f"{address!r} has no storage adapter of castore-dynamodb")
    return adapter._table  # pyright: ignore[reportPrivateUsage]
