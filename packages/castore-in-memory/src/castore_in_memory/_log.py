"""The log of an in-memory channel: each failure once, with ids, and without values."""

import logging
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from castore_core import MessageRecord, format_error, name_type
from castore_in_memory._delivery import DeadLetter, describe_message
from castore_in_memory._functions import name_function

_logger = logging.getLogger("castore_in_memory")


class DeliveryLog:
    """Logs what goes wrong with the messages of an adapter.

    A record has the ids of its message as attributes, too: ``event_store_id``, ``aggregate_id``,
    ``version`` and ``event_type``, with ``attempt``, ``retries_left`` and ``error_type`` where an
    attempt failed.
    """

    def __init__(self, adapter: object) -> None:
        self._adapter = adapter

    def retry(
        self,
        message: MessageRecord,
        handler: object,
        error: BaseException,
        *,
        attempt: int,
        retries_left: int,
    ) -> None:
        """Log a failure that a retry follows."""
        name = name_function(handler)
        text = f"{name} failed at attempt {attempt} ({retries_left} retries left)"
        counts = {"attempt": attempt, "retries_left": retries_left}
        self._log(logging.WARNING, text, message, error, counts)

    def dead_letter(self, dead_letter: DeadLetter) -> None:
        """Log a failure that no retry follows."""
        name, attempts = name_function(dead_letter.handler), dead_letter.attempts
        text = f"dead letter: {name} failed at attempt {attempts}, the last"
        if not attempts:
            text = f"dead letter: the message could not be parsed for {name}"
        counts = {"attempt": attempts, "retries_left": 0}
        self._log(logging.ERROR, text, dead_letter.message, dead_letter.error, counts)

    def dropped(self, dead_letter: DeadLetter, kept: int) -> None:
        """Log that a dead letter makes room for a later one."""
        text = f"the oldest of more than {kept} dead letters was dropped"
        self._log(logging.ERROR, text, dead_letter.message)

    def hook_failure(self, message: MessageRecord, error: BaseException) -> None:
        """Log that the hook for dead letters failed."""
        self._log(logging.ERROR, "on_dead_letter failed", message, error)

    def sleep_failure(self, message: MessageRecord, error: BaseException) -> None:
        """Log that there was no waiting for a retry."""
        self._log(logging.ERROR, "sleep failed, and the retry comes at once", message, error)

    def left_behind(self, message: MessageRecord, handler: object, grace_period: float) -> None:
        """Log that a handler did not end when it was cancelled."""
        text = f"{name_function(handler)} still runs {grace_period:g} s after it was cancelled"
        self._log(logging.ERROR, text, message)

    def _log(
        self,
        level: int,
        text: str,
        message: MessageRecord,
        error: BaseException | None = None,
        counts: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        if not _logger.isEnabledFor(level):
            return
        lines = f"{self._adapter!r}: {text}: {describe_message(message)}"
        extra: dict[str, Any] = {
            "event_store_id": message.event_store_id,
            "aggregate_id": message.aggregate_id,
            "version": message.version,
            "event_type": message.type,
            **counts,
        }
        if error is not None:
            lines += "\n" + format_error(error)
            extra["error_type"] = name_type(error)
        _logger.log(level, "%s", lines, extra=extra)
