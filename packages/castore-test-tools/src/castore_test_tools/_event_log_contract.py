"""The contract of event logs."""

from castore_test_tools._event_log_backwards import BackwardsContract
from castore_test_tools._event_log_counts import CountsContract
from castore_test_tools._event_log_entries import EntriesContract
from castore_test_tools._event_log_positions import PositionsContract
from castore_test_tools._event_log_readers import LogReadersContract
from castore_test_tools._event_log_waiting import WaitingContract


class EventLogTests(
    EntriesContract,
    PositionsContract,
    BackwardsContract,
    CountsContract,
    LogReadersContract,
    WaitingContract,
):
    """The contract that every `castore_core.EventLog` keeps.

    Subclass it, and override the fixture ``adapter``, sync or async; it returns an event storage
    without events that is an event log too, for each test anew::

        class TestMyEventLog(EventLogTests):
            @pytest.fixture
            def adapter(self, tmp_path: Path) -> MyEventStorageAdapter:
                return MyEventStorageAdapter(tmp_path / "events")

    Declare with ``wakes_waiting_readers = False`` that waits for the next event last until their
    timeout. Declare numbers and event loops here as in the suite of the storage. The fixtures
    ``connect_again`` and ``break_backend``, where the suite has them, are for tests of the client
    and of failures.
    """
