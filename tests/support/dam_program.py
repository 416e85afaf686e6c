"""A program with two databases of notes and two queues, for tests of the commands `castore dam`."""

import asyncio
import json
from itertools import count
from pathlib import Path
from subprocess import Popen

import pytest
from sqlalchemy import create_engine

from castore_command import CommandResult, call_castore, run_on_terminal, start_castore
from castore_core import EventRecord, GroupedRecord
from castore_sql import SQLEventStorageAdapter

SOURCE = '''\
import asyncio
import json
from castore_core import AggregateExistsMessageQueue, EventStore, NotificationMessageQueue
from castore_sql import SQLEventStorageAdapter
from notes import make_notes
from sqlalchemy import create_engine


def shout(record):
    return record._replace(payload=record.payload + "!")


def keep(record):
    return record


def fail_to_reduce(state, event):
    raise RuntimeError("secret")


class FileChannelAdapter:
    """Appends the places of messages to a file."""

    def __init__(self, refused=()):
        self.refused = refused

    async def publish_message(self, message, *, replay=False):
        await self.publish_messages([message], replay=replay)

    async def publish_messages(self, messages, *, replay=False):
        assert replay
        if any(each.aggregate_id in self.refused for each in messages):
            raise ConnectionError("the channel is down")
        with open({channel!r}, "a") as file:
            for each in messages:
                print(json.dumps([each.aggregate_id, each.version]), file=file)
        await asyncio.sleep(0.003)


adapter = FileChannelAdapter()
old = make_notes(SQLEventStorageAdapter(create_engine({old!r}), allow_gaps=True))
new = make_notes(SQLEventStorageAdapter(create_engine({new!r}), allow_gaps=True))
copies = make_notes(new.storage_adapter, event_store_id="COPIES")
both = [old, copies]
spare = SQLEventStorageAdapter(create_engine({spare!r}), allow_gaps=True)
others = [each.using(spare) for each in both]
twins = [old, old.using(spare)]
queue = NotificationMessageQueue(
    "QUEUE", source_event_stores=both, message_channel_adapter=adapter
)
ids = AggregateExistsMessageQueue("IDS", source_event_stores=both, message_channel_adapter=adapter)
bare = NotificationMessageQueue("BARE", source_event_stores=[old])
broken = NotificationMessageQueue(
    "BROKEN", source_event_stores=[old], message_channel_adapter=FileChannelAdapter(["a3"])
)
unreduced = EventStore(
    "NOTES",
    event_types=old.event_types,
    reduce=fail_to_reduce,
    storage_adapter=old.storage_adapter,
)
upcast = EventStore(
    "NOTES",
    event_types=old.event_types,
    reduce=old.reduce,
    storage_adapter=old.storage_adapter,
    upcasters=[shout, keep],
)


def drop_second(record):
    return None if record.version == 2 else record


def tell_of_start(record):
    with open({started!r}, "w"):
        return record


async def fail(record):
    raise RuntimeError("secret")
'''

_numbers = count()


class Program:
    """Writes the program, and calls commands for it.

    A word that begins with a colon names a thing of the program, such as the event stores
    ``:old`` and ``:new``, or the channel ``:queue``.
    """

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys
        self._module = f"dam_program_{next(_numbers)}"  # no module is imported again
        self._channel = folder / "channel"
        urls = {each: f"sqlite:///{folder}/{each}.db" for each in ("old", "new", "spare")}
        folder.joinpath(f"{self._module}.py").write_text(
            SOURCE.format(channel=str(self._channel), started=str(folder / "started"), **urls)
        )
        for each in urls:
            self.push(each)

    def push(self, name: str, *records: EventRecord) -> None:
        """Push events to a database, whose table is made where it is missing."""
        asyncio.run(self._push(name, *records))

    def call(self, command: str, *words: str) -> CommandResult:
        """Call a command of `castore dam` within this process."""
        named = map(self._name, words)
        return call_castore(self._capsys, "dam", command, *named, app_dir=self.folder)

    def start(self, command: str, *words: str) -> Popen[str]:
        """Start a command of `castore dam` as a process."""
        named = map(self._name, words)
        return start_castore("dam", command, *named, PYTHONPATH=str(self.folder))

    def call_on_terminal(self, answer: str, command: str, *words: str) -> tuple[int, str]:
        """Call a command on a terminal, answer its question, and return what is shown."""
        named = ["dam", command, *map(self._name, words)]
        return run_on_terminal(named, answer, PYTHONPATH=str(self.folder))

    @property
    def published(self) -> list[tuple[str, int | None]]:
        """The aggregates and versions of the messages that were published, in their order."""
        lines = self._channel.read_text().splitlines() if self._channel.exists() else []
        return [(aggregate_id, version) for aggregate_id, version in map(json.loads, lines)]

    def _name(self, word: str) -> str:
        return f"{self._module}{word}" if word.startswith(":") else word

    async def _push(self, name: str, *records: EventRecord) -> None:
        engine = create_engine(f"sqlite:///{self.folder}/{name}.db")
        adapter = SQLEventStorageAdapter(engine, allow_gaps=True)
        await adapter.create_tables()
        group = [GroupedRecord("NOTES", each, adapter) for each in records]
        for begin in range(0, len(group), 500):
            await adapter.push_event_group(group[begin : begin + 500])
        engine.dispose()
