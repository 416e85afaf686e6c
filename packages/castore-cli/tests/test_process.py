"""The command as a process: exit codes, signals, pipes, and what is imported."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from castore_command import SECONDS, run_castore, run_on_terminal, start_castore
from lamp_shop import EVIL

ORDERS = "lamp_shop:make_orders"


def test_success() -> None:
    """The exit code is 0, and stderr is empty."""
    result = run_castore("stores", ORDERS)

    assert (0, "") == (result.code, result.errors)
    assert "ORDERS" in result.output


def test_json_is_alone_on_stdout(tmp_path: Path) -> None:
    """Prints, warnings and logs of the program are kept out of the results."""
    tmp_path.joinpath("chatty.py").write_text(
        "import logging, warnings\n"
        "from lamp_shop import returns\n"
        "print('printed')\n"
        "warnings.warn('warned')\n"
        "logging.getLogger('chatty').warning('logged \\x1b[31m')\n"
    )
    result = run_castore("stores", "chatty:returns", "--json", PYTHONPATH=f"{tmp_path}")

    assert ["RETURNS"] == [each["eventStoreId"] for each in result.rows]
    assert all(each in result.errors for each in ("printed", "warned", r"logged \x1b[31m"))


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["aggregate", ORDERS, "nobody"], 1),
        (["events", ORDERS], 2),
        (["events", ORDERS, "x", "--nope"], 2),
        (["evnets", ORDERS], 2),
        (["stores", "lamp_shop:nope"], 2),
    ],
    ids=str,
)
def test_failures_are_one_line(words: list[str], code: int) -> None:
    """A failure is 1, a wrong command line 2; either is one line, and no traceback."""
    result = run_castore(*words)

    assert (code, "") == (result.code, result.output)
    assert result.errors.startswith("error: ")
    assert 1 == result.errors.count("\n")


def test_debug_shows_the_traceback() -> None:
    """--debug shows where an error is from."""
    result = run_castore("aggregate", ORDERS, "nobody", "--debug")

    assert 1 == result.code
    assert "Traceback (most recent call last):" in result.errors
    assert result.errors.splitlines()[-1].startswith("error: ")


def test_a_similar_command_is_named() -> None:
    """A misspelt command is told of with the one that was meant."""
    assert "do you mean 'events'?" in run_castore("evnets").errors


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["ctrl-c", "term"]
)
def test_signals_end_it_cleanly(number: signal.Signals, code: int) -> None:
    """Ctrl-C and SIGTERM cancel what runs; contexts of the program are left."""
    with start_castore("tail", "lamp_shop:open_orders", "--from-start") as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(number)
        _, errors = process.communicate(timeout=SECONDS)

    assert (code, "closed\n") == (process.returncode, errors)


def test_a_closed_pipe_is_no_failure() -> None:
    """A reader that has read enough ends the command, with 0 and without a word."""
    with start_castore("tail", "lamp_shop:open_orders", "--from-start") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert 0 == process.wait(SECONDS)
        assert "closed\n" == process.stderr.read()


def test_a_closed_pipe_is_no_failure_of_the_help() -> None:
    """The help may be cut short, as by `head`."""
    with start_castore("--help") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert (0, "") == (process.wait(SECONDS), process.stderr.read())


def test_help_imports_no_package_of_a_plugin() -> None:
    """`castore --help` lists the commands of packages, and imports none of them."""
    script = (
        "import sys\n"
        "from castore_cli import run_command\n"
        "run_command(['--help'])\n"
        "names = {each.partition('.')[0] for each in sys.modules}\n"
        "others = {'boto3', 'castore_dam', 'castore_dynamodb', 'castore_sql', 'sqlalchemy'}\n"
        "assert not names & others, names\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )

    assert (0, "") == (result.returncode, result.stderr)
    for name in ("aggregate", "dam", "dynamodb", "events", "projections", "sql"):
        assert f"│ {name} " in result.stdout
    assert "Replay, migrate, archive and check" in result.stdout  # of the __init__.py of a package


PLUGIN = """\
from castore_cli import Address, CommandError, ExitCode, Terminal, open_store

async def count(address: Address, /, *, terminal: Terminal) -> ExitCode:
    \"\"\"Count the aggregates.\"\"\"
    async with open_store(address) as store:
        terminal.confirm("count \\x1b[31m")
        with terminal.track("counting", total=2) as progress:
            async for _ in store.iter_aggregate_ids():
                progress.advance()
        terminal.show({"aggregateCount": progress.count})
    return ExitCode.FOUND

def fail() -> None:
    \"\"\"Fail.\"\"\"
    raise ExceptionGroup("several", [CommandError("one"), CommandError("two")])
"""
ENTRY_POINTS = """\
[castore.commands]
broken = counting_broken:run
count = counting:count
fail = counting:fail
events = counting:count
"""


@pytest.fixture
def plugin(tmp_path: Path) -> str:
    """Install a package with commands, and return where it is."""
    tmp_path.joinpath("counting.py").write_text(PLUGIN)
    tmp_path.joinpath("counting_broken.py").write_text("import no_such_library\n")
    information = tmp_path / "counting-1.0.dist-info"
    information.mkdir()
    information.joinpath("METADATA").write_text(
        "Metadata-Version: 2.4\nName: counting\nVersion: 1\n"
    )
    information.joinpath("entry_points.txt").write_text(ENTRY_POINTS)
    return f"{tmp_path}"


def test_a_plugin(plugin: str) -> None:
    """A package adds a command; what it returns is the exit code."""
    result = run_castore("count", ORDERS, "--yes", PYTHONPATH=plugin)
    help_ = run_castore("--help", PYTHONPATH=plugin)

    assert (3, "aggregate count  2\n") == (result.code, result.output)
    assert "│ count                 Count the aggregates." in help_.output


def test_a_taken_name(plugin: str) -> None:
    """A plug-in replaces no other command, and is told of."""
    result = run_castore("events", ORDERS, "order-1", "--json", PYTHONPATH=plugin)

    assert [1, 2] == [each["version"] for each in result.rows]
    assert "error: command 'events' of counting is there already\n" == result.errors


def test_a_broken_plugin(plugin: str) -> None:
    """A broken plug-in fails when it is called, and in no other command."""
    broken = run_castore("broken", PYTHONPATH=plugin)
    other = run_castore("stores", ORDERS, PYTHONPATH=plugin)

    assert 1 == broken.code
    assert "command 'broken' of counting cannot be loaded: " in broken.errors
    assert "No module named 'no_such_library'" in broken.errors
    assert "Traceback" not in broken.errors
    assert 0 == other.code


def test_a_command_of_a_package_that_is_missing() -> None:
    """Where a package of castore is not installed, its command names it."""
    script = (
        "import importlib.metadata\n"
        "importlib.metadata.entry_points = lambda **_: ()\n"
        "from castore_cli import main\n"
        "main(['dam', 'check', 'app:stores'])\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )

    assert 2 == result.returncode
    assert "error: there is no command 'dam': install castore-dam[cli]\n" == result.stderr


def test_errors_of_a_group(plugin: str) -> None:
    """A group of errors is one line with all of them."""
    result = run_castore("fail", PYTHONPATH=plugin)

    assert 1 == result.code
    assert result.errors.endswith("error: one; two\n")


def test_without_a_terminal_nothing_is_confirmed(plugin: str) -> None:
    """A command that writes refuses to, where nobody can be asked and --yes is missing."""
    result = run_castore("count", ORDERS, PYTHONPATH=plugin)

    assert (2, "") == (result.code, result.output)
    assert result.errors.endswith(
        r"error: this would count \x1b[31m: repeat it with --yes to allow that" + "\n"
    )


@pytest.mark.parametrize(
    ("answer", "code"), [("y\n", 3), ("\n", 1), ("n\n", 1), ("\x03", 130)], ids=repr
)
def test_a_question(plugin: str, answer: str, code: int) -> None:
    """On a terminal, the command asks; only yes is yes, and Ctrl-C ends it."""
    ended, shown = run_on_terminal(["count", ORDERS], answer, PYTHONPATH=plugin)

    assert code == ended
    assert r"This will count \x1b[31m. Go on? [y/N] " in shown
    assert ("aggregate count  2" in shown) == (code == 3)
    assert "Traceback" not in shown


@pytest.mark.parametrize(
    "words",
    [
        ["ids", ORDERS],
        ["ids", ORDERS, "--json"],
        ["events", ORDERS, EVIL],
        ["events", ORDERS, EVIL, "--json"],
        ["events", ORDERS, f"{EVIL}?"],
        ["aggregate", ORDERS, EVIL],
        ["aggregate", ORDERS, EVIL, "--debug", "--version", "2"],
        ["aggregate", ORDERS, f"{EVIL}?", "--debug"],
        ["tail", ORDERS, "--from-start", "--no-follow"],
        [EVIL],
        ["events", EVIL, "x"],
        ["events", ORDERS, "x", f"--{EVIL}"],
        ["events", ORDERS, "x", "--store", EVIL],
        ["events", ORDERS, "x", "--limit", EVIL],
    ],
    ids=str,
)
def test_data_steers_no_terminal(words: list[str]) -> None:
    """Escape sequences of data are shown, never sent, and markup is text."""
    result = run_castore(*words)
    shown = result.output + result.errors

    assert not {"\x1b", "\x07", "\u202e"} & {*shown}
    assert "[bold]" in shown


def test_data_steers_no_real_terminal() -> None:
    """A terminal gets the styles of the table, and none of the data's."""
    _, shown = run_on_terminal(["events", ORDERS, EVIL], "")

    assert "\x1b[1m" in shown  # the head of the table
    assert not any(each in shown for each in ("\x1b[31m", "\x1b]", "\x07", "\u202e"))
    assert "[bold]" in shown


def test_no_color() -> None:
    """NO_COLOR takes the colours of errors away."""
    _, coloured = run_on_terminal(["nope"], "")
    _, plain = run_on_terminal(["nope"], "", NO_COLOR="1")

    assert "31m" in coloured
    assert "31m" not in plain


def test_an_encoding_that_lacks_characters() -> None:
    """Results are readable where stdout cannot encode them."""
    result = run_castore("ids", ORDERS, "--json", PYTHONIOENCODING="ascii")

    assert EVIL == result.rows[0]["aggregates"][1]["aggregateId"]


def test_completion(tmp_path: Path) -> None:
    """The script of a shell is written where one says, also with a broken plug-in."""
    path = tmp_path / "completion"
    result = run_castore("--install-completion", "--shell", "bash", "--output", f"{path}")

    assert 0 == result.code, result.errors
    assert "create-tables" in path.read_text()
    assert f"{path} is written: let your shell load it when it starts" in result.errors
