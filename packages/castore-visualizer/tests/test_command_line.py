"""`castore visualize` starts a server that only those with its link can use."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from castore_command import call_castore

MODULE = """
from dataclasses import dataclass

from castore_core import Event, EventStore
from castore_in_memory import InMemoryEventStorageAdapter


class Opened(Event, type="OPENED"): ...


@dataclass(frozen=True)
class Account:
    aggregate_id: str
    version: int


def reduce_account(account, event):
    return Account(event.aggregate_id, event.version)


async def open_accounts():
    accounts = EventStore(
        "ACCOUNTS",
        event_types=[Opened],
        reduce=reduce_account,
        storage_adapter=InMemoryEventStorageAdapter(),
    )
    await accounts.push_event(Opened("ada", 1))
    yield accounts
    print("closed")
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Start the command on a free port."""
    (tmp_path / "bank.py").write_text(MODULE)
    words = ["visualize", "bank:open_accounts", "--port", "0", "--json", "--app-dir", str(tmp_path)]
    with subprocess.Popen(
        [sys.executable, "-m", "castore_cli", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        yield process
        process.kill()


@pytest.mark.parametrize(
    ("option", "wanted"),
    [
        ("--projections", "a projection or a relay"),
        ("--channels", "a message channel"),
        ("--commands", "a command, plain or of with_context"),
    ],
)
def test_a_wrong_object_is_told_in_words_of_the_user(
    capsys: pytest.CaptureFixture[str], option: str, wanted: str
) -> None:
    """No name of a class of ours that the user never meets is in the message."""
    result = call_castore(capsys, "visualize", "lamp_shop:returns", option, "lamp_shop:returns")

    assert 2 == result.code
    assert f"is an object of EventStore: name {wanted}, or a list of them" in result.errors


def ask(link: str, path: str, **headers: str) -> int:
    """Return the status of a page."""
    place = urlsplit(link)
    with closing(HTTPConnection(place.hostname or "", place.port, timeout=10)) as connection:
        connection.request("GET", path, headers=headers)
        with connection.getresponse() as answer:
            return answer.status


def test_the_link_lets_in_and_ctrl_c_ends(server: subprocess.Popen[str]) -> None:
    """The stores are shown to who has the link, and their context ends with the command."""
    assert server.stdout is not None
    link: str = json.loads(server.stdout.readline())["url"]
    query = urlsplit(link).query

    assert link.startswith("http://127.0.0.1:")
    assert 401 == ask(link, "/")
    assert 303 == ask(link, f"/?{query}")
    assert 400 == ask(link, f"/?{query}", Host="evil.example")
    server.send_signal(signal.SIGINT)
    _, errors = server.communicate(timeout=20)
    assert 130 == server.returncode
    assert "closed" in errors


def test_a_port_that_is_taken_is_an_error(server: subprocess.Popen[str], tmp_path: Path) -> None:
    """It is told in one line."""
    assert server.stdout is not None
    link: str = json.loads(server.stdout.readline())["url"]
    port = str(urlsplit(link).port)
    words = ["visualize", "bank:open_accounts", "--port", port, "--app-dir", str(tmp_path)]
    result = subprocess.run(
        [sys.executable, "-m", "castore_cli", *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert 1 == result.returncode
    assert f"error: cannot listen on 127.0.0.1:{port}: it is taken; --port 0" in result.stderr
