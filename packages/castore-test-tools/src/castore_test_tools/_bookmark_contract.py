"""The contract of bookmark storages."""

from castore_test_tools._bookmark_details import BookmarkDetailsContract
from castore_test_tools._bookmark_joins import BookmarkJoinsContract
from castore_test_tools._bookmark_leases import BookmarkLeasesContract
from castore_test_tools._bookmark_moves import BookmarkMovesContract
from castore_test_tools._bookmark_parked import BookmarkParkedContract
from castore_test_tools._bookmark_positions import BookmarkPositionsContract


class BookmarkStorageAdapterTests(
    BookmarkPositionsContract,
    BookmarkMovesContract,
    BookmarkLeasesContract,
    BookmarkDetailsContract,
    BookmarkParkedContract,
    BookmarkJoinsContract,
):
    """The contract that every `castore_core.BookmarkStorageAdapter` keeps.

    Subclass it, and override the fixture ``adapter``, sync or async; it returns a storage without
    bookmarks, for each test anew. The fixtures ``connect_again`` and ``break_backend``, where the
    suite has them, are for tests of the client and of failures.

    Where a block can write something else together with its bookmark, give the suite the fixture
    ``join_transaction``, too: it returns a function that writes a text in the transaction of a
    block, and one that reads all the texts that are written::

        class TestMyBookmarks(BookmarkStorageAdapterTests):
            @pytest.fixture
            def join_transaction(self, database: Database):
                async def write(transaction: Transaction, text: str) -> None:
                    await transaction.execute("INSERT INTO joined VALUES (?)", text)

                async def read() -> list[str]:
                    return await database.fetch_column("SELECT text FROM joined")

                return write, read
    """
