"""What type checkers know of bookmarks. Checked by pyright and mypy, and never run."""

from typing import TypedDict, assert_type

from castore_core import (
    BookmarkStorageAdapter,
    EventStorageAdapter,
    Lease,
    SnapshotStorageAdapter,
)
from castore_dynamodb import (
    DynamoDBBookmarkStorageAdapter,
    DynamoDBEventStorageAdapter,
    DynamoDBSnapshotStorageAdapter,
    TransactItems,
)


class PutOfStubs(TypedDict):
    """An operation as typed stubs of boto3 have it."""

    Put: dict[str, object]


def check_protocols(
    events: DynamoDBEventStorageAdapter,
    snapshots: DynamoDBSnapshotStorageAdapter,
    bookmarks: DynamoDBBookmarkStorageAdapter,
) -> tuple[EventStorageAdapter, SnapshotStorageAdapter, BookmarkStorageAdapter[TransactItems]]:
    """Take the adapters for what they implement."""
    return events, snapshots, bookmarks


async def check_block(bookmarks: DynamoDBBookmarkStorageAdapter, lease: Lease) -> None:
    """Know the writes of a block."""
    async with bookmarks.move_bookmark(lease, "7") as writes:
        assert_type(writes, TransactItems)
        writes.append({"Delete": {"TableName": "pokedex", "Key": {"name": {"S": "Pikachu"}}}})
        operation: PutOfStubs = {"Put": {"TableName": "pokedex"}}
        writes.append(operation)
        writes.append("Pikachu")  # type: ignore[arg-type]


async def check_block_of_any_storage(
    bookmarks: BookmarkStorageAdapter[TransactItems], lease: Lease
) -> None:
    """Know them also through the protocol."""
    async with bookmarks.move_bookmark(lease, "7") as writes:
        assert_type(writes, TransactItems)


def check_another_transaction(
    bookmarks: DynamoDBBookmarkStorageAdapter,
) -> BookmarkStorageAdapter[None]:
    """Refuse it where blocks are given another transaction."""
    return bookmarks  # type: ignore[return-value]
