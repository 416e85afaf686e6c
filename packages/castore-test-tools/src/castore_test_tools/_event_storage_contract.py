"""The contract of event storage adapters."""

from castore_test_tools._event_storage_assertions import AssertionsContract
from castore_test_tools._event_storage_backend import BackendContract
from castore_test_tools._event_storage_gaps import GapsContract
from castore_test_tools._event_storage_group_values import GroupValuesContract
from castore_test_tools._event_storage_groups import GroupContract
from castore_test_tools._event_storage_lists import ListingContract
from castore_test_tools._event_storage_pages import PagingContract
from castore_test_tools._event_storage_pushes import PushingContract
from castore_test_tools._event_storage_readers import ReadersContract
from castore_test_tools._event_storage_reads import ReadingContract
from castore_test_tools._event_storage_values import ValuesContract
from castore_test_tools._event_storage_writers import WritersContract


class EventStorageAdapterTests(
    ReadingContract,
    PushingContract,
    GapsContract,
    ValuesContract,
    GroupContract,
    GroupValuesContract,
    AssertionsContract,
    ListingContract,
    PagingContract,
    WritersContract,
    ReadersContract,
    BackendContract,
):
    """The contract that every `castore_core.EventStorageAdapter` keeps.

    Subclass it, and override the fixture ``adapter``, sync or async; it returns an adapter
    without events, for each test anew::

        class TestMyEventStorage(EventStorageAdapterTests):
            @pytest.fixture
            def adapter(self, tmp_path: Path) -> MyEventStorageAdapter:
                return MyEventStorageAdapter(tmp_path / "events")

    Declare the limits of the backend by overriding the class attributes ``refuses_gaps``,
    ``orders_ties_by_aggregate_id``, ``lists_are_consistent``, ``groups_appear_at_once``,
    ``most_events_of_a_group``, ``largest_payload``, ``longest_id``,
    ``integral_floats_stay_floats``, ``negative_zero_stays_negative``, ``holds_nul``,
    ``works_in_several_event_loops``, ``works_in_several_event_loops_at_once``,
    ``characters_refused_in_event_store_ids`` and ``time_limit``, and the method ``holds_number``.

    Some tests need a hand on the backend. They are collected where the suite has the fixture that
    gives it: ``connect_again`` (other adapters on the same client), ``lose_next_answer`` (a write
    that is repeated), ``break_backend`` (failures) and ``foreign_adapter`` (one that a group cannot
    span too). Override the fixture ``sibling_adapter`` where a group can span several adapters.

    A test of the contract is replaced with `overrides_contract` only.
    """
