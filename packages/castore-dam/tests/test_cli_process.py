"""The commands `castore dam` as processes: interruptions, pipes, and what is imported."""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from castore_command import SECONDS, CommandResult
from dam_program import Program
from pouring import make_note

EVENTS = 300
RATE = 100  # events a second: an interruption comes long before the end
BATCH = RATE // 20  # of a pour at this rate, whose batches are of 50 ms


@pytest.fixture
def filled(program: Program) -> Program:
    """Give a program with many notes in its old database."""
    program.push("old", *(make_note(f"b{each}", 1, 10 + each) for each in range(EVENTS - 5)))
    return program


def _interrupt(
    program: Program,
    has_begun: Callable[[], bool],
    *words: str,
    number: signal.Signals = signal.SIGINT,
) -> CommandResult:
    """Run a command until something has happened, and press Ctrl-C."""
    with program.start(*words) as process:
        end = time.monotonic() + SECONDS
        while not has_begun() and process.poll() is None and time.monotonic() < end:
            time.sleep(0.01)
        process.send_signal(number)
        output, errors = process.communicate(timeout=SECONDS)
    return CommandResult(process.returncode, output, errors)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["ctrl-c", "term"]
)
def test_an_interrupted_pour_goes_on(filled: Program, number: signal.Signals, code: int) -> None:
    """Each event is published, and at most one batch of each run twice."""
    words = "pour", ":old", ":queue", "--yes", "--checkpoint", str(filled.folder / "pour.json")
    for run in range(2):
        before = len(filled.published)
        stopped = _interrupt(
            filled,
            lambda reached=before + 20: len(filled.published) >= reached,
            *words,
            "--rate-limit",
            f"{RATE}",
            number=number,
        )
        assert (code, "") == (stopped.code, stopped.output), run
        assert 1 == stopped.errors.count("\n")
        assert stopped.errors.startswith("stopped while pouring, at ")
        assert f" of {EVENTS}: repeat the command, and it goes on from '" in stopped.errors
    assert len(set(filled.published)) < EVENTS
    ended = filled.call(*words, "--json")

    assert (0, EVENTS) == (ended.code, ended.rows[0]["pouredEventCount"])
    assert EVENTS == len(set(filled.published))
    assert 2 * BATCH >= len(filled.published) - EVENTS


def test_an_interrupted_pour_without_a_checkpoint(filled: Program) -> None:
    """The user is told that the next run begins anew."""
    stopped = _interrupt(
        filled,
        lambda: len(filled.published) >= 20,
        *("pour", ":old", ":queue", "--yes", "--rate-limit", f"{RATE}"),
    )

    assert 130 == stopped.code
    assert stopped.errors.endswith(": without --checkpoint, the next run begins anew\n")


def _count(program: Program) -> int:
    """Return how many events the new database has."""
    [row] = program.call("check", ":new", "--json").rows
    return int(row["eventCount"])


@pytest.mark.parametrize("checkpoint", [True, False], ids=["checkpoint", "none"])
@pytest.mark.parametrize("command", ["migrate", "import"])
def test_an_interrupted_write_goes_on(filled: Program, command: str, checkpoint: bool) -> None:
    """What was written stays, and the next run writes the rest."""
    source = ":old"
    if command == "import":
        source = str(filled.folder / "notes.jsonl")
        assert 0 == filled.call("export", ":old", source).code
    words = [command, source, ":new", "--yes", "--quiet"]
    path = filled.folder / "checkpoint.json"
    words += ["--checkpoint", str(path)] if checkpoint else []
    stopped = _interrupt(filled, lambda: _count(filled) >= 20, *words, "--rate-limit", f"{RATE}")
    written = _count(filled)
    ended = filled.call(*words, "--json")

    assert (130, "", "") == (stopped.code, stopped.output, stopped.errors)
    assert 20 <= written < EVENTS
    assert 0 == ended.code
    assert 0 == filled.call("verify", ":old", ":new").code
    if command == "migrate":
        assert EVENTS - written == ended.rows[0]["eventsWritten"]


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        ([], "stopped: repeat the command: it passes over the events that are there already\n"),
        (["--checkpoint"], "stopped: repeat the command, and it goes on from '"),
        (["--dry-run"], ""),
    ],
    ids=str,
)
def test_advice_of_a_migration(filled: Program, words: list[str], advice: str) -> None:
    """The user is told how to go on, also before anything was carried."""
    words = [*words, str(filled.folder / "c.json")] if "--checkpoint" in words else words
    started = filled.folder / "started"
    stopped = _interrupt(
        filled,
        started.exists,
        *("migrate", ":old", ":new", "--yes", "--rate-limit", "1"),
        *("--transform", ":tell_of_start", *words),
    )

    assert 130 == stopped.code
    assert stopped.errors.replace(" while migrating, at 1", "").startswith(advice)
    assert bool(advice) == bool(stopped.errors)


def test_an_interrupted_export(filled: Program, tmp_path: Path) -> None:
    """Without a checkpoint nothing is left; with one, the part is, and the same command goes on."""
    filled.push("old", *(make_note(f"c{each}", 1, each) for each in range(20_000)))
    archive, checkpoint = tmp_path / "a.jsonl", tmp_path / "c.json"
    part = tmp_path / "a.jsonl.part"

    def has_begun() -> bool:
        return part.exists() and part.stat().st_size > 0

    words = "export", ":old", str(archive)
    lost = _interrupt(filled, has_begun, *words)
    assert (130, False, False) == (lost.code, part.exists(), archive.exists())
    assert lost.errors.endswith("without --checkpoint, the next run begins anew\n")

    kept = _interrupt(filled, has_begun, *words, "--checkpoint", str(checkpoint))
    assert (130, True, False) == (kept.code, part.exists(), archive.exists())
    ended = filled.call(*words, "--checkpoint", str(checkpoint), "--json")
    assert (0, EVENTS + 20_000) == (ended.code, ended.rows[0]["eventCount"])
    assert 0 == filled.call("verify-archive", str(archive)).code


def test_a_closed_pipe_is_no_failure(filled: Program) -> None:
    """A reader that has read enough, such as `head`, ends a long list without a word."""
    filled.push("old", *(make_note(f"gap-{each}", 2, 5) for each in range(5_000)))
    with filled.start("check", ":old", "--max-findings", "100000") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert 0 == process.wait(SECONDS)
        assert "" == process.stderr.read()


def test_a_terminal(filled: Program) -> None:
    """On a terminal, the command asks, and shows each phase with its rate and the time left."""
    refused, _ = filled.call_on_terminal("n\n", "pour", ":old", ":queue")
    assert (1, []) == (refused, filled.published)

    poured, shown = filled.call_on_terminal("y\n", "pour", ":old", ":queue")
    assert (0, EVENTS) == (poured, len(filled.published))
    assert "Go on? [y/N] " in shown
    for each in ("scanning", "pouring"):
        assert _ends_whole(each, shown)

    migrated, shown = filled.call_on_terminal("y\n", "migrate", ":old", ":new", "--verify")
    assert 0 == migrated
    for each in ("migrating", "verifying"):
        assert _ends_whole(each, shown)


def _ends_whole(phase: str, shown: str) -> bool:
    """Tell whether the progress of a phase was shown, with the time left, up to all events."""
    lines = re.findall(rf"{phase} .*", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown))
    return any(f"{EVENTS} of {EVENTS} " in each and "left:" in each for each in lines)


def test_the_library_needs_no_command_line() -> None:
    """castore_dam is imported where castore-cli is not installed."""
    script = "import sys; sys.modules['castore_cli'] = sys.modules['cyclopts'] = None\n"
    subprocess.run([sys.executable, "-c", f"{script}import castore_dam"], check=True)
