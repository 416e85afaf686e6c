"""Addresses of pages: relative to the place where the visualizer is mounted."""

from urllib.parse import urlencode

from starlette.requests import Request

from castore_visualizer._assets import get_fingerprint


def make_url(request: Request, page: str, /, **query: object) -> str:
    """Return the address of a page with a query, without values that are ``None`` or empty.

    An underscore at the end of a name is dropped: ``from_`` stands for ``from``.
    """
    path = f"{request.scope.get('root_path', '')}{PATHS[page]}"
    given = {key.rstrip("_"): str(each) for key, each in query.items() if each not in (None, "")}
    return f"{path}?{urlencode(given)}" if given else path


def make_path(request: Request) -> str:
    """Return the path of a request as the browser has it: some servers leave the mount out."""
    root, path = request.scope.get("root_path", ""), request.scope["path"]
    return "/" + (path if f"{path}/".startswith(f"{root}/") else f"{root}{path}").lstrip("/")


def make_static_url(request: Request, name: str) -> str:
    """Return the address of a static file, which changes with its content."""
    root = request.scope.get("root_path", "")
    return f"{root}/static/{name}?{get_fingerprint(name)}"


PATHS = {
    "stores": "/",
    "counts": "/counts",
    "rates": "/rates.json",
    "search": "/search",
    "aggregates": "/aggregates",
    "aggregate": "/aggregate",
    "diff": "/diff",
    "log": "/log",
    "live": "/log/live",
    "correlation": "/correlation",
    "snapshots": "/snapshots",
    "projections": "/projections",
    "lags": "/lags.json",
    "parked": "/projections/parked",
    "messages": "/messages",
    "commands": "/commands",
    "command": "/command",
}
"""The path of each page. Ids are in the query: they may have any characters."""
