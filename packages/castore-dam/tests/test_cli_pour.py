"""The command `castore dam pour`."""

import pytest

from dam_program import Program

ALL = [("a1", 1), ("a2", 1), ("a1", 2), ("a3", 1), ("a1", 3)]


def test_events_of_a_store(program: Program) -> None:
    """The events are published in the order of their timestamps, and the counts are shown."""
    result = program.call("pour", ":old", ":queue", "--yes", "--json")

    assert (0, ALL) == (result.code, program.published)
    assert [
        {
            "pouredEventCount": 5,
            "firstPouredEvent": _name("a1", 1, "2024-01-01T00:00:00.001Z"),
            "lastPouredEvent": _name("a1", 3, "2024-01-01T00:00:00.005Z"),
            "scans": [
                {
                    "eventStoreId": "NOTES",
                    "firstScannedAggregate": _scan("a1", "2024-01-01T00:00:00.001Z"),
                    "lastScannedAggregate": _scan("a3", "2024-01-01T00:00:00.004Z"),
                }
            ],
            "isDryRun": False,
        }
    ] == result.rows


def _name(aggregate_id: str, version: int, timestamp: str) -> dict[str, object]:
    return {
        "eventStoreId": "NOTES",
        "aggregateId": aggregate_id,
        "version": version,
        "timestamp": timestamp,
    }


def _scan(aggregate_id: str, timestamp: str) -> dict[str, object]:
    return {"aggregateId": aggregate_id, "initialEventTimestamp": timestamp}


def test_for_people(program: Program) -> None:
    """People see a line for each result."""
    result = program.call("pour", ":old", ":queue", "--yes")

    assert (
        "poured event count  5\n"
        "first poured event  NOTES  a1  1  2024-01-01T00:00:00.001Z\n"
        "last poured event   NOTES  a1  3  2024-01-01T00:00:00.005Z\n"
        "is dry run          no\n"
    ) == result.output


def test_it_asks_before(program: Program) -> None:
    """Nothing is published without leave."""
    result = program.call("pour", ":old", ":queue")

    assert (2, "", []) == (result.code, result.output, program.published)
    assert (
        "error: this would publish the events of 'NOTES' again, to "
        "NotificationMessageQueue('QUEUE'): repeat it with --yes to allow that\n"
    ) == result.errors


@pytest.mark.parametrize(
    ("words", "published"),
    [
        (["--from", "2024-01-01T00:00:00.003"], ALL[2:]),
        (["--to", "2024-01-01T00:00:00.003Z"], ALL[:3]),
        (["--aggregate", "a1"], [("a1", 1), ("a1", 2), ("a1", 3)]),
        (["--aggregate", "a1", "--to", "2024-01-01T00:00:00.001Z"], [("a1", 1)]),
        (["--store", "NOTES", "--batch-size", "2", "--rate-limit", "1000"], ALL),
    ],
    ids=str,
)
def test_filters(
    program: Program, words: list[str], published: list[tuple[str, int | None]]
) -> None:
    """Options leave events out; the bounds of moments are inclusive."""
    result = program.call("pour", ":both", ":queue", "--store", "NOTES", "--yes", "--json", *words)

    assert (0, published) == (result.code, program.published)
    assert len(published) == result.rows[0]["pouredEventCount"]


def test_several_stores(program: Program) -> None:
    """Several stores are poured together."""
    program.call("migrate", ":old", ":copies", "--yes")
    [row] = program.call("pour", ":both", ":queue", "--yes", "--json").rows

    assert 10 == row["pouredEventCount"]
    assert ["NOTES", "COPIES"] == [each["eventStoreId"] for each in row["scans"]]


def test_ids(program: Program) -> None:
    """The ids of aggregates go to a channel of aggregate-exists messages."""
    words = "--ids", "--yes", "--json", "--from", "2024-01-01T00:00:00.002Z"
    [row] = program.call("pour", ":old", ":ids", *words).rows

    assert [("a2", None), ("a3", None)] == program.published
    assert {
        "pouredAggregateIdCount": 2,
        "firstScannedAggregate": _scan("a2", "2024-01-01T00:00:00.002Z"),
        "lastScannedAggregate": _scan("a3", "2024-01-01T00:00:00.004Z"),
        "isDryRun": False,
    } == row


@pytest.mark.parametrize(
    ("words", "count"),
    [
        ([":old", ":queue"], 5),
        ([":old", ":bare", "--from", "2024-01-01T00:00:00.003"], 3),
        ([":old", ":queue", "--aggregate", "a1", "--rate-limit", "0.001"], 3),
        ([":old", ":ids", "--ids"], 3),
    ],
    ids=str,
)
def test_a_dry_run(program: Program, words: list[str], count: int) -> None:
    """Without a question, it shows what would be published, and publishes nothing."""
    checkpoint = program.folder / "pour.json"
    words = [*words, "--checkpoint", str(checkpoint), "--json"]
    result = program.call("pour", *words, "--dry-run")

    assert (0, [], "") == (result.code, program.published, result.errors)
    [row] = result.rows
    assert (count, True) == (next(iter(row.values())), row["isDryRun"])
    assert not checkpoint.exists()


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ([":old", ":queue", "--ids"], 2, "--ids takes a channel of aggregate-exists messages"),
        ([":both", ":ids", "--ids"], 2, "--ids takes one event store: choose it with --store"),
        ([":both", ":queue", "--aggregate", "a1"], 2, "--aggregate takes one event store"),
        ([":old", ":ids", "--ids", "--aggregate", "a1"], 2, "exclude each other"),
        ([":old", ":old"], 2, "name an object of MessageChannel"),
        ([":old", ":queue", "--rate-limit", "0"], 2, "--rate-limit"),
        ([":old", ":queue", "--rate-limit", "nan"], 2, "--rate-limit"),
        ([":old", ":queue", "--batch-size", "0"], 2, "--batch-size"),
        ([":old", ":queue", "--from", "then"], 2, "--from"),
        (
            [":old", ":queue", "--from", "2024-02-01", "--to", "2024-01-31"],
            2,
            "--from is after --to",
        ),
        ([":old", ":queue", "--aggregate", "nobody"], 1, "has no aggregate 'nobody'"),
        ([":old", ":bare"], 1, "message channel 'BARE' has no adapter"),
        ([":copies", ":bare"], 1, "BARE"),
        ([":old", ":queue", "--checkpoint", "no/such/file"], 1, "no such file or directory"),
    ],
    ids=str,
)
def test_failures(program: Program, words: list[str], code: int, message: str) -> None:
    """What is wrong is one line, and nothing is published."""
    result = program.call("pour", *words, "--yes")

    assert (code, "", []) == (result.code, result.output, program.published)
    assert result.errors.startswith("error: ")
    assert message in result.errors
    assert 1 == result.errors.count("\n")


def test_a_checkpoint_of_a_pour_that_has_ended(program: Program) -> None:
    """Nothing is published again, the result is the same, and the user is told why."""
    path = str(program.folder / "pour.json")
    words = ":old", ":queue", "--yes", "--json", "--checkpoint", path
    first, second = program.call("pour", *words), program.call("pour", *words)

    assert ALL == program.published
    assert first.rows == second.rows
    assert "" == first.errors
    assert f"{path!r} says that all of it was poured: delete it to begin anew\n" == second.errors


def test_a_checkpoint_of_another_pour(program: Program) -> None:
    """The checkpoint of other options is refused, in a line."""
    words = ":old", ":queue", "--yes", "--checkpoint", str(program.folder / "pour.json")
    program.call("pour", *words)
    result = program.call("pour", *words, "--from", "2024-01-01")

    assert 1 == result.code
    assert "another operation wrote it, with other values of timestamps" in result.errors


def test_a_channel_that_fails(program: Program) -> None:
    """A pour that stops half way says how to go on, and then what is wrong."""
    words = ":old", ":broken", "--yes", "--batch-size", "1"
    kept = program.call("pour", *words, "--checkpoint", str(program.folder / "pour.json"))
    lost = program.call("pour", *words)

    assert (1, 1) == (kept.code, lost.code)
    said, wrong = kept.errors.splitlines()
    assert "stopped while pouring, at 3 of 5: repeat the command, and it goes on from" in said
    assert "the channel is down" in wrong
    assert "at 3 of 5: without --checkpoint, the next run begins anew\n" in lost.errors
