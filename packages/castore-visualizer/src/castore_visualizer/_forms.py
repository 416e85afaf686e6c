"""Forms that write: they are read here, and refused where they may come from elsewhere."""

from typing import Final
from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.requests import Request

from castore_visualizer._csrf import FIELD, comes_from_here
from castore_visualizer._site import get_site

_LARGEST: Final = 1_000_000  # bytes
_MOST_FIELDS: Final = 1_000


async def read_form(request: Request, *, writes: bool = True) -> dict[str, str]:
    """Return the fields of a form that a page of this visualizer has sent.

    Args:
        request: the request.
        writes: whether what it asks for writes to the user's storages.

    Raises:
        HTTPException: the visualizer does not write (403), the form comes from elsewhere (403), is
            too large (413) or broken (400).
    """
    if writes and not get_site(request).allow_writes:
        raise HTTPException(403, "This visualizer is read-only: start it with writes allowed.")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LARGEST:
            raise HTTPException(413, "The form is too large.")
    try:
        fields = dict(
            parse_qsl(
                body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict"
            )
        )
    except ValueError as error:
        raise HTTPException(400, "The form is broken.") from error
    if not comes_from_here(request, fields.pop(FIELD, "")):
        raise HTTPException(403, "This form comes from elsewhere, or is old: open the page again.")
    return fields
