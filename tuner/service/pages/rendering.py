"""Templates made into pages: everything that is shown is escaped."""

from datetime import UTC, datetime
from functools import cache
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import jinja2
from fastapi import Request
from fastapi.responses import HTMLResponse

import tuner
from tuner.analysis.rate_unit import RateUnit
from tuner.clients import webhook
from tuner.errors import masked
from tuner.report import figures, findings, formats, hosts, markup, rates, token_text
from tuner.service.access.principal import Role, principal_of
from tuner.service.pages import files
from tuner.service.pages.form import label

# What is younger, in seconds, has happened just now.
_NOW_S = 5
_DAY_S = 86_400
# Where in the menu pages are that are not in it themselves.
_SECTIONS = {"/jobs/": "/", **dict.fromkeys(("/studies/", "/trials", "/hints"), "/studies")}
_OF_HTMX = {
    # As the content security policy wants it: nothing is evaluated, no style is written.
    "allowEval": False,
    "includeIndicatorStyles": False,
    "historyCacheSize": 0,
    "attributesToSettle": [],
    # A form that is refused is shown again, with what is wrong with it.
    "responseHandling": [
        {"code": "204", "swap": False},
        {"code": "[23]..", "swap": True},
        {"code": "422", "swap": True},
        {"code": "[45]..", "swap": False, "error": True},
    ],
}


def page(
    request: Request, name: str, /, *, code: int = HTTPStatus.OK, **values: Any
) -> HTMLResponse:
    """The template of that name as a response that no one keeps."""
    who = principal_of(request)
    template = _environment().get_template(name)
    text = template.render(
        path=request.url.path,
        section=next((s for p, s in _SECTIONS.items() if request.url.path.startswith(p)), ""),
        who=who,
        may_run=who is not None and who.role >= Role.RUN,
        csrf_token=who.csrf_token if who else "",
        **values,
    )
    return HTMLResponse(text, code, {"Cache-Control": "no-store"})


def is_fragment(request: Request) -> bool:
    """Whether a script asks for a part of a page."""
    return request.headers.get("HX-Request") == "true"


def ago(moment: datetime) -> str:
    """`3 min ago`, `in 2 h`; of other days, the date."""
    passed_s = (datetime.now(UTC) - moment).total_seconds()
    if abs(passed_s) < _NOW_S:
        return "just now"
    if passed_s > 2 * _DAY_S:
        return f"{moment.astimezone():%Y-%m-%d}"
    words = _roughly(abs(passed_s))
    return f"{words} ago" if passed_s > 0 else f"in {words}"


def _roughly(length_s: float) -> str:
    for unit, size_s in (("d", _DAY_S), ("h", 3600), ("min", 60)):
        if length_s >= 2 * size_s or (unit == "min" and length_s >= size_s):
            return f"{length_s / size_s:.0f} {unit}"
    return f"{length_s:.0f} s"


def _exact(moment: datetime) -> str:
    return formats.stamp(moment.astimezone())


def _address(name: str) -> str:
    """A name as a part of an address, slashes and all."""
    return quote(name, safe="")


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [
                jinja2.PackageLoader("tuner.service.pages"),
                jinja2.PrefixLoader({"report": jinja2.PackageLoader("tuner.report", "")}),
            ]
        ),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "ago": ago,
        "exact": _exact,
        "address": _address,
        "label": label,
        "masked": masked,
        "receiver": webhook.shown,
        "typeset": markup.as_html,
        "rate": formats.rate,
        "latency": formats.latency,
        "duration": formats.duration,
        "times": formats.times,
    }
    environment.globals |= {
        "static": files.address,
        "version": tuner.__version__,
        "htmx_config": _OF_HTMX,
        "formats": formats,
        "findings": findings,
        "figures": figures,
        "host_text": hosts,
        "rate_unit": RateUnit.of,
        "rates": rates,
        "token_text": token_text,
    }
    return environment
