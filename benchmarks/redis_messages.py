"""Messages on Redis: from the publisher to the consumer, many and one at a time."""

from collections import defaultdict
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from statistics import quantiles
from time import perf_counter
from typing import NamedTuple

from castore_core import NotificationMessage
from measuring import WARM_UP, Job, Measurement, Target, interleave
from redis_contestants import BATCH, BUSES, QUEUES, Arrivals, Contestant, Message, Publish
from sizes import Measurements, Sizes
from with_castore import make_event
from workload import STORE, make_id, make_payload

MOST = 1.2
"""How many times as long as redis-py castore may take."""

BARE = "redis-py"


class Flow(NamedTuple):
    """A publisher, and what its consumer was given."""

    publish: Publish
    arrivals: Arrivals


async def measure_redis(sizes: Sizes) -> Measurements:
    """Publish messages, and wait until all were handled."""
    for title, contestants in (("bus", BUSES), ("queue", QUEUES)):
        async with _opened(contestants) as flows:
            yield await _measure_throughput(title, flows, sizes)
            for each in await _measure_latency(title, flows, sizes):
                yield each


async def _measure_throughput(title: str, flows: Mapping[str, Flow], sizes: Sizes) -> Measurement:
    messages = _make_messages(sizes.messages)
    batches = [messages[start : start + BATCH] for start in range(0, len(messages), BATCH)]

    async def run(flow: Flow, _round: int) -> None:
        flow.arrivals.expect(len(messages))
        for each in batches:
            await flow.publish(each)
        await flow.arrivals.wait()

    jobs: dict[str, Job] = {name: partial(run, flow) for name, flow in flows.items()}
    seconds = await interleave(jobs, rounds=sizes.rounds, operations=len(messages))
    return _compare(f"{title}, one of {len(messages):,} in batches of {BATCH}", seconds)


async def _measure_latency(
    title: str, flows: Mapping[str, Flow], sizes: Sizes
) -> list[Measurement]:
    """Publish the next message when the one before was handled."""
    messages = _make_messages(sizes.single_messages)
    percentiles: dict[int, dict[str, list[float]]] = {50: defaultdict(list), 99: defaultdict(list)}

    async def run(name: str, flow: Flow, number: int) -> None:
        took: list[float] = []
        for each in messages:
            flow.arrivals.expect(1)
            began = perf_counter()
            await flow.publish([each])
            await flow.arrivals.wait()
            took.append(perf_counter() - began)
        if number != WARM_UP:
            cuts = quantiles(took, n=100)
            for percent, seconds in percentiles.items():
                seconds[name].append(cuts[percent - 1])

    jobs: dict[str, Job] = {name: partial(run, name, flow) for name, flow in flows.items()}
    await interleave(jobs, rounds=sizes.rounds, operations=len(messages))
    return [
        _compare(f"{title}, one at a time, p{percent}", seconds)
        for percent, seconds in percentiles.items()
    ]


def _compare(title: str, seconds: Mapping[str, list[float]]) -> Measurement:
    ours = [each for each in seconds if not each.startswith(BARE)]
    targets = [Target(each, to, MOST) for each in ours for to in seconds if to not in ours]
    return Measurement("redis", title, seconds, dict.fromkeys(seconds, BARE), targets)


@asynccontextmanager
async def _opened(
    contestants: Mapping[str, Contestant],
) -> AsyncGenerator[dict[str, Flow]]:
    async with AsyncExitStack() as stack:
        flows: dict[str, Flow] = {}
        for name, contestant in contestants.items():
            arrivals = Arrivals()
            publish = await stack.enter_async_context(contestant(arrivals))
            flows[name] = Flow(publish, arrivals)
        yield flows


def _make_messages(count: int) -> list[Message]:
    """Return the first events of so many orders."""
    return [
        NotificationMessage(STORE, make_event(make_id(str(each)), 1, make_payload(each)))
        for each in range(count)
    ]
