"""A program that forks processes, as `forked` does, seen by the test that kills these."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SUPPORT = Path(__file__).parent


class ForkingProgram:
    """Starts, stops and kills processes, one after the other, and hears what they say.

    Args:
        program: calls `forked.serve`.
        place: the argument of the program.
    """

    def __init__(self, program: Path, place: Mapping[str, Any]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", program, json.dumps(place)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # a process group of their own
            env={**os.environ, "PYTHONPATH": str(SUPPORT)},
        )
        self._pid = 0

    def start(self, kind: str, *, until: str = "READY") -> Any:
        """Start a process, wait until it says a word, and return the value beside it."""
        self._command(f"start {kind}")
        self._pid = self.listen("started")
        return self.listen(until)

    def listen(self, word: str) -> Any:
        """Wait until a process says a word, and return the value beside it."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if word in (values := json.loads(line)):
                return values[word]
        raise AssertionError(f"the processes have ended before one said {word!r}")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process that was started last."""
        os.kill(self._pid, number)

    def wait(self) -> list[int]:
        """Wait until all processes have ended, and return the exit codes of the last ones."""
        self._command("wait")
        codes: list[int] = self.listen("waited")
        return codes

    def kill(self) -> bool:
        """Kill the process that was started last, and tell whether it had not ended before."""
        self.signal(signal.SIGKILL)
        return -signal.SIGKILL in self.wait()

    def run_and_kill(self, kind: str, moments: random.Random, longest_life: float) -> bool:
        """Let a process work for a moment, of so many seconds at most, and kill it.

        Tell whether it had not ended before.
        """
        self.start(kind)
        time.sleep(moments.uniform(0, longest_life))
        return self.kill()

    def close(self) -> None:
        """End it all, whatever became of the test."""
        os.killpg(self._process.pid, signal.SIGKILL)
        with self._process:  # closes the pipes
            pass

    def _command(self, command: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
