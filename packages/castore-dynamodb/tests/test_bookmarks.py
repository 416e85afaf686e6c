"""What is asked of DynamoDB for bookmarks, and what goes with their moves exactly once."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from botocore.exceptions import ClientError

from castore_aws import AWSClient, RetryPolicy
from castore_core import Failure, Lease, LeaseLostError, ParkedEvent, StorageError
from castore_dynamodb import DynamoDBBookmarkStorageAdapter, TransactItems

LONG = timedelta(minutes=10)
SHORT = timedelta(milliseconds=50)
AT_ONCE = RetryPolicy(max_attempts=3, base_delay=0)
REFUSED = "ConditionalCheckFailed"
LEASE = Lease("pokedex", "ash", 3)
FAR_FUTURE = {"N": "9" * 14}
EVENT = ParkedEvent(
    "5", "POKEMONS", "pikachu1", 1, "CAUGHT", datetime(2024, 1, 1, 0, 0, 0, 123_000, UTC)
)


class FakeClient:
    """A client of aioboto3 that plays a script: responses, and errors to raise."""

    def __init__(self, *script: object) -> None:
        self.meta = SimpleNamespace(service_model=SimpleNamespace(service_name="dynamodb"))
        self.script = list(script)
        self.calls: list[tuple[str, dict[str, Any]]] = []

    async def _make_api_call(self, operation: str, parameters: dict[str, Any]) -> Any:
        await asyncio.sleep(0)
        self.calls.append((operation, parameters))
        outcome: Any = self.script.pop(0) if self.script else {}
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def get_item(self, **parameters: Any) -> Any:
        """Play a GetItem."""
        return await self._make_api_call("GetItem", parameters)

    async def update_item(self, **parameters: Any) -> Any:
        """Play an UpdateItem."""
        return await self._make_api_call("UpdateItem", parameters)

    async def query(self, **parameters: Any) -> Any:
        """Play a Query."""
        return await self._make_api_call("Query", parameters)

    async def transact_write_items(self, **parameters: Any) -> Any:
        """Play a TransactWriteItems."""
        return await self._make_api_call("TransactWriteItems", parameters)


def make_refusal(**item: Any) -> ClientError:
    """Return the error of an update whose condition does not hold, with the item if it is shown."""
    shown: Any = {"Item": item} if item else {}
    answer: Any = {"Error": {"Code": "ConditionalCheckFailedException", "Message": "..."}, **shown}
    return ClientError(answer, "UpdateItem")


def make_cancellation(*reasons: str | dict[str, Any]) -> ClientError:
    """Return the error of a cancelled transaction."""
    answer: Any = {
        "Error": {"Code": "TransactionCanceledException", "Message": "..."},
        "CancellationReasons": [{"Code": e} if isinstance(e, str) else e for e in reasons],
    }
    return ClientError(answer, "TransactWriteItems")


def make_adapter(client: Any, table_name: str = "events") -> DynamoDBBookmarkStorageAdapter:
    """Return an adapter that does not wait between attempts."""
    return DynamoDBBookmarkStorageAdapter(client, table_name, retries=AT_ONCE)


def count_up(table_name: str, name: str = "counter") -> dict[str, Any]:
    """Return a write that adds 1 to a number."""
    return {
        "Update": {
            "TableName": table_name,
            "Key": {"aggregateId": {"S": name}, "version": {"N": "0"}},
            "UpdateExpression": "ADD #count :one",
            "ExpressionAttributeNames": {"#count": "count"},
            "ExpressionAttributeValues": {":one": {"N": "1"}},
        }
    }


def put_new(table_name: str, name: str) -> dict[str, Any]:
    """Return a write of an item that must not be there yet."""
    return {
        "Put": {
            "TableName": table_name,
            "Item": {"aggregateId": {"S": name}, "version": {"N": "0"}},
            "ConditionExpression": "attribute_not_exists(aggregateId)",
        }
    }


async def move(
    adapter: DynamoDBBookmarkStorageAdapter, lease: Lease, position: str, *writes: dict[str, Any]
) -> None:
    """Move a bookmark together with writes."""
    async with adapter.move_bookmark(lease, position) as transaction:
        transaction.extend(writes)


# Requests


async def test_a_move_alone_is_an_update() -> None:
    """Its condition is the lease: owner, token, and that it has not run out."""
    client = FakeClient()

    await move(make_adapter(client), LEASE, "7")

    [(operation, request)] = client.calls
    values = request["ExpressionAttributeValues"]
    assert "UpdateItem" == operation
    assert {"aggregateId": {"S": "#bookmark#pokedex"}, "version": {"N": "0"}} == request["Key"]
    update = "SET #position = :position, #moved = :now, #write = :write"
    assert update == request["UpdateExpression"]
    assert request["ConditionExpression"].startswith(
        "#owner = :owner AND #token = :token AND #until > :now AND "
    )
    assert [{"S": "7"}, {"S": "ash"}, {"N": "3"}] == [
        values[each] for each in (":position", ":owner", ":token")
    ]
    names = {"position", "movedAt", "leaseOwner", "leaseUntil", "leaseToken", "writeToken"}
    assert names == set(request["ExpressionAttributeNames"].values())


async def test_a_move_with_writes_is_a_transaction() -> None:
    """The move is its first operation, and its token is the move's."""
    client = FakeClient()
    writes = [count_up("counters"), put_new("others", "o1")]

    await move(make_adapter(client), LEASE, "7", *writes)

    [(operation, request)] = client.calls
    first, *others = request["TransactItems"]
    assert "TransactWriteItems" == operation
    assert writes == others
    assert {":position", ":write", ":owner", ":token", ":now"} == set(
        first["Update"]["ExpressionAttributeValues"]
    )
    token = first["Update"]["ExpressionAttributeValues"][":write"]["S"]
    assert token == request["ClientRequestToken"]
    assert "ReturnValues" not in first["Update"]


async def test_a_transaction_is_sent_again_as_it_was() -> None:
    """With the same token, so that DynamoDB knows it again."""
    busy = make_cancellation("TransactionConflict", "None")
    client = FakeClient(busy, busy, {})

    await move(make_adapter(client), LEASE, "7", count_up("counters"))

    assert 3 == len(client.calls)
    assert client.calls[0] == client.calls[1] == client.calls[2]


async def test_too_many_writes_are_not_sent() -> None:
    """DynamoDB takes 100 operations, one of which moves the bookmark."""
    client = FakeClient()
    adapter = make_adapter(client)

    await move(adapter, LEASE, "7", *[count_up("counters", str(each)) for each in range(99)])
    with pytest.raises(StorageError, match=r"100 writes .* takes 99 beside"):
        await move(adapter, LEASE, "8", *[count_up("counters", str(each)) for each in range(100)])

    assert [100] == [len(each["TransactItems"]) for _, each in client.calls]


async def test_parked_events_take_the_place_of_writes() -> None:
    """They are writes of the same transaction, behind those of the block."""
    client = FakeClient()
    adapter = make_adapter(client)
    parking: dict[str, Any] = {"parked": [EVENT], "unparked": ["1", "2"]}

    async with adapter.move_bookmark(LEASE, "7", **parking) as writes:
        writes.extend(count_up("counters", str(each)) for each in range(96))
    with pytest.raises(StorageError, match=r"97 writes .* takes 96 beside its move and 3 events"):
        async with adapter.move_bookmark(LEASE, "8", **parking) as writes:
            writes.extend(count_up("counters", str(each)) for each in range(97))

    [(_, request)] = client.calls
    kinds = [kind for each in request["TransactItems"] for kind in each]
    assert ["Update"] * 97 + ["Delete"] * 2 + ["Put"] == kinds


async def test_the_item_of_a_parked_event() -> None:
    """Its sort key is made of the hash of its position; it has no key of the index of events."""
    client = FakeClient()

    async with make_adapter(client).move_bookmark(LEASE, "7", parked=[EVENT]):
        pass

    [(operation, request)] = client.calls
    assert "TransactWriteItems" == operation
    item = request["TransactItems"][1]["Put"]["Item"]
    number = int(sha256(b"5").hexdigest(), 16) % 10**37
    assert ("#parked#pokedex", str(number)) == (item["aggregateId"]["S"], item["version"]["N"])
    assert {"S": "5"} == item["position"]
    assert {"N": "1704067200123"} == item["parkedAt"]
    assert {"eventStoreId", "timestamp"}.isdisjoint(item)


async def test_a_parked_event_that_cannot_be_read() -> None:
    """Where somebody changed its item, the error is the adapter's."""
    client = FakeClient({"Items": [{"position": {"S": "5"}}]})

    with pytest.raises(StorageError, match="parked event of bookmark 'pokedex' cannot be read"):
        await make_adapter(client).get_parked_events("pokedex")


async def test_a_refused_write_is_named_beside_parked_events() -> None:
    """Its index is that among the writes of the block."""
    client = FakeClient(make_cancellation("None", "None", REFUSED, "None"))

    with pytest.raises(StorageError, match=r"conditions of \[1\] do not hold"):
        async with make_adapter(client).move_bookmark(LEASE, "7", parked=[EVENT]) as writes:
            writes += [count_up("a"), put_new("b", "o1")]


async def test_a_block_that_raises_sends_nothing() -> None:
    """Its error comes out as it is."""
    client = FakeClient()

    async def fail_in_block() -> None:
        async with make_adapter(client).move_bookmark(LEASE, "7") as writes:
            writes.append(count_up("counters"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail_in_block()

    assert [] == client.calls


async def test_a_block_that_is_cancelled_sends_nothing() -> None:
    """The cancellation goes on."""
    client = FakeClient()

    async def wait_in_block() -> None:
        async with make_adapter(client).move_bookmark(LEASE, "7") as writes:
            writes.append(count_up("counters"))
            await asyncio.sleep(60)

    task = asyncio.create_task(wait_in_block())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert [] == client.calls


@pytest.mark.parametrize(
    "reasons",
    [(REFUSED, "None", "None"), (REFUSED, REFUSED, "None")],
    ids=["the move", "the move and a write"],
)
async def test_a_lost_lease_comes_first(reasons: tuple[str, ...]) -> None:
    """Whatever else is refused: the writes were not this owner's to make."""
    client = FakeClient(make_cancellation(*reasons))

    with pytest.raises(LeaseLostError) as caught:
        await move(make_adapter(client), LEASE, "7", count_up("a"), count_up("b"))

    assert ("pokedex", "ash") == caught.value.args
    assert isinstance(caught.value.__cause__, ClientError)


async def test_a_refused_write_is_named() -> None:
    """By its index among those that were appended."""
    client = FakeClient(make_cancellation("None", "None", REFUSED))

    with pytest.raises(
        StorageError, match=r"'pokedex' .* conditions of \[1\] do not hold"
    ) as caught:
        await move(make_adapter(client), LEASE, "7", count_up("a"), put_new("b", "o1"))

    assert isinstance(caught.value.__cause__, ClientError)


@pytest.mark.parametrize(
    "error",
    [
        make_cancellation("None", "ValidationError"),
        ClientError({"Error": {"Code": "ValidationException", "Message": "..."}}, "..."),
    ],
)
async def test_other_errors_are_storage_errors(error: ClientError) -> None:
    """They are raised at once, from the error of AWS."""
    client = FakeClient(error)

    with pytest.raises(StorageError) as caught:
        await move(make_adapter(client), LEASE, "7", count_up("counters"))

    assert error is caught.value.__cause__
    assert 1 == len(client.calls)


async def test_a_move_that_was_made_is_no_lost_lease() -> None:
    """An answer was lost, and the lease ran out before the next attempt: the token is there."""

    class ForgetfulClient(FakeClient):
        async def _make_api_call(self, operation: str, parameters: dict[str, Any]) -> Any:
            await super()._make_api_call(operation, parameters)
            token = {"S": parameters["ClientRequestToken"]}
            made = {"Code": REFUSED, "Item": {"writeToken": token}}
            raise make_cancellation(made, REFUSED)

    client = ForgetfulClient()

    await move(make_adapter(client), LEASE, "7", put_new("others", "o1"))

    assert 1 == len(client.calls)


async def test_an_extension_is_one_request() -> None:
    """The owner has the same token, and DynamoDB is asked for nothing else."""
    client = FakeClient({"Attributes": {"leaseToken": {"N": "3"}}})

    assert LEASE == await make_adapter(client).acquire_lease("pokedex", "ash", LONG)

    [(operation, request)] = client.calls
    assert ("UpdateItem", "ALL_NEW") == (operation, request["ReturnValues"])
    assert "SET #until = :until, #renewed = :now" == request["UpdateExpression"]
    assert "#owner = :owner AND #until > :now" == request["ConditionExpression"]


async def test_a_lease_that_begins_is_a_second_request() -> None:
    """The token grows by one."""
    client = FakeClient(make_refusal(), {"Attributes": {"leaseToken": {"N": "3"}}})

    assert LEASE == await make_adapter(client).acquire_lease("pokedex", "ash", LONG)

    request = client.calls[1][1]
    assert "#token = if_not_exists(#token, :zero) + :one" in request["UpdateExpression"]
    assert "attribute_not_exists(#until) OR #until <= :now" == request["ConditionExpression"]


async def test_a_lease_of_another_is_one_request() -> None:
    """DynamoDB shows who has it."""
    held = make_refusal(leaseOwner={"S": "gary"}, leaseUntil=FAR_FUTURE)
    client = FakeClient(held)

    assert await make_adapter(client).acquire_lease("pokedex", "ash", LONG) is None

    assert 1 == len(client.calls)


async def test_a_lease_that_has_begun_meanwhile_is_extended() -> None:
    """By an attempt whose answer was lost: the owner is the same, and so is the token."""
    own = make_refusal(leaseOwner={"S": "ash"}, leaseUntil=FAR_FUTURE)
    client = FakeClient(make_refusal(), own, {"Attributes": {"leaseToken": {"N": "3"}}})

    assert LEASE == await make_adapter(client).acquire_lease("pokedex", "ash", LONG)

    assert "SET #until = :until, #renewed = :now" == client.calls[2][1]["UpdateExpression"]


async def test_who_was_slower_has_no_lease() -> None:
    """Somebody else took it between two requests, and a server need not show who."""
    client = FakeClient(*[make_refusal()] * 3)

    assert await make_adapter(client).acquire_lease("pokedex", "ash", LONG) is None

    assert 3 == len(client.calls)


async def test_a_position_of_another_kind_is_an_error() -> None:
    """It is not taken for a bookmark that does not exist."""
    client = FakeClient({"Item": {"position": {"N": "7"}}})

    with pytest.raises(StorageError, match="position of bookmark 'pokedex' is no text"):
        await make_adapter(client).get_bookmark("pokedex")


# On servers


class Setting(NamedTuple):
    """A table, an adapter of it behind a proxy, and one without."""

    proxy: Any
    adapter: DynamoDBBookmarkStorageAdapter
    direct: DynamoDBBookmarkStorageAdapter
    client: Any
    table_name: str

    async def find(self, name: str) -> dict[str, Any]:
        """Return the item of a name, empty where there is none."""
        key = {"aggregateId": {"S": name}, "version": {"N": "0"}}
        request = {"TableName": self.table_name, "Key": key, "ConsistentRead": True}
        response = await AWSClient(self.client, "dynamodb").call("get_item", request)
        item: dict[str, Any] = response.get("Item", {})
        return item

    async def acquire(self, owner: str = "ash", duration: timedelta = LONG) -> Lease:
        """Take the lease."""
        lease = await self.direct.acquire_lease("pokedex", owner, duration)
        assert lease is not None
        return lease


@pytest.fixture(params=["ministack", "moto"])
async def setting(
    request: pytest.FixtureRequest,
    find_server: Callable[[str], str],
    make_client: Callable[..., Awaitable[Any]],
    make_proxy: Callable[..., Awaitable[Any]],
    make_table: Callable[..., Awaitable[str]],
) -> Setting:
    """Give a table of a server that knows tokens of transactions, or of one that does not."""
    url = find_server(request.param)
    client = await make_client("boto3", url)
    name = await make_table(client)
    proxy = await make_proxy(url)
    once = {"total_max_attempts": 1, "mode": "standard"}
    proxied = await make_client("boto3", proxy.url, retries=once)
    return Setting(proxy, make_adapter(proxied, name), make_adapter(client, name), client, name)


async def test_events_are_parked_exactly_once(setting: Setting) -> None:
    """Answers may be lost: an event is parked with its move, and parked no longer with the next."""
    lease = await setting.acquire()

    for number, lost in enumerate((1, 2, 1)):
        setting.proxy.answers_to_drop = lost
        event = EVENT._replace(position=str(number), attempts=number)
        unparked = [str(number - 1)]
        async with setting.adapter.move_bookmark(lease, "7", parked=[event], unparked=unparked):
            pass
        assert [event] == await setting.direct.get_parked_events("pokedex")


async def test_many_parked_events(setting: Setting) -> None:
    """More than a page of a Query holds are read, and tried again, and dropped."""
    lease = await setting.acquire()
    failure = Failure("k" * 200, "x" * 4_000)
    positions = [f"{number:04}" for number in range(300)]
    for start in range(0, len(positions), 25):
        some = positions[start : start + 25]
        parked = [EVENT._replace(position=each, failure=failure) for each in some]
        async with setting.direct.move_bookmark(lease, "7", parked=parked):
            pass

    found = await setting.direct.get_parked_events("pokedex", limit=1000)
    assert positions == [each.position for each in found]
    await setting.direct.retry_parked_events("pokedex", positions)
    found = await setting.direct.get_parked_events("pokedex", "0009", 1000)
    assert [EVENT._replace(position=each) for each in positions[10:]] == found
    await setting.direct.drop_parked_events("pokedex", positions)
    assert [] == await setting.direct.get_parked_events("pokedex")


async def test_writes_are_made_exactly_once(setting: Setting) -> None:
    """A counter that moves with the bookmark counts the moves, also where answers are lost."""
    lease = await setting.acquire()

    for number, lost in enumerate((0, 1, 2, 0, 1), 1):
        setting.proxy.answers_to_drop = lost
        await move(setting.adapter, lease, str(number), count_up(setting.table_name))

    assert 9 == setting.proxy.writes
    assert {"N": "5"} == (await setting.find("counter"))["count"]
    assert "5" == (await setting.direct.get_bookmark("pokedex")).position


async def test_a_condition_that_the_first_attempt_changed(setting: Setting) -> None:
    """A new item is no obstacle to the attempt that follows the one that wrote it."""
    lease = await setting.acquire()
    setting.proxy.answers_to_drop = 1

    await move(setting.adapter, lease, "1", put_new(setting.table_name, "new"))

    assert 2 == setting.proxy.writes
    assert {} != await setting.find("new")
    assert "1" == (await setting.direct.get_bookmark("pokedex")).position


async def test_a_move_without_writes_loses_an_answer(setting: Setting) -> None:
    """It is made again, and is where it was to be."""
    lease = await setting.acquire()
    setting.proxy.answers_to_drop = 2

    await move(setting.adapter, lease, "1")

    assert 3 == setting.proxy.writes
    assert "1" == (await setting.direct.get_bookmark("pokedex")).position


async def test_a_lease_whose_answer_was_lost(setting: Setting) -> None:
    """The second attempt finds it held by the same owner: it begins once."""
    setting.proxy.answers_to_drop = 2

    lease = await setting.adapter.acquire_lease("pokedex", "ash", LONG)

    assert Lease("pokedex", "ash", 1) == lease
    assert lease == await setting.acquire()


async def test_a_bookmark_whose_answer_was_lost(setting: Setting) -> None:
    """The second attempt finds where the first one made it."""
    setting.proxy.answers_to_drop = 1

    assert "7" == await setting.adapter.create_bookmark("pokedex", "7")
    assert "7" == await setting.adapter.create_bookmark("pokedex", "8")


async def test_an_owner_that_comes_late_is_fenced_off(setting: Setting) -> None:
    """Its lease ran out and went to another one: its open block writes nothing."""
    late = await setting.acquire("ash", SHORT)

    async def linger_in_block() -> None:
        async with setting.direct.move_bookmark(late, "1") as writes:
            writes.append(count_up(setting.table_name))
            await asyncio.sleep(2 * SHORT.total_seconds())
            other = await setting.acquire("gary")
            assert late.token < other.token

    with pytest.raises(LeaseLostError):
        await linger_in_block()

    assert {} == await setting.find("counter")
    assert (await setting.direct.get_bookmark("pokedex")).position is None


async def test_an_owner_does_not_move_by_an_earlier_lease(setting: Setting) -> None:
    """It gave that back and took another one, whose token is greater."""
    first = await setting.acquire()
    await setting.direct.release_lease(first)
    second = await setting.acquire()

    with pytest.raises(LeaseLostError):
        await move(setting.direct, first, "1", count_up(setting.table_name))
    await setting.direct.release_lease(first)
    await move(setting.direct, second, "2", count_up(setting.table_name))

    assert (1, 2) == (first.token, second.token)
    assert {"N": "1"} == (await setting.find("counter"))["count"]
    assert "2" == (await setting.direct.get_bookmark("pokedex")).position


async def test_a_late_move_finds_its_lease_given_back(setting: Setting) -> None:
    """A move that got no answer changes nothing once its owner has taken the lease anew."""
    lease = await setting.acquire()
    setting.proxy.answers_to_drop = 3
    with pytest.raises(StorageError):
        await move(setting.adapter, lease, "1", count_up(setting.table_name))

    await setting.direct.release_lease(lease)
    renewed = await setting.acquire()
    with pytest.raises(LeaseLostError):
        await move(setting.direct, lease, "1", count_up(setting.table_name))

    assert lease.token < renewed.token
    assert {"N": "1"} == (await setting.find("counter"))["count"]
    assert "1" == (await setting.direct.get_bookmark("pokedex")).position


async def test_a_token_grows_when_a_lease_begins_anew(setting: Setting) -> None:
    """Also for the same owner, after it ran out; while it is held, it stays."""
    first = await setting.acquire("ash")
    extended = await setting.acquire("ash", SHORT)
    await asyncio.sleep(2 * SHORT.total_seconds())
    again = await setting.acquire("ash")

    assert [1, 1, 2] == [each.token for each in (first, extended, again)]


async def test_a_refused_write_stops_the_move(setting: Setting) -> None:
    """The other writes are not made either, and the lease holds."""
    lease = await setting.acquire()
    writes = [count_up(setting.table_name), put_new(setting.table_name, "new")]
    await move(setting.direct, lease, "1", *writes)

    with pytest.raises(StorageError, match=r"\[1\]"):
        await move(setting.direct, lease, "2", *writes)

    assert {"N": "1"} == (await setting.find("counter"))["count"]
    assert "1" == (await setting.direct.get_bookmark("pokedex")).position


async def test_a_write_that_dynamodb_does_not_take(setting: Setting) -> None:
    """It is refused as a whole, with the client's error or the server's."""
    lease = await setting.acquire()
    wrong: TransactItems = [{"Put": {"TableName": setting.table_name}}, {"Update": "nothing"}]

    for each in wrong:
        with pytest.raises(StorageError) as caught:
            async with setting.direct.move_bookmark(lease, "1") as writes:
                writes.append(each)
        assert caught.value.__cause__ is not None

    assert (await setting.direct.get_bookmark("pokedex")).position is None
