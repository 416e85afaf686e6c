"""Calls in threads: what they return and raise, and what becomes of cancelled ones."""

import asyncio
import gc
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from time import monotonic

import pytest

from castore_aws._threads import Threads

trace: ContextVar[str] = ContextVar("trace", default="none")


@pytest.fixture
def threads() -> Threads:
    """Give one thread."""
    return Threads(1, "test")


async def test_a_result_comes_back(threads: Threads) -> None:
    """From another thread, in which the context is the caller's."""
    trace.set("mine")
    thread, context = await threads.run(lambda: (threading.current_thread(), trace.get()))
    assert thread is not threading.current_thread()
    assert context == "mine"


async def test_threads_have_names_and_are_daemons() -> None:
    """A dump of a process shows what they are for, and they do not keep it from ending."""
    thread = await Threads(2, "some-calls").run(threading.current_thread)
    assert ("some-calls-1", True) == (thread.name, thread.daemon)


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3)])
async def test_an_error_comes_back(threads: Threads, error: BaseException) -> None:
    """Whatever it is; the thread goes on."""

    def fail() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        await threads.run(fail)
    assert error is caught.value
    assert await threads.run(lambda: 1) == 1


async def test_what_no_future_takes_comes_back_too(threads: Threads) -> None:
    """A mock whose answers are used up raises it; without an error, its caller would hang."""
    answers: Iterator[int] = iter([])

    with pytest.raises(RuntimeError, match="the call raised StopIteration"):
        await asyncio.wait_for(threads.run(lambda: next(answers)), 10)


async def test_no_more_threads_than_allowed() -> None:
    """Calls wait for one."""
    threads, seen, gate = Threads(3, "test"), set[threading.Thread](), threading.Event()

    def call() -> None:
        seen.add(threading.current_thread())
        gate.wait(10)

    calls = [asyncio.create_task(threads.run(call)) for _ in range(12)]
    await asyncio.sleep(0.1)
    gate.set()
    await asyncio.gather(*calls)

    assert 3 == len(seen)


async def test_an_idle_thread_is_used_first() -> None:
    """One that is busy begins another."""
    threads = Threads(3, "test")
    first = await threads.run(threading.current_thread)
    await asyncio.sleep(0.1)  # until it is idle

    assert first is await threads.run(threading.current_thread)


async def test_threads_end_with_their_owner() -> None:
    """They are told when nobody can call them any more."""
    threads = Threads(2, "test")
    thread = await threads.run(threading.current_thread)
    del threads
    gc.collect()
    thread.join(5)
    assert not thread.is_alive()


async def test_a_cancelled_call_that_did_not_begin_is_not_made(threads: Threads) -> None:
    """Nothing happens behind the back of who cancelled it."""
    calls: list[str] = []
    release = threading.Event()
    first = asyncio.create_task(threads.run(release.wait))
    second = asyncio.create_task(threads.run(lambda: calls.append("second")))
    await asyncio.sleep(0)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    release.set()
    assert await first
    await threads.run(lambda: calls.append("third"))
    assert calls == ["third"]


@pytest.mark.parametrize("error", [None, ValueError("too late")])
async def test_the_end_of_a_cancelled_call_is_not_awaited(
    threads: Threads, error: Exception | None
) -> None:
    """What it returns or raises is nobody's business any more."""
    began, release = threading.Event(), threading.Event()
    task = asyncio.create_task(threads.run(_wait(began, release, error)))
    await asyncio.to_thread(began.wait)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    release.set()
    assert await threads.run(lambda: 1) == 1


def test_asyncio_does_not_log_what_a_call_returns(caplog: pytest.LogCaptureFixture) -> None:
    """In debug mode, it shows the futures that it waits for, and the arguments of callbacks."""
    secret = {"payload": "hunter2"}

    async def wait_long(threads: Threads) -> None:
        asyncio.get_running_loop().slow_callback_duration = 0
        assert secret is await threads.run(lambda: secret)

    with caplog.at_level("DEBUG", "asyncio"):
        asyncio.run(wait_long(Threads(1, "test")), debug=True)

    assert "Executing" in caplog.text
    assert "hunter2" not in caplog.text


def test_a_call_may_outlive_its_loop(threads: Threads) -> None:
    """Its outcome is dropped, and the thread serves the next loop."""
    began, release = threading.Event(), threading.Event()

    async def leave() -> None:
        task = asyncio.create_task(threads.run(_wait(began, release, None)))
        await asyncio.to_thread(began.wait)
        task.cancel()

    asyncio.run(leave())
    release.set()

    assert 1 == asyncio.run(threads.run(lambda: 1))


def _wait(
    began: threading.Event, release: threading.Event, error: Exception | None
) -> Callable[[], None]:
    def call() -> None:
        began.set()
        release.wait()
        if error is not None:
            raise error

    return call


# A process whose server accepts connections, and never answers

HANGING = """
import asyncio, os, boto3
from contextlib import suppress
from botocore.config import Config
from castore_aws import AWSClient, S3ClaimCheck
from castore_aws._streams import Bounds
from castore_aws._downloads import download

url = os.environ["URL"]
account = dict(region_name="eu-west-1", aws_access_key_id="key", aws_secret_access_key="secret")
s3 = boto3.client(
    "s3", endpoint_url=url, config=Config(read_timeout=600, connect_timeout=600), **account
)
claim_check = S3ClaimCheck(s3, "claims")
place = {"Bucket": "claims", "Key": "key"}
claim = {"messageUrl": url + "/claims/key"}

async def call():
    await AWSClient(s3, "s3").call("head_object", place)

async def read():
    await AWSClient(s3, "s3").read("get_object", place)

async def check_in():
    await claim_check.check_in("{}")

async def redeem():
    await claim_check.redeem(claim)

async def fetch():
    await claim_check._downloads.run(lambda: download(claim["messageUrl"], print, Bounds()))

async def main():
    with suppress(TimeoutError):
        await asyncio.wait_for(globals()[os.environ["WHAT"]](), 1)

asyncio.run(main())
print("over")
"""


@pytest.mark.parametrize("what", ["call", "read", "check_in", "redeem", "fetch"])
def test_a_process_ends_while_a_call_hangs(what: str) -> None:
    """It waits for no thread: not for one of a client of boto3, nor for a download."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        host, port = server.getsockname()
        began = monotonic()
        done = subprocess.run(
            [sys.executable, "-c", HANGING],
            env={**os.environ, "URL": f"http://{host}:{port}", "WHAT": what},
            timeout=60,
            capture_output=True,
            text=True,
            check=False,
        )

    assert 0 == done.returncode, done.stderr
    assert "over" in done.stdout
    assert monotonic() - began < 20, "it took long after asyncio.run was over"


def test_the_end_of_the_program() -> None:
    """A task that the end of the program cancels can still call something."""
    program = """
import asyncio
from castore_aws._threads import Threads
from castore_core.sync import run

threads, tasks = Threads(1, "calls"), []

async def leave():
    try:
        await asyncio.sleep(60)
    finally:
        await threads.run(lambda: print("called", flush=True))

async def begin():
    await threads.run(str)
    tasks.append(asyncio.create_task(leave()))
    await asyncio.sleep(0)

run(begin())
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert "called\n" == ended.stdout
