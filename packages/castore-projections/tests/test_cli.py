"""The commands `castore projections status | run | rebuild | parked`."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from castore_command import SECONDS, CommandResult, call_castore, start_castore

SOURCE = """\
from castore_core import Event, EventStore
from castore_in_memory import InMemoryBookmarkStorageAdapter, InMemoryEventStorageAdapter
from castore_projections import Projection

class Opened(Event, type="OPENED"): ...

class Account:
    def __init__(self, aggregate_id, version):
        self.aggregate_id, self.version = aggregate_id, version

events = InMemoryEventStorageAdapter()
accounts = EventStore(
    "ACCOUNTS",
    event_types=[Opened],
    reduce=lambda state, event: Account(event.aggregate_id, event.version),
    storage_adapter=events,
)
class Watched(Projection):
    async def __aenter__(self):
        print("entered")
        return await super().__aenter__()

balances = Watched(
    "balances",
    event_stores=[accounts],
    bookmarks=InMemoryBookmarkStorageAdapter(),
    max_attempts=1,
    log_error_texts=True,
)
seen = []
poison = {"eve"}

@balances.on(Opened)
async def see(event, context):
    if event.aggregate_id in poison:
        raise ValueError("\\x1b[31mpoison")
    seen.append(event.aggregate_id)
    print("seen", event.aggregate_id)

is_filled = False

async def fill():
    global is_filled
    if not is_filled:
        is_filled = True
        for name in ("ada", "eve"):
            await accounts.push_event(Opened(name, 1))
    return balances

async def both():
    return [await fill(), Projection(
        "others", event_stores=[accounts], bookmarks=InMemoryBookmarkStorageAdapter()
    )]
"""
Call = Callable[..., CommandResult]
_names = (f"projected_{number}" for number in range(1000))


@pytest.fixture
def address(tmp_path: Path) -> str:
    """Write a program with a projection and two events, and return the address of the former."""
    module = next(_names)  # a module of an earlier test is not imported again
    tmp_path.joinpath(f"{module}.py").write_text(SOURCE)
    return f"{module}:fill"


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], tmp_path: Path, address: str) -> Call:
    """Give a function that calls a command for the projection."""

    def call(command: str, *words: str) -> CommandResult:
        return call_castore(capsys, "projections", command, address, *words, app_dir=tmp_path)

    return call


def _run_once(call: Call) -> CommandResult:
    return call("run", "--once", "--json", "--quiet")


def test_status(call: Call) -> None:
    """The status has a row for each partition, before and after a run."""
    [before] = call("status", "--json").rows
    _run_once(call)
    [after] = call("status", "--json").rows

    assert ("balances", 1, 2, 0) == (
        before["name"],
        before["version"],
        before["eventsBehind"],
        before["failed"],
    )
    assert (0, 1) == (after["eventsBehind"], after["failed"])
    assert before["position"] < after["position"]


def test_run_once(call: Call) -> None:
    """A run handles the events that there are; what handlers print is no result."""
    first, second = _run_once(call), _run_once(call)

    assert [{"name": "balances", "handled": 1}] == first.rows
    assert "seen ada\n" in first.errors
    assert [{"name": "balances", "handled": 0}] == second.rows


def test_several(capsys: pytest.CaptureFixture[str], tmp_path: Path, address: str) -> None:
    """Several projections have a status and run; rebuild takes one."""
    several = address.replace(":fill", ":both")
    words = several, "--json"
    status = call_castore(capsys, "projections", "status", *words, app_dir=tmp_path)
    rebuilt = call_castore(capsys, "projections", "rebuild", *words, app_dir=tmp_path)

    assert ["balances", "others"] == [each["name"] for each in status.rows]
    assert (2, "") == (rebuilt.code, rebuilt.output)
    assert "has 2 objects of Projection or Relay: name one of them" in rebuilt.errors


def test_rebuild(call: Call) -> None:
    """All events come again, and not without leave."""
    _run_once(call)
    refused = call("rebuild")
    rebuilt = call("rebuild", "--yes", "--json")

    assert (2, "") == (refused.code, refused.output)
    assert "seen" not in refused.errors
    assert [{"name": "balances", "handled": 1}] == rebuilt.rows
    assert "seen ada\n" in rebuilt.errors


def test_parked(call: Call) -> None:
    """Parked events are listed with their failures; their texts steer no terminal."""
    _run_once(call)
    [row] = call("parked", "--json").rows
    shown = call("parked")

    assert ("ACCOUNTS", "eve", 1, "OPENED", "\x1b[31mpoison") == (
        row["eventStoreId"],
        row["aggregateId"],
        row["version"],
        row["type"],
        row["text"],
    )
    assert r"\x1b[31mpoison" in shown.output
    assert "\x1b" not in shown.output


def test_some_parked(call: Call) -> None:
    """A kind or a position chooses."""
    _run_once(call)
    [row] = call("parked", "--json").rows

    assert [row] == call("parked", "--json", "--kind", row["kind"]).rows
    assert [row] == call("parked", "--json", "--position", row["position"]).rows
    assert [] == call("parked", "--json", "--kind", "Other").rows


def test_retry(call: Call) -> None:
    """A parked event is tried again at the next run, and parked again where it still fails."""
    _run_once(call)
    refused = call("parked", "--retry")
    [retried] = call("parked", "--retry", "--yes", "--json").rows

    assert 2 == refused.code
    assert "let 1 parked events be tried again" in refused.errors
    assert {"retried": 1} == retried
    _run_once(call)
    assert 1 == len(call("parked", "--json").rows)


def test_no_event_to_decide_on(call: Call) -> None:
    """Where no parked event is of the kind, nothing is asked, and a message says so."""
    _run_once(call)
    result = call("parked", "--retry", "--kind", "ValueError", "--json")

    assert (0, [{"retried": 0}]) == (result.code, result.rows)
    assert "no parked event waits for a decision, of kind 'ValueError'" in result.errors


def test_drop(call: Call) -> None:
    """Dropping takes a choice, and passes over the event for good."""
    _run_once(call)
    [row] = call("parked", "--json").rows
    everything = call("parked", "--drop", "--yes")
    unknown = call("parked", "--drop", "--yes", "--position", "nowhere")
    dropped = call("parked", "--drop", "--yes", "--json", "--position", row["position"])
    _run_once(call)

    assert 2 == everything.code
    assert "--drop takes --kind or --position" in everything.errors
    assert 1 == unknown.code
    assert [{"dropped": 1}] == dropped.rows
    assert [] == call("parked", "--json").rows


def test_retry_and_drop(call: Call) -> None:
    """Both at once make no sense."""
    result = call("parked", "--retry", "--drop", "--kind", "x", "--yes")

    assert 2 == result.code
    assert "exclude each other" in result.errors


def test_other_commands_run_no_projection(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, address: str
) -> None:
    """A projection, whose context would run it, is refused by commands that want event stores."""
    result = call_castore(capsys, "stores", address, app_dir=tmp_path)

    assert (2, "") == (result.code, result.output)
    assert "is an object of Watched: name an object of EventStore, or a list" in result.errors
    assert "entered" not in result.errors


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["ctrl-c", "term"]
)
def test_run_until_a_signal(tmp_path: Path, address: str, number: int, code: int) -> None:
    """A run goes on until a signal, and ends cleanly."""
    words = "projections", "run", address, "--app-dir", f"{tmp_path}"
    with start_castore(*words, PYTHONUNBUFFERED="1") as process:
        assert process.stderr is not None
        while "seen ada" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(number)
        _, errors = process.communicate(timeout=SECONDS)

    assert code == process.returncode
    assert "\x1b" not in errors
    assert not any(each in errors for each in ("CancelledError", "KeyboardInterrupt"))
