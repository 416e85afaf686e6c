"""Workers on queues of servers, with both kinds of client."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from castore_core import NotificationMessage, NotificationMessageQueue
from castore_sqs import (
    MessageHandled,
    MessageUnreadable,
    SQSMessageContext,
    SQSMessageQueueAdapter,
    SQSWorker,
    WorkerReport,
)
from pokemon import PokemonEvent, PokemonLeveledUp, pokemons

COUNTS = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]

Handle = Callable[[PokemonEvent, SQSMessageContext], Awaitable[None]]


class Service:
    """A queue of a server, and workers on it."""

    def __init__(self, admin: Any, client: Any, url: str, *, fifo: bool) -> None:
        self.admin, self.client, self.url = admin, client, url
        self.queue = NotificationMessageQueue(
            "QUEUE",
            source_event_stores=(pokemons,),
            message_channel_adapter=SQSMessageQueueAdapter(client, url, fifo),
        )
        self.handled: list[tuple[str, int, int]] = []
        self.reports: list[WorkerReport] = []

    async def publish(self, aggregate_id: str, versions: range) -> None:
        """Publish that a pokemon is stronger."""
        events = [PokemonLeveledUp(aggregate_id=aggregate_id, version=each) for each in versions]
        await self.queue.publish_messages([NotificationMessage("POKEMONS", e) for e in events])

    def make_worker(self, handle: Handle | None = None, **options: Any) -> SQSWorker[Any]:
        """Return a worker that notes what it handled."""

        async def handler(
            message: NotificationMessage[PokemonEvent], context: SQSMessageContext
        ) -> None:
            if handle is not None:
                await handle(message.event, context)
            event = message.event
            self.handled.append((event.aggregate_id, event.version, context.attempt))

        options = {"wait_time": 1, "on_report": self.reports.append} | options
        return SQSWorker(self.queue, handler, **options)

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait for a condition."""
        async with asyncio.timeout(20):
            while not condition():  # noqa: ASYNC110 the server tells nobody
                await asyncio.sleep(0.02)

    def add_dead_letters(self, url: str) -> str:
        """Let messages go to another queue after two attempts, and return its URL."""
        answer = self.admin.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        arn = answer["Attributes"]["QueueArn"]
        policy = {"deadLetterTargetArn": arn, "maxReceiveCount": 2}
        self.admin.set_queue_attributes(
            QueueUrl=self.url, Attributes={"RedrivePolicy": json.dumps(policy)}
        )
        return url

    def is_empty(self) -> bool:
        """Tell whether the queue has no message, seen or hidden."""
        answer = self.admin.get_queue_attributes(QueueUrl=self.url, AttributeNames=COUNTS)
        return not any(int(each) for each in answer["Attributes"].values())


@pytest.fixture(params=["moto", "ministack"])
def url(request: pytest.FixtureRequest, find_server: Callable[[str], str]) -> str:
    """Give the URL of a server."""
    return find_server(request.param)


@pytest.fixture(params=["boto3", "aioboto3"])
def make_service(
    request: pytest.FixtureRequest,
    url: str,
    make_client: Callable[..., Awaitable[Any]],
    make_queue: Callable[..., str],
) -> Callable[..., Awaitable[Service]]:
    """Give a function that makes a queue, with a client of either kind."""

    async def make(*, fifo: bool = False) -> Service:
        admin = await make_client("boto3", url)
        client = await make_client(request.param, url)
        return Service(admin, client, make_queue(admin, fifo=fifo), fifo=fifo)

    return make


Make = Callable[..., Awaitable[Service]]


@pytest.mark.parametrize("fifo", [True, False])
async def test_all_is_handled_and_deleted(make_service: Make, *, fifo: bool) -> None:
    """Each message once, in the order of its aggregate where the queue has one."""
    service = await make_service(fifo=fifo)
    for aggregate_id in ("bulbasaur", "charmander", "squirtle"):
        await service.publish(aggregate_id, range(2, 14))

    async with service.make_worker():
        await service.until(lambda: len(service.handled) == 36)
        await service.until(service.is_empty)

    assert 36 == len(set(service.handled))
    assert {1} == {attempt for _, _, attempt in service.handled}
    if fifo:
        for name in ("bulbasaur", "charmander", "squirtle"):
            versions = [version for each, version, _ in service.handled if each == name]
            assert list(range(2, 14)) == versions


async def test_a_group_keeps_its_order_after_a_failure(make_service: Make) -> None:
    """The message that failed comes first again, also when others of the group were received."""
    service = await make_service(fifo=True)
    await service.publish("pikachu", range(2, 8))

    async def handle(event: PokemonEvent, context: SQSMessageContext) -> None:
        if event.version == 4 and context.attempt < 3:
            raise ValueError("no")

    async with service.make_worker(handle, retry_delay=0):
        await service.until(lambda: len(service.handled) == 6)
        await service.until(service.is_empty)

    assert [2, 3, 4, 5, 6, 7] == [version for _, version, _ in service.handled]


async def test_poison_goes_where_the_queue_says(
    make_service: Make, make_queue: Callable[..., str]
) -> None:
    """What cannot be read is moved to the dead-letter queue, and blocks nobody."""
    service = await make_service()
    dead_letters = service.add_dead_letters(make_queue(service.admin, fifo=False))
    service.admin.send_message(QueueUrl=service.url, MessageBody="poison")
    await service.publish("pikachu", range(2, 5))

    async with service.make_worker(retry_delay=0, concurrency=1):
        await service.until(lambda: len(service.handled) == 3)
        await service.until(service.is_empty)

    answer = service.admin.receive_message(QueueUrl=dead_letters, WaitTimeSeconds=1)
    assert ["poison"] == [each["Body"] for each in answer["Messages"]]
    unreadable = [each for each in service.reports if isinstance(each, MessageUnreadable)]
    assert [1, 2] == [each.attempt for each in unreadable]
    assert 3 == len(service.handled)


@pytest.mark.parametrize(("batch_size", "dead"), [(1, [2]), (10, [2, 3, 4])])
async def test_what_follows_poison_in_its_group(
    make_service: Make, make_queue: Callable[..., str], batch_size: int, dead: list[int]
) -> None:
    """It goes with it to the dead-letter queue, where it was received with it."""
    service = await make_service(fifo=True)
    dead_letters = service.add_dead_letters(make_queue(service.admin, fifo=True))
    await service.publish("pikachu", range(2, 5))

    async def handle(event: PokemonEvent, _: SQSMessageContext) -> None:
        if event.version == 2:
            raise ValueError("no")

    async with service.make_worker(handle, retry_delay=0, batch_size=batch_size):
        await service.until(service.is_empty)

    answer = service.admin.receive_message(
        QueueUrl=dead_letters, WaitTimeSeconds=1, MaxNumberOfMessages=10
    )
    bodies = [json.loads(each["Body"]) for each in answer["Messages"]]
    assert dead == [each["event"]["version"] for each in bodies]
    assert [2, 3, 4] == [*dead, *(version for _, version, _ in service.handled)]


async def test_a_handler_may_take_longer_than_the_timeout(make_service: Make) -> None:
    """Its message is not handed out to a second worker meanwhile."""
    service = await make_service()
    await service.publish("pikachu", range(2, 3))

    has_begun = asyncio.Event()

    async def handle(*_: object) -> None:
        has_begun.set()
        await asyncio.sleep(2.2)

    async with service.make_worker(handle, visibility_timeout=1):
        await has_begun.wait()
        async with service.make_worker(handle, visibility_timeout=1):
            await service.until(service.is_empty)

    assert [("pikachu", 2, 1)] == service.handled


async def test_what_a_stopped_worker_has_is_returned(make_service: Make) -> None:
    """Another one gets it long before the visibility timeout runs out."""
    service = await make_service(fifo=True)
    await service.publish("pikachu", range(2, 5))
    has_begun = asyncio.Event()

    async def handle(*_: object) -> None:
        has_begun.set()
        await asyncio.Event().wait()

    async with service.make_worker(handle, grace_period=0, visibility_timeout=600):
        await has_begun.wait()
    assert [] == service.handled
    async with service.make_worker():
        await service.until(lambda: len(service.handled) == 3)
        await service.until(service.is_empty)

    assert [("pikachu", 2, 2), ("pikachu", 3, 2), ("pikachu", 4, 2)] == service.handled


async def test_replays_are_told(make_service: Make) -> None:
    """The context says which messages are."""
    service = await make_service()
    message = NotificationMessage("POKEMONS", PokemonLeveledUp(aggregate_id="eevee", version=2))
    await service.queue.publish_message(message)
    await service.queue.publish_messages([message], replay=True)

    async with service.make_worker():
        await service.until(lambda: len(service.handled) == 2)
        await service.until(service.is_empty)

    handled = [each for each in service.reports if isinstance(each, MessageHandled)]
    assert [False, True] == sorted(each.context.replay for each in handled)


async def test_a_queue_that_does_not_exist(make_service: Make) -> None:
    """The worker does not begin."""
    service = await make_service()
    service.admin.delete_queue(QueueUrl=service.url)

    with pytest.raises(ClientError, match=r"NonExistentQueue|QueueDoesNotExist"):
        await service.make_worker().run()
