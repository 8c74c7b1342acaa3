"""/compare: studies against the first one of them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from tuner.errors import InputError, masked
from tuner.report import formats, markup
from tuner.report.comparison_text import comparison_document
from tuner.report.comparisons import check_compared, comparisons
from tuner.report.sheet import Sheet
from tuner.service.access.principal import Reader
from tuner.service.api.lookup import Here
from tuner.service.pages.rendering import page
from tuner.space.space import Configuration
from tuner.store.storage import Storage
from tuner.store.studies import study_names

# Studies that one can choose from a list, the newest; others are typed.
MOST_LISTED = 200
# Configurations that both measured.
_MOST_ROWS = 20

routes = APIRouter(include_in_schema=False)


@routes.get("/compare")
def compare(
    request: Request,
    service: Here,
    _: Reader,
    study: Annotated[tuple[str, ...], Query(max_length=5)] = (),
) -> HTMLResponse:
    """The form, and the comparison of the studies that were chosen."""
    chosen = [each for each in study if each]
    found, error = [], None
    if len(chosen) > 1:
        try:
            found = _compared(service.storage, chosen)
        except InputError as refused:
            error = refused
    return page(
        request,
        "compare.html",
        code=422 if error else 200,
        names=study_names(service.storage, limit=MOST_LISTED).found,
        chosen=[*chosen, "", ""][: max(2, len(chosen))],
        found=found,
        error=error,
    )


def _compared(
    storage: Storage, names: Sequence[str]
) -> list[tuple[Mapping[str, Any], list[Sheet]]]:
    check_compared(names)
    studies = [storage.study(name) for name in names]
    documents = [comparison_document(*each) for each in comparisons(studies, names)]
    baseline = studies[0].baseline
    defaults = baseline.configuration if baseline else None
    return [(each, list(_sheets(each, defaults))) for each in documents]


def _sheets(found: Mapping[str, Any], defaults: Configuration | None) -> Iterator[Sheet]:
    names = (found["first"]["study"], found["other"]["study"])
    headlines = [
        ("Best configuration", found["winners"]),
        ("Server's defaults", found["baselines"]),
    ]
    unit = found["first"]["unit"]
    yield _pairs("Within the budget", "", [row for row in headlines if row[1]], names, unit)
    same = [
        (markup.code(formats.short(Configuration.of(each["configuration"]), defaults)), each)
        for each in found["same_configurations"][:_MOST_ROWS]
    ]
    yield _pairs("Configurations that both measured", "Configuration", same, names, unit)
    limits = [
        (each.get("limits") or formats.latency(each["limit_ms"] / 1e3), each)
        for each in found["limits"]
    ]
    yield _pairs("The most that each carries, by the latency limit", "Limit", limits, names, unit)
    yield Sheet(
        "What else differs",
        ("", *names),
        tuple(
            (each["name"], _fact(each, "first"), _fact(each, "other"))
            for each in found["differences"]
        ),
    )


def _pairs(
    title: str,
    what: str,
    rows: Sequence[tuple[str, Mapping[str, Any]]],
    names: tuple[str, str],
    unit: str,
) -> Sheet:
    headings = (what, *(f"{name}, {unit}" for name in names), "Ratio, 95 % interval")
    cells = [
        (name, formats.rate(each["first"]), formats.rate(each["other"]), _ratio(each["ratio"]))
        for name, each in rows
    ]
    return Sheet(title, headings, tuple(cells), numbers=frozenset({1, 2, 3}))


def _ratio(ratio: Mapping[str, Any]) -> str:
    interval = f"{formats.times(ratio['estimate'])} ({ratio['low']:.2f} to {ratio['high']:.2f})"
    return interval if ratio["decided"] else f"{interval}, a tie"


def _fact(difference: Mapping[str, Any], side: str) -> str:
    value = difference[side]
    if value is None:
        return formats.NOTHING
    return masked(formats.fact(difference["name"].rpartition(" ")[2], value))
