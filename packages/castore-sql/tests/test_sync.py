"""SQLite under a façade: where it commits, and what becomes of programs that fork or end."""

import asyncio
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from textwrap import dedent

import pytest
from sqlalchemy import Engine, event

from castore_core.sync import EventLoopThread, SyncEventStore
from castore_sql import SQLEventStorageAdapter
from sync_within_suite import SyncAccounts
from within_suite import make_store, open_account


@pytest.fixture
def committers(engine: Engine) -> list[str]:
    """Give a list to which each commit adds the name of its thread."""
    names: list[str] = []

    def note(statement: str) -> None:
        if statement == "COMMIT":
            names.append(threading.current_thread().name)

    @event.listens_for(engine, "connect")
    def _(connection: sqlite3.Connection, _: object) -> None:
        connection.set_trace_callback(note)

    return names


@pytest.fixture
def event_loop() -> Iterator[EventLoopThread]:
    """Give an event loop thread."""
    with EventLoopThread(name="facade") as event_loop:
        yield event_loop


@pytest.fixture
def accounts(engine: Engine, event_loop: EventLoopThread, committers: list[str]) -> SyncAccounts:
    """Give a store whose table is there."""
    adapter = SQLEventStorageAdapter(engine)
    event_loop.run(adapter.create_tables())
    committers.clear()
    return SyncEventStore(make_store(adapter), event_loop=event_loop)


def test_a_lone_thread_commits_in_the_event_loop(
    accounts: SyncAccounts, committers: list[str]
) -> None:
    """There is one way between threads, not two."""
    for number in range(5):
        accounts.push_event(open_account(f"a{number}"))

    assert ["facade"] * 5 == committers


async def test_an_asynchronous_program_does_not(
    engine: Engine, committers: list[str], event_loop: EventLoopThread
) -> None:
    """Its event loop has others to serve, also where the process has a façade."""
    adapter = SQLEventStorageAdapter(engine)
    await adapter.create_tables()
    store = make_store(adapter)
    await asyncio.to_thread(
        SyncEventStore(store, event_loop=event_loop).push_event, open_account("a")
    )
    committers.clear()
    await store.push_event(open_account("b"))

    assert ["castore-sql-writer"] == committers


def test_threads_share_commits(accounts: SyncAccounts, committers: list[str]) -> None:
    """Several threads wait for fewer commits than they push events."""
    barrier = threading.Barrier(8)

    def push(thread: int) -> None:
        barrier.wait(20)
        for number in range(20):
            accounts.push_event(open_account(f"a{thread}-{number}"))

    with ThreadPoolExecutor(8) as pool:
        assert [None] * 8 == [*pool.map(push, range(8))]

    assert 160 == len([*accounts.iter_aggregate_ids()])
    assert len(committers) < 120


def test_a_locked_database_does_not_stop_the_event_loop(
    engine: Engine, accounts: SyncAccounts
) -> None:
    """A push that has to wait lets other threads read meanwhile."""
    blocker = sqlite3.connect(engine.url.database or "", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    with ThreadPoolExecutor(1) as pool:
        push = pool.submit(accounts.push_event, open_account("a"))
        for _ in range(20):
            assert [] == accounts.with_timeout(5).get_events("a")
        assert not push.done()
        blocker.execute("ROLLBACK")
        push.result(20)
    blocker.close()

    assert 1 == len(accounts.get_events("a"))


PROGRAM = """
import asyncio, os, sys, threading
from sqlalchemy import create_engine
from castore_core.sync import SyncEventStore, run
from castore_sql import SQLEventStorageAdapter
from within_suite import make_store, open_account

engine = create_engine(f"sqlite:///{sys.argv[1]}")
adapter = SQLEventStorageAdapter(engine, busy_timeout=60)
accounts = SyncEventStore(make_store(adapter))
"""


@pytest.fixture
def start(path: Path) -> Callable[[str], "subprocess.Popen[str]"]:
    """Give a function that starts a program."""
    support = str(Path(__file__).parents[3] / "tests" / "support")

    def start(program: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-X", "dev", "-c", PROGRAM + dedent(program), path],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={"PYTHONPATH": support},
        )

    return start


def test_a_server_that_forks(start: Callable[[str], "subprocess.Popen[str]"]) -> None:
    """Workers push after a fork, whether the program pushed before it or not."""
    program = """
        run(adapter.create_tables())
        accounts.push_event(open_account("parent"))
        pids = []
        for worker in range(3):
            pid = os.fork()
            if pid == 0:
                for number in range(10):
                    accounts.push_event(open_account(f"{worker}-{number}"))
                sys.exit(0)
            pids.append(pid)
        codes = [os.waitpid(each, 0)[1] for each in pids]
        accounts.push_event(open_account("later"))
        print(codes, len([*accounts.iter_aggregate_ids()]))
        engine.dispose()
    """
    with start(program) as process:
        output, errors = process.communicate(timeout=60)

    assert "[0, 0, 0] 32\n" == output, errors
    assert "" == errors.replace("DeprecationWarning", "")


def test_the_end_of_the_program(start: Callable[[str], "subprocess.Popen[str]"]) -> None:
    """A task that the end of the program cancels can still write, as a projection its leases."""
    program = """
        import asyncio
        run(adapter.create_tables())
        tasks = []

        async def leave():
            try:
                await asyncio.sleep(60)
            finally:
                await accounts.event_store.push_event(open_account("last"))
                print("written", flush=True)

        async def begin():
            tasks.append(asyncio.create_task(leave()))
            await asyncio.sleep(0)

        run(begin())
    """
    with start(program) as process:
        output, errors = process.communicate(timeout=60)

    assert "written\n" == output, errors


def test_ctrl_c_in_a_push(path: Path, start: Callable[[str], "subprocess.Popen[str]"]) -> None:
    """A push that waits for a lock is cancelled, and nothing of it is written."""
    program = """
        run(adapter.create_tables())
        print("begun", flush=True)
        sys.stdin.readline()
        try:
            accounts.push_event(open_account("a"))
        except KeyboardInterrupt:
            print("interrupted", flush=True)
    """
    program = program.replace("sys.stdin.readline()", "import time; time.sleep(0.3)")
    with start(program) as process:
        assert process.stdout is not None
        assert "begun\n" == process.stdout.readline()
        blocker = sqlite3.connect(path, isolation_level=None)
        blocker.execute("BEGIN IMMEDIATE")
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=20)
        blocker.execute("ROLLBACK")

    assert ("interrupted\n", "") == (output, errors)
    assert [(0,)] == blocker.execute("SELECT count(*) FROM event").fetchall()
    blocker.close()


def test_ctrl_c_in_many_pushes(path: Path, start: Callable[[str], "subprocess.Popen[str]"]) -> None:
    """Acknowledged pushes are stored, and at most the interrupted one beside them."""
    program = """
        run(adapter.create_tables())
        accounts.push_event(open_account("first"))
        count = 1
        print("begun", flush=True)
        try:
            while True:
                accounts.push_event(open_account(f"a{count}"))
                count += 1
        except KeyboardInterrupt as error:
            print(count, getattr(error, "__notes__", []), flush=True)
    """
    with start(program) as process:
        assert process.stdout is not None
        assert "begun\n" == process.stdout.readline()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=20)

    assert "Traceback (" not in errors  # Python may warn of a coroutine that had not begun
    acknowledged = int(output.split()[0])
    connection = sqlite3.connect(path)
    ((stored,),) = connection.execute("SELECT count(*) FROM event").fetchall()
    connection.close()
    assert stored - acknowledged in ((1,) if "returned" in output else (0, 1)), output
