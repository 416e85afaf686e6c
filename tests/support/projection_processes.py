"""Processes that run a projection or push events: started, stopped and killed."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from counting import Place
from redis_counting import RedisPlace

SUPPORT = Path(__file__).parent
PROGRAM = SUPPORT.parents[1] / "tests-integration" / "projection_runners.py"


class Processes:
    """Starts, stops and kills processes, and gathers what they say.

    Args:
        place: the argument of the program.
        program: forks the processes.
    """

    def __init__(self, place: Place | RedisPlace, program: Path = PROGRAM) -> None:
        self.lines: list[dict[str, Any]] = []
        self._lines: queue.Queue[dict[str, Any]] = queue.Queue()
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", program, json.dumps(place._asdict())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # a process group of their own
            env={**os.environ, "PYTHONPATH": str(SUPPORT)},
        )
        self._reader = threading.Thread(target=self._read)  # or else the pipe fills up
        self._reader.start()

    def start(self, kind: str, **options: Any) -> int:
        """Start a process, and return its id once it runs."""
        self._command("start", json.dumps({"kind": kind, **options}))
        pid: int = self.listen("started")["started"]
        self.listen("READY", pid=pid)
        return pid

    def listen(self, word: str, *, pid: int | None = None, value: object = None) -> dict[str, Any]:
        """Wait until a process says a word."""
        while True:
            line = self._lines.get(timeout=60)
            self.lines.append(line)
            if word not in line or (pid is not None and line["pid"] != pid):
                continue
            if value is None or line[word] == value:
                return line

    def hear(self) -> list[dict[str, Any]]:
        """Return all that was said so far."""
        while not self._lines.empty():
            self.lines.append(self._lines.get())
        return self.lines

    def signal(self, pid: int, number: signal.Signals) -> None:
        """Send a signal to a process."""
        os.kill(pid, number)

    def kill(self, pid: int) -> None:
        """Kill a process, and return when it has ended."""
        os.kill(pid, signal.SIGKILL)
        self.wait(pid)

    def wait(self, pid: int) -> None:
        """Wait until a process has ended."""
        self._command("wait", str(pid))
        self.listen("waited", value=pid)

    def close(self) -> None:
        """End it all, whatever became of the test."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._reader.join()
        with self._process:  # closes the pipes
            pass

    def _command(self, *words: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(" ".join(words) + "\n")
        self._process.stdin.flush()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(json.loads(line))
