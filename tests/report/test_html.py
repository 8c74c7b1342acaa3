"""The one-file report: complete, escaped, and without any request to the network."""

import itertools
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from tests.analysis.test_effects import factorial
from tests.report import studies, texts
from tuner.analysis.standings import standings
from tuner.errors import Reason
from tuner.records import StudyRecord
from tuner.report import effects_text, html
from tuner.space.space import Configuration

_LOADS = {"src", "href", "srcset", "action", "poster", "data", "background"}
_VOID = {"meta", "input", "wbr", "link", "br"}
_EVIL = "<script>alert(1)</script>"


class Page(HTMLParser):
    """What a browser would see: tags, attributes, rows of tables and text without scripts."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.unlabelled: list[dict[str, str | None]] = []
        self.rows: list[list[str]] = []
        self.styles = ""
        self.text = ""
        self.feed(source)

    @property
    def lines(self) -> list[str]:
        """Paragraphs and rows, as they follow each other."""
        return [" ".join(line.split()) for line in self.text.splitlines() if line.strip()]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        self.elements.append((tag, dict(attrs)))
        if tag == "input" and "label" not in self.open:
            self.unlabelled.append(dict(attrs))
        if tag not in _VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th") and self.rows:
            self.rows[-1].append("")
            self.text += " | "

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.lasttag == "script":
            return
        if self.lasttag == "style":
            self.styles += data
            return
        self.text += data
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data.strip()


def check_offline(page: Page) -> None:
    """No attribute and no style points anywhere, and the page forbids the browser to try."""
    contents = [str(value) for name, value in page.attributes if name == "content"]

    loads = [value or "" for name, value in page.attributes if name in _LOADS]
    assert [value for value in loads if not value.startswith("#")] == []
    assert "link" not in page.tags
    assert "url(" not in page.styles
    assert "@import" not in page.styles
    assert any(content.startswith("default-src 'none';") for content in contents)


def check_accessible(page: Page) -> None:
    """What a screen reader needs, as far as a parser sees it; axe-core sees more."""
    tags, elements = page.tags, page.elements
    levels = [int(tag[1]) for tag in tags if re.fullmatch("h[1-6]", tag)]
    names = [own["id"] for _, own in elements if own.get("id")]
    headers = [own for tag, own in elements if tag == "th"]
    scrolling = [own for tag, own in elements if tag == "pre" or own.get("class") == "wide"]

    assert (tags.count("main"), tags.count("h1")) == (1, 1)
    assert all(below <= above + 1 for above, below in itertools.pairwise(levels))
    assert len(names) == len(set(names))
    assert [own for own in headers if own.get("scope") not in ("col", "row")] == []
    assert page.unlabelled == []
    assert [own for own in scrolling if own.get("tabindex") != "0"] == []
    assert [own for tag, own in elements if tag == "figure" and not own.get("aria-label")] == []
    assert ("html", {"lang": "en"}) in elements
    targets = [own["href"] for tag, own in elements if tag == "a"]
    assert {str(target).removeprefix("#") for target in targets} <= set(names)


def rendered(study: StudyRecord) -> str:
    result = standings(study)
    return html.render(study, result, effects_text.of(study, result))


def page_of(study: StudyRecord) -> Page:
    return Page(rendered(study))


@pytest.fixture(scope="module")
def night() -> Page:
    return page_of(studies.night())


def test_loads_nothing(night: Page) -> None:
    """The page is whole without any network."""
    check_offline(night)


def test_accessible(night: Page) -> None:
    """Landmarks, headings in order, headers of tables, labels of inputs; links lead somewhere."""
    check_accessible(night)
    check_accessible(page_of(studies.small_study()))
    check_accessible(page_of(studies.study()))


def test_the_planner_is_for_those_with_scripts(night: Page) -> None:
    """Its inputs appear with the script; without it, the table of round demands is there."""
    forms = [own for tag, own in night.elements if tag == "form"]
    sides = [own for tag, own in night.elements if "data-low" in own]

    assert [own["id"] for own in forms if "hidden" in own] == ["planner"]
    assert len(sides) == 3
    assert all(0 < float(own["data-low"] or 0) < float(own["data-high"] or 0) for own in sides)
    assert "Replicas for round demands" in night.text
    assert [tag for tag, own in night.elements if own.get("role") == "status"] == ["p"]
    assert not any(tag == "output" or "aria-live" in own for tag, own in night.elements)


def test_small_enough_to_send() -> None:
    """A night takes less than 1.5 MB, a thousand trials less than 3 MB."""
    many = [studies.trial(n, 100.0 + n % 97) for n in range(1, 1000)]

    assert len(rendered(studies.night()).encode()) < 1_500_000
    assert len(rendered(studies.study([studies.baseline(), *many])).encode()) < 3_000_000


def test_has_plotly_once() -> None:
    """plotly.js is on the page, and not twice."""
    study = studies.night()

    assert rendered(study).count("* plotly.js (basic - minified) v") == 1


def test_every_word() -> None:
    """Headline, tables and titles, and how and where it was measured."""
    slow = studies.infeasible(studies.baseline(), unloaded_s=0.061)
    whole = factorial()
    found = {
        "one trial of each ending": studies.small_study(),
        "nothing feasible": studies.study([slow]),
        "defaults that won": studies.study([studies.baseline(200.0), studies.trial(1, 100.0)]),
        "decided effects": whole,
        "effects that are not known": replace(whole, trials=whole.trials[:3]),
        "an empty study": studies.study(),
    }

    texts.check("page.txt", {title: page_of(study).lines for title, study in found.items()})


def test_draws_all_charts() -> None:
    """Points, front, limit and the compared configurations are in the charts."""
    source = rendered(studies.night())

    assert 'id="pareto"' in source
    assert 'id="curves"' in source
    assert 'id="limits"' in source
    assert '"name":"Pareto front"' in source
    assert '"name":"trial 8"' in source


def test_loads_without_a_latency() -> None:
    """Where every load was overloaded there is no chart of limits."""
    lost = studies.point(100.0, 0.4, stopped_early="overload")
    study = studies.study([studies.baseline(points=(lost,))])
    source = rendered(study)

    assert 'id="pareto"' in source
    assert 'id="limits"' not in source
    assert "Another latency limit" not in source


def test_escapes_everything() -> None:
    """Whatever a server or a user said is text, in tables and in charts."""
    odd = Configuration.of({"flags": _EVIL})
    study = studies.study(
        [
            studies.baseline(),
            studies.trial(1, 300.0, configuration=odd, export=_EVIL),
            studies.failed(2, Reason.CRASHED, _EVIL, log_tail=_EVIL),
        ],
        name=_EVIL,
        model=_EVIL,
        environment={_EVIL: _EVIL},
    )

    source = rendered(study)

    assert _EVIL not in source
    assert "alert(1)" in Page(source).text
    assert r"\u003cscript\u003e" not in source  # not even for plotly, which knows some tags


def test_empty_study() -> None:
    """Before the first trial the page is small and says so."""
    study = studies.study()
    source = rendered(study)

    assert "No trial was run yet" in source
    assert len(source) < 20_000
