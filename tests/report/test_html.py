"""The one-file report: complete, escaped, and without any request to the network."""

from dataclasses import replace
from html.parser import HTMLParser

import pytest

from tests.analysis.test_effects import factorial
from tests.report import studies
from tuner.analysis.standings import standings
from tuner.errors import Reason
from tuner.records import StudyRecord
from tuner.report import html
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

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th") and self.rows:
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        if self.lasttag == "script":
            return
        if self.lasttag == "style":
            self.styles += data
            return
        self.text += data
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data.strip()

    def row(self, title: str) -> list[str]:
        return next(row[1:] for row in self.rows if row and row[0] == title)


def page_of(study: StudyRecord) -> Page:
    return Page(html.render(study, standings(study)))


@pytest.fixture(scope="module")
def night() -> Page:
    return page_of(studies.night())


def test_loads_nothing(night: Page) -> None:
    """No attribute and no style points anywhere, and the page forbids the browser to try."""
    contents = [str(value) for name, value in night.attributes if name == "content"]

    assert [pair for pair in night.attributes if pair[0] in _LOADS] == []
    assert "link" not in night.tags
    assert "url(" not in night.styles
    assert "@import" not in night.styles
    assert any(content.startswith("default-src 'none';") for content in contents)


def test_has_plotly_once() -> None:
    """plotly.js is on the page, and not twice."""
    study = studies.night()

    assert html.render(study, standings(study)).count("* plotly.js v") == 1


def test_headline(night: Page) -> None:
    """The winner stands beside the defaults with its gain."""
    assert "The best configuration carries 398 inferences/s within p99 ≤ 50 ms" in night.text
    assert night.row("Inferences/s within p99 ≤ 50 ms") == ["150 ± 3", "398 ± 7"]
    assert night.row("Gain, with its 95 % interval") == ["", "2.65x (2.59 to 2.72)"]
    assert night.row("instance_count") == ["1", "2"]
    assert night.row("Rests on") == ["measured again on 3 fresh starts"] * 2


def test_every_trial_is_there(night: Page) -> None:
    """The table has a row for each trial, with its ending and what it changed."""
    numbers = [row[0] for row in night.rows if len(row) == 9]

    assert numbers == ["Trial", *(str(trial.number) for trial in studies.night().trials)]
    assert night.row("5")[:2] == ["search", "failed: out of memory"]
    assert night.row("3")[2] == "< 180"
    assert "E0307 out of memory" in night.text


def test_draws_all_charts() -> None:
    """Points, front, limit and the compared configurations are in the charts."""
    source = html.render(studies.night(), standings(studies.night()))

    assert 'id="pareto"' in source
    assert 'id="curves"' in source
    assert 'id="limits"' in source
    assert '"name":"Pareto front"' in source
    assert '"name":"trial 8"' in source


def test_says_what_another_limit_would_allow(night: Page) -> None:
    """Half the limit and twice the limit are in the title, and the command for any other."""
    assert "Another latency limit would allow: 317 inferences/s within 25 ms, 442" in night.text
    assert "tuner best encoder-p99-50ms --budget-ms N" in night.text


def test_loads_without_a_latency() -> None:
    """Where every load was overloaded there is no chart of limits."""
    lost = studies.point(100.0, 0.4, stopped_early="overload")
    study = studies.study([studies.baseline(points=(lost,))])
    source = html.render(study, standings(study))

    assert 'id="pareto"' in source
    assert 'id="limits"' not in source
    assert "Another latency limit" not in source


def test_says_how_and_where(night: Page) -> None:
    """Percentile, open loop, send lag, priority, machine and versions are told."""
    for told in (
        "nearest rank",
        "from the moment a request was due to be sent",
        "within 0.12 ms of their due moment",
        "Its priority: real-time.",
        "Some Processor 2.4 GHz",
        "8.0 GiB",
        "2.60.0",
        "went into warming up and measuring",
        "3 confirmed by the server itself",
    ):
        assert told in night.text


def test_shows_what_to_deploy(night: Page) -> None:
    """The winner's own file is on the page."""
    assert f"# {studies.BEST}" in night.text


def test_says_which_parameters_mattered() -> None:
    """The decided effects are the title, and every value has its row, with the reason of a gap."""
    page = page_of(factorial())

    assert "What mattered for the capacity: a=true 1.64x, b=true 0.69x" in page.text
    rows = [row for row in page.rows if len(row) == 7]
    assert [row[4] for row in rows[1:]] == ["helped", "hurt", *["no proven effect"] * 2]
    assert rows[1][:4] == ["a", "true", "false", "1.64x (1.56 to 1.73)"]
    assert rows[1][5:] == ["8 (1.64x)", "8/8"]
    assert "Together, what the best configuration changes gives" in page.text


def test_effects_that_are_not_known() -> None:
    """A study that is too short has the rows all the same, and says why they are empty."""
    whole = factorial()
    page = page_of(replace(whole, trials=whole.trials[:3]))

    assert "No parameter is proved to have mattered" in page.text
    rows = [row for row in page.rows if len(row) == 7]
    assert rows[1][3:5] == ["-", "not known: too few configurations were measured"]
    assert "mattered" not in page_of(studies.study([studies.baseline()])).text


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

    source = html.render(study, standings(study))

    assert _EVIL not in source
    assert "alert(1)" in Page(source).text
    assert r"\u003cscript\u003e" not in source  # not even for plotly, which knows some tags


def test_nothing_feasible() -> None:
    """A study without a winner has its trials, and nothing to deploy."""
    slow = studies.infeasible(studies.baseline(), unloaded_s=0.061)
    page = page_of(studies.study([slow]))

    assert "No configuration meets p99 ≤ 50 ms" in page.text
    assert "deploys" not in page.text
    assert page.row("0")[1] == "infeasible"


def test_empty_study() -> None:
    """Before the first trial the page is small and says so."""
    study = studies.study()
    source = html.render(study, standings(study))

    assert "No trial was run yet" in source
    assert len(source) < 20_000


def test_defaults_that_won() -> None:
    """Where the defaults won they are not set beside themselves."""
    page = page_of(studies.study([studies.baseline(200.0), studies.trial(1, 100.0)]))

    assert "Keep the server's defaults" in page.text
    assert page.row("Inferences/s within p99 ≤ 50 ms") == ["200 ± 22"]
    assert "The server's defaults, written out" in page.text
