"""Synchronous programs that fork, that Ctrl-C ends, and that close nothing."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from textwrap import dedent

import pytest

HEAD = """
import asyncio, os, signal, sys, threading, time
from castore_core.sync import EventLoopThread, run

async def double(number):
    await asyncio.sleep(0)
    return 2 * number

async def wait(rest=0.0):
    print("begun", flush=True)
    try:
        await asyncio.sleep(60)
    finally:
        await asyncio.sleep(rest)
        print("cancelled", flush=True)
"""


def start(program: str, *options: str) -> "subprocess.Popen[str]":
    """Start a program that is shown every warning."""
    return subprocess.Popen(
        [sys.executable, "-X", "dev", "-W", "error", *options, "-c", HEAD + dedent(program)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(program: str, *options: str) -> tuple[int, str, str]:
    """Run a program to its end."""
    with start(program, *options) as process:
        try:
            output, errors = process.communicate(timeout=60)
        finally:
            process.kill()  # where it hangs
    return process.returncode, output, errors


def interrupt(program: str, signals: Sequence[float] = (0.0,)) -> tuple[int, str, str]:
    """Send Ctrl-C to a program once it has begun, each after some seconds."""
    with start(program) as process:
        assert process.stdout is not None
        assert "begun\n" == process.stdout.readline()
        for each in signals:
            try:
                process.wait(each)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)
    return process.returncode, output, errors


def test_exit_of_what_was_never_closed() -> None:
    """The interpreter closes it: it does not hang, and warns of nothing."""
    assert (0, "4 6\n", "") == finish(
        """
        own = EventLoopThread()
        print(run(double(2)), own.run(double(3)))
        """
    )


def test_exit_with_tasks_in_the_background() -> None:
    """They are cancelled, and clean up."""
    assert (0, "begun\ncancelled\n", "") == finish(
        """
        tasks = []

        async def begin():
            tasks.append(asyncio.create_task(wait()))
            await asyncio.sleep(0)

        run(begin())
        """
    )


def test_exit_while_a_daemon_calls() -> None:
    """The call is cancelled."""
    assert (0, "begun\ncancelled\n", "") == finish(
        """
        def call():
            try:
                run(wait())
            except RuntimeError:
                time.sleep(60)

        threading.Thread(target=call, daemon=True).start()
        time.sleep(0.5)
        """
    )


def test_exit_while_a_thread_calls() -> None:
    """The interpreter waits for threads that are no daemons, and they may call."""
    assert (0, "4\n", "") == finish(
        """
        def call():
            time.sleep(0.3)
            print(run(double(2)))

        run(double(1))  # Python 3.12.1 starts no thread when the main thread has ended
        threading.Thread(target=call).start()
        """
    )


def test_exit_with_a_loop_that_stands_still() -> None:
    """A handler that blocks the event loop delays the end."""
    code, output, _ = finish(  # asyncio warns of the slow callback
        """
        async def block():
            print("begun", flush=True)
            time.sleep(1)

        def call():
            try:
                run(block())
            except RuntimeError:
                time.sleep(60)

        threading.Thread(target=call, daemon=True).start()
        time.sleep(0.5)
        """
    )

    assert (0, "begun\n") == (code, output)


def test_ctrl_c() -> None:
    """It cancels the call, waits for its end, and ends the program as it always does."""
    code, output, errors = interrupt("run(wait(0.2))")

    assert (-signal.SIGINT, "cancelled\n") == (code, output)
    assert errors.endswith("KeyboardInterrupt\n")


def test_ctrl_c_twice() -> None:
    """The second one does not wait for a call that takes long to end."""
    code, output, errors = interrupt(
        """
        try:
            run(wait(2))
        except KeyboardInterrupt:
            print("left", run(double(2)))
        """,
        signals=[0.1, 0.3],
    )

    assert (0, "left 4\n") == (code, output.replace("cancelled\n", ""))
    assert "" == errors


def test_ctrl_c_while_other_threads_call() -> None:
    """It cancels the call of the main thread only."""
    code, output, errors = interrupt(
        """
        async def rest():
            await asyncio.sleep(1)
            return "rested"

        thread = threading.Thread(target=lambda: print(run(rest()), flush=True))
        thread.start()
        try:
            run(wait())
        except KeyboardInterrupt:
            print("interrupted", flush=True)
        thread.join()
        """
    )

    assert (0, "cancelled\ninterrupted\nrested\n", "") == (code, output, errors)


FORK = """
pid = os.fork()
if pid == 0:
    sys.exit(0 if CHILD else 1)
print(os.waitpid(pid, 0)[1], run(double(3)))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks there")
class TestFork:
    """A forked process makes its own event loop."""

    def test_after_calls(self) -> None:
        """Parent and child go on, each with a thread of its own."""
        assert (0, "4\n0 6\n", "") == finish(
            "print(run(double(2)), flush=True)\n" + FORK.replace("CHILD", "run(double(2)) == 4"),
            "-W",
            "ignore::DeprecationWarning",  # of Python 3.12, which sees the thread
        )

    def test_before_calls(self) -> None:
        """As servers do that load the program, and fork then."""
        assert (0, "0 6\n", "") == finish(FORK.replace("CHILD", "run(double(2)) == 4"))

    def test_while_calls_run(self) -> None:
        """Calls of the parent go on there, and the child does not wait for them."""
        assert (0, "begun\n0 6\ncancelled\n", "") == finish(
            """
            def call():
                try:
                    run(wait(), timeout=1)
                except TimeoutError:
                    ...

            thread = threading.Thread(target=call)
            thread.start()
            time.sleep(0.3)
            """
            + FORK.replace("CHILD", "run(double(2)) == 4").replace("\n", "\n            ")
            + """
            sys.stdout.flush()
            thread.join()
            """,
            "-W",
            "ignore::DeprecationWarning",
        )

    def test_in_a_call(self) -> None:
        """A thread of a coroutine may fork, and the child has another event loop."""
        assert (0, "0 6\n", "") == finish(
            """
            def call():
                pid = os.fork()
                if pid == 0:
                    os._exit(0 if run(double(2)) == 4 else 1)
                return os.waitpid(pid, 0)[1]

            async def main():
                return await asyncio.to_thread(call)

            print(run(main()), run(double(3)))
            """,
            "-W",
            "ignore::DeprecationWarning",
        )

    def test_of_multiprocessing(self) -> None:
        """Workers that are forked by multiprocessing call, too."""
        assert (0, "[2, 4, 6] 8\n", "") == finish(
            """
            from multiprocessing import get_context

            def call(number):
                return run(double(number))

            run(double(1))
            with get_context("fork").Pool(2) as pool:
                found = pool.map(call, [1, 2, 3])
                pool.close()
                pool.join()
            print(found, run(double(4)))
            """,
            "-W",
            "ignore::DeprecationWarning",
        )

    def test_what_was_closed(self) -> None:
        """It is closed in the child as well."""
        assert (0, "0 6\n", "") == finish(
            """
            own = EventLoopThread()
            own.run(double(1))
            own.close()

            def is_closed():
                try:
                    own.run(double(2))
                except RuntimeError:
                    return True
            """
            + FORK.replace("CHILD", "is_closed()").replace("\n", "\n            "),
            "-W",
            "ignore::DeprecationWarning",
        )


def test_a_call_amid_a_call() -> None:
    """A signal handler, or a ``__del__``, may call at any moment of a call of its own thread."""
    assert (0, "4 6\n", "") == finish(
        """
        class Interrupted(asyncio.SelectorEventLoop):
            interrupt = None

            def call_soon_threadsafe(self, *args, **kwargs):
                interrupt, self.interrupt = self.interrupt, None
                if interrupt is not None:
                    interrupt()
                return super().call_soon_threadsafe(*args, **kwargs)

        answers = []
        loop = Interrupted()
        own = EventLoopThread(loop_factory=lambda: loop)
        own.run(double(1))
        loop.interrupt = lambda: answers.append(own.run(double(2)))
        answers.append(own.run(double(3)))
        print(*answers)
        """
    )
