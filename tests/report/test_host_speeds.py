"""The hosts of a fleet in a study's report: texts/hosts.txt has every sentence and table."""

import pytest

from tests.report import fleets, studies, texts
from tests.report.fleets import SPEEDS, Night
from tuner.analysis.effects import effects
from tuner.analysis.standings import standings
from tuner.records import Purpose, StudyRecord
from tuner.report import digest, export, frames, host_speeds, html, summaries, terminal
from tuner.report.study_tables import StudyTable


def becoming_slower() -> StudyRecord:
    night = Night({"ada": 1.0, "bob": 1.0})
    for _ in range(5):
        night.canaries()
    night.speeds["bob"] = 0.85
    for _ in range(5):
        night.canaries()
    return night.study()


def failing() -> StudyRecord:
    night = Night({"ada": 1.0, "bob": 1.0, "cleo": 1.0})
    night.canary("ada")
    night.canary("cleo")
    fleets.failing_canary(night, "bob")
    fleets.failing_canary(night, "bob")
    return night.study()


def only_begun() -> StudyRecord:
    night = Night()
    night.canary("ada")
    night.run("bob", 200.0)
    return night.study()


STUDIES = {
    "no fleet": studies.night(),
    "one host is slower": fleets.night(),
    "one host is another machine": fleets.night({**SPEEDS, "eve": 0.6}),
    "equal hosts": fleets.night({"ada": 1.0, "bob": 1.01}),
    "one becomes slower": becoming_slower(),
    "the defaults fail on one": failing(),
    "nothing is known of the others": only_begun(),
    "many": fleets.night({f"host-{n}": 1 - n / 1000 for n in range(45)}),
}


def said(study: StudyRecord) -> list[str]:
    rows = host_speeds.rows(study, standings(study))
    about = list(host_speeds.about_hosts(study))
    if not rows:
        return about
    sheet = host_speeds.sheet(rows).markdown().splitlines()
    return [host_speeds.title(rows), *about, *host_speeds.sentences(rows), *sheet]


def test_every_sentence() -> None:
    """How hosts differ, which were put aside, and what each of them measured."""
    texts.check("hosts.txt", {title: said(study) for title, study in STUDIES.items()})


def test_documents() -> None:
    """The same for programs; an empty list without a fleet."""
    night = STUDIES["one host is slower"]
    found = export.study_document(night, standings(night))
    slow = found["hosts"][2]

    assert [each["host"] for each in found["hosts"]] == list(SPEEDS)
    assert slow["factor"] == pytest.approx(0.8, abs=0.03)
    assert (slow["canaries"], slow["trials"], slow["finals"]) == (2, 10, 3)
    assert slow["gain"] == pytest.approx(398 / 150)
    assert slow["differs"]
    assert found["trials"][2]["host"] == "cleo"
    assert found["trials"][2]["attempt"] == 3
    alone = STUDIES["no fleet"]
    assert export.study_document(alone, standings(alone))["hosts"] == []


def test_frames() -> None:
    """Each trial with its host and the factor by which its throughput is to be divided."""
    slow = frames.frame(STUDIES["one host is slower"], StudyTable.TRIALS).iloc[2]
    alone = frames.frame(STUDIES["no fleet"], StudyTable.TRIALS).iloc[2]

    assert (slow["host"], slow["attempt"]) == ("cleo", 3)
    assert slow["throughput"] / slow["factor"] == pytest.approx(152, rel=0.03)
    assert 0 < slow["factor_log_error"] < 0.05
    assert (alone["host"], alone["attempt"], alone["factor"]) == ("", 0, 1.0)


def test_lists_of_trials() -> None:
    """On the terminal and on the page each trial has its host, and that no factor is taken off."""
    study = STUDIES["one host is slower"]
    found = standings(study)
    listed = summaries.text([terminal.trials_table(study)], width=100, styled=False)
    page = html.render(study, found, effects(study))

    assert "on cleo: server's defaults" in listed
    assert "<td>cleo</td>" in page
    assert host_speeds.AS_MEASURED in listed
    assert host_speeds.AS_MEASURED in page
    alone = STUDIES["no fleet"]
    assert host_speeds.AS_MEASURED not in html.render(alone, standings(alone), effects(alone))


def test_of_a_large_study_canaries_are_left_out() -> None:
    """There may be thousands; the table of hosts says what they tell."""
    night = Night()
    night.canaries()
    for number in range(400):
        night.run("ada", 100.0 + number)

    shown = digest.shown(night.study())

    assert not [each for each in shown if each.purpose is Purpose.DRIFT]
    assert "finals and proof" in digest.about_shown(night.study(), shown)


def test_the_best_of_a_large_study_are_those_without_their_hosts() -> None:
    """A trial on a slow host is shown before a better one that a fast host flattered."""
    night = Night()
    night.canaries()
    for _ in range(400):
        night.run("ada", 300.0)
    slow = night.run("cleo", 330.0)

    assert slow.number in [each.number for each in digest.shown(night.study())]
