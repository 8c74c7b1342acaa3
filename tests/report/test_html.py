"""The one-file report: complete, escaped, and without any request to the network."""

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
_EVIL = "<script>alert(1)</script>"


class Page(HTMLParser):
    """What a browser would see: tags, attributes, rows of tables and text without scripts."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
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
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th") and self.rows:
            self.rows[-1].append("")
            self.text += " | "

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

    assert [pair for pair in page.attributes if pair[0] in _LOADS] == []
    assert "link" not in page.tags
    assert "url(" not in page.styles
    assert "@import" not in page.styles
    assert any(content.startswith("default-src 'none';") for content in contents)


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


def test_has_plotly_once() -> None:
    """plotly.js is on the page, and not twice."""
    study = studies.night()

    assert rendered(study).count("* plotly.js v") == 1


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
