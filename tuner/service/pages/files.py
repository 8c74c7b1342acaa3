"""Scripts and styles of the pages, at addresses that change with what is in them."""

import hashlib
from functools import cache
from importlib import resources
from typing import Annotated

from fastapi import APIRouter, Path, Response

from tuner.service.api.problems import not_found

_OWN, _REPORT = "tuner.service.pages", "tuner.report"
# Where each is made from: the colours and the plot's library are those of the report.
_PARTS = {
    "icon.svg": ((_OWN, "static/icon.svg"),),
    "service.css": ((_REPORT, "tokens.css"), (_OWN, "static/service.css")),
    "htmx.js": ((_OWN, "static/htmx.min.js"),),
    "plotly.js": ((_REPORT, "plotly-basic.min.js"),),
    "plots.js": ((_OWN, "static/plots.js"),),
    "upload.js": ((_OWN, "static/upload.js"),),
    "live.js": ((_OWN, "static/live.js"),),
}
_TYPES = {
    "svg": "image/svg+xml",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
}
_FOR_EVER = "public, max-age=31536000, immutable"

routes = APIRouter(include_in_schema=False)


def address(name: str) -> str:
    """Where the file called `name` is; another one whenever its content is."""
    return f"/static/{_digest(name)}/{name}"


@routes.get("/favicon.ico")
def icon() -> Response:
    """For browsers that ask for it where no page names it."""
    return Response(_content("icon.svg"), media_type=_TYPES["svg"])


@routes.get("/static/style.css")
def style() -> Response:
    """The style sheet, for pages that do not know its address."""
    kind = _TYPES["css"]
    return Response(
        _content("service.css"), media_type=kind, headers={"Cache-Control": "no-cache"}
    )


@routes.get("/static/{digest}/{name}")
def file(digest: Annotated[str, Path(max_length=64)], name: str) -> Response:
    """One of them; a page that was made before an upgrade gets the new one, and keeps it not."""
    if name not in _PARTS:
        raise not_found("file", name)
    kept = _FOR_EVER if digest == _digest(name) else "no-store"
    kind = _TYPES[name.rpartition(".")[2]]
    return Response(_content(name), media_type=kind, headers={"Cache-Control": kept})


@cache
def _content(name: str) -> bytes:
    return b"".join(
        (resources.files(package) / path).read_bytes() for package, path in _PARTS[name]
    )


@cache
def _digest(name: str) -> str:
    return hashlib.sha256(_content(name)).hexdigest()[:12]
