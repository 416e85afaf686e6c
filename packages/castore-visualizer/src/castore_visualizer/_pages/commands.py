"""Commands: a form, a rehearsal that shows what would happen, and the real run."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from secrets import token_urlsafe
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from castore_core import Absent, JSONValue, StorageError, UnknownOutcomeError
from castore_visualizer._command_effects import (
    Effect,
    MovedAggregate,
    find_moved,
    find_winner,
    list_effects,
    write_seen,
)
from castore_visualizer._command_inputs import describe_input
from castore_visualizer._command_runs import CommandRun, rehearse, run_for_real
from castore_visualizer._commands import AnyCommand, CommandContext, get_command_name
from castore_visualizer._error_texts import quote_error
from castore_visualizer._events import ShownEvent
from castore_visualizer._field_values import FieldError, read_value
from castore_visualizer._fields import FormField, list_fields
from castore_visualizer._forms import read_form
from castore_visualizer._masking import Field
from castore_visualizer._queries import get_text
from castore_visualizer._rendering import render
from castore_visualizer._site import Site, get_site


@dataclass(frozen=True)
class _Result:
    """A run, as a page shows it.

    ``shown`` tells its input from others, and ``once`` the form that runs it for real.
    """

    run: CommandRun
    shown: str
    is_real: bool
    effects: Sequence[Effect]
    output: JSONValue | Absent
    error: str
    winner: ShownEvent | None
    moved: Sequence[MovedAggregate] = ()
    once: str = field(default_factory=partial(token_urlsafe, 16))

    @property
    def has_written_nothing(self) -> bool:
        """Whether that is certain: a storage that failed may have written all the same."""
        is_open = isinstance(self.run.error, StorageError | UnknownOutcomeError)
        return not self.is_real or not (self.run.written or is_open)

    @property
    def seen(self) -> str:
        """The versions on which a rehearsal is based, for the real run to compare."""
        return write_seen(self.effects)


async def list_commands(request: Request) -> Response:
    """Show all commands."""
    commands = get_site(request).inventory.commands
    rows = [(name, get_summary(each)) for name, each in commands.items()]
    return render(request, "commands.html", rows=rows)


async def show_command(request: Request) -> Response:
    """Show the form of a command."""
    name = get_text(request, "name")
    command = _get_command(get_site(request), name)
    given = {f'input.["{key}"]': value for key, value in request.query_params.items()}
    return _render(request, command, given)


async def run_command(request: Request) -> Response:
    """Rehearse a command, or run it for real."""
    site, form = get_site(request), await read_form(request, writes=False)
    name, is_real = form.get("name", ""), form.get("action") == "run"
    if is_real and not site.allow_writes:
        raise HTTPException(403, "This visualizer is read-only: commands can be rehearsed only.")
    command = _get_command(site, name)
    fields = list_fields(describe_input(command))
    form = {**dict.fromkeys((each.name for each in fields if each.kind == "switch"), "off"), **form}
    try:
        value = read_value(fields, form)
    except FieldError as error:
        return _render(request, command, form, problem=str(error))
    shown, problem = form.get("shown", ""), None
    if is_real and shown and shown != _digest(value):
        is_real, problem = False, "The input was changed: this is what would happen now."
    if is_real and "once" in form and not site.is_first(form["once"]):
        raise HTTPException(
            409, "This form was sent already. To run the command again, try it again."
        )
    result = await _run(site, command, value, form.get("seen", ""), is_real=is_real)
    return _render(request, command, form, result=result, problem=problem)


def get_summary(command: AnyCommand) -> str:
    """Return the first line that is written about a command."""
    described: Any = command.command if isinstance(command, CommandContext) else command
    text = described.handler_function.__doc__ or ""
    return text.strip().partition("\n")[0]


def _get_command(site: Site, name: str) -> AnyCommand:
    command = site.inventory.commands.get(name)
    if command is None:
        raise HTTPException(404, f"There is no command {name!r}.")
    return command


def _render(
    request: Request,
    command: AnyCommand,
    given: Mapping[str, str],
    *,
    result: _Result | None = None,
    problem: str | None = None,
) -> Response:
    fields: Sequence[FormField] = list_fields(describe_input(command))
    return render(
        request,
        "command.html",
        status=_choose_status(result, problem),
        name=get_command_name(command),
        summary=get_summary(command),
        fields=fields,
        given=given,
        result=result,
        problem=problem,
    )


def _choose_status(result: _Result | None, problem: str | None) -> int:
    if problem is not None:
        return 422
    if result is None:
        return 200
    if result.moved:
        return 409
    statuses = {"conflict": 409, "invalid": 422, "refused": 422}
    return statuses.get(result.run.failure_kind or "", 200)


async def _run(
    site: Site, command: AnyCommand, value: JSONValue, seen: str, *, is_real: bool
) -> _Result:
    stores = dict(site.inventory.stores)
    moved = await find_moved(site, seen) if is_real else []
    if is_real and not moved:
        run = await run_for_real(command, stores, value)
    else:
        run = await rehearse(command, stores, value)
    # A rehearsal that failed shows none: for real, nothing of it would be known to be written.
    effects = [] if run.error and not is_real else await list_effects(site, run.written)
    return _Result(
        run,
        _digest(value),
        is_real and not moved,
        effects,
        site.masking.apply(Field("", None, ("output",)), run.output),
        "" if run.error is None else _describe(site, run.error),
        await find_winner(site, run.error),
        moved,
    )


def _digest(value: JSONValue) -> str:
    return sha256(json.dumps(value).encode()).hexdigest()


def _describe(site: Site, error: Exception) -> str:
    return site.masking.apply_to_text("", "error", quote_error(error))
