"""Templates: all that they show is escaped."""

from datetime import datetime
from functools import lru_cache, partial
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse

from castore_core import format_timestamp, utc_now
from castore_visualizer._assets import get_integrity
from castore_visualizer._csrf import get_form_token, keep_form_token
from castore_visualizer._json_html import render_json, render_value
from castore_visualizer._moments import show_age, show_duration, show_gap, show_moment
from castore_visualizer._site import get_site
from castore_visualizer._texts import fold_text
from castore_visualizer._urls import make_static_url, make_url


def render(request: Request, template: str, *, status: int = 200, **context: Any) -> HTMLResponse:
    """Return a page."""
    response = HTMLResponse(encode(render_text(request, template, **context)), status)
    keep_form_token(request, response)
    return response


def encode(text: str) -> bytes:
    """Return a text in UTF-8; halves of characters (lone surrogates) are shown by their numbers."""
    return text.encode(errors="backslashreplace")


def render_text(request: Request, template: str, **context: Any) -> str:
    """Return the HTML of a template."""
    site = get_site(request)
    return (
        _make_environment()
        .get_template(template)
        .render(
            site=site,
            inventory=site.inventory,
            url=partial(make_url, request),
            static=partial(make_static_url, request),
            path=request.url.path.removeprefix(request.scope.get("root_path", "")) or "/",
            form_token=partial(get_form_token, request),
            **context,
        )
    )


@lru_cache
def _make_environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("castore_visualizer", "_templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters.update(_FILTERS)
    environment.globals["integrity"] = get_integrity
    return environment


def _show_time(moment: datetime) -> Markup:
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        format_timestamp(moment), show_age(moment, utc_now()), show_moment(moment)
    )


def _show_age(moment: datetime) -> str:
    return show_age(moment, utc_now())


def _show_number(number: int) -> str:
    return f"{number:,}"


def _show_plural(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


_FILTERS: Final[dict[str, Any]] = {
    "age": _show_age,
    "duration": show_duration,
    "fold": fold_text,
    "gap": show_gap,
    "json": render_json,
    "moment": show_moment,
    "number": _show_number,
    "plural": _show_plural,
    "time": _show_time,
    "value": render_value,
}
