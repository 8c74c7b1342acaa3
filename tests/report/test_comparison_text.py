"""What `tuner compare` says."""

import io
from collections.abc import Iterator
from dataclasses import replace

from rich.console import Console  # noqa: TID251 - prints what the command line would

from tests.analysis.test_study_comparison import night
from tests.report import studies, texts
from tests.report.studies import baseline, loads, trial
from tuner.analysis.study_comparison import compared
from tuner.errors import Reason
from tuner.goals import LatencyBudget, Loop
from tuner.records import StudyRecord
from tuner.report.comparison_text import Names, comparison_blocks, comparison_document

NAMES = Names("night", "later")


def told(first: StudyRecord, other: StudyRecord) -> Iterator[str]:
    """Everything that is printed."""
    console = Console(file=io.StringIO(), width=100)
    for block in comparison_blocks(compared(first, other), NAMES):
        console.print(block)
    assert isinstance(console.file, io.StringIO)
    yield from console.file.getvalue().splitlines()


def cut_again() -> StudyRecord:
    points = loads((100, 20.0), (200, 45.0))
    return studies.study([baseline(100.0, points=points)], budget=LatencyBudget(95, 0.020))


def slower() -> StudyRecord:
    """Its defaults are over the limit, and another configuration crashes."""
    over = studies.infeasible(baseline(), unloaded_s=0.061)
    crashed = studies.failed(1, Reason.CRASHED, "it is gone")
    kept = (t for t in night().trials[2:] if t.configuration != studies.DEFAULTS)
    return replace(night(), trials=(over, crashed, *kept))


def elsewhere() -> StudyRecord:
    study = night(1.3, rounds=2)
    return replace(
        study,
        model_fingerprint="another",
        arrivals=Loop.CLOSED,
        request={"batch": 4, "zero": False},
        hardware={**study.hardware, "cores": 4, "fingerprint": "another"},
        options={"image": "https://me:secret@registry/triton:1"},
        trials=tuple(replace(t, points=()) for t in study.trials),
    )


def crossing() -> tuple[StudyRecord, StudyRecord]:
    """One carries more within low limits, the other within high ones."""
    quick = loads((300, 10.0), (320, 90.0))
    bulk = loads((100, 10.0), (900, 90.0))
    return tuple(  # type: ignore[return-value]
        studies.study([trial(1, 300.0, points=points)]) for points in (quick, bulk)
    )


def test_every_kind() -> None:
    """Who carries more and how sure that is, on what it rests, and what else differs."""
    slow = studies.study([studies.infeasible(baseline(), unloaded_s=0.061)])
    failed = studies.study([studies.failed(0, Reason.CRASHED, "it is gone")])
    texts.check(
        "comparison.txt",
        {
            "beyond the scatter": told(night(), night(1.2)),
            "beyond the uncertainty": told(night(rounds=0), night(1.4, rounds=0)),
            "a tie": told(night(), night(1.005)),
            "each at some limits": told(*crossing()),
            "from load points": told(night(), cut_again()),
            "something in one alone": told(night(), slower()),
            "elsewhere, and otherwise": told(night(), elsewhere()),
            "nothing feasible": told(night(), slow),
            "nothing in either": told(slow, failed),
        },
    )


def test_many_configurations() -> None:
    """Some of them stand in the table, all of them in the document."""
    many = studies.study([trial(n, 100.0 + n, points=()) for n in range(1, 26)])

    text = " ".join(told(many, many))

    assert "5 more: `--json` has all." in text
    document = comparison_document(compared(many, many), NAMES)
    assert len(document["same_configurations"]) == 25


class TestDocument:
    def test_has_everything(self) -> None:
        """Ratios with their intervals, the sides, and the sentences."""
        content = comparison_document(compared(night(), night(1.2)), NAMES)

        assert (content["first"]["study"], content["other"]["study"]) == ("night", "later")
        ratio = content["winners"]["ratio"]
        assert ratio["low"] < 1.2 < ratio["high"]
        assert ratio["beyond_fresh_starts"]
        assert (content["percentile"], content["limit_ms"]) == (99, 50.0)
        assert len(content["same_configurations"]) == 3
        assert content["same_configurations"][0]["configuration"] == dict(studies.BEST)
        assert (content["dominates"], content["same_averaged"]) == ("later", 3)
        assert (content["only_first"], content["only_other"]) == ([], [])
        assert content["differences"] == []
        assert content["said"][0].startswith("Best configurations: later carries 1.20x")

    def test_nobody_dominates_by_chance(self) -> None:
        """More at each limit is nothing where no limit is beyond the uncertainty."""
        assert comparison_document(compared(night(), night(1.005)), NAMES)["dominates"] is None

    def test_has_what_carries_something_in_one_alone(self) -> None:
        """Each with what it carries."""
        content = comparison_document(compared(night(), slower()), NAMES)

        assert [each["trial"] for each in content["only_first"]] == [1, 6]

    def test_has_no_secrets(self) -> None:
        """An address in what differs has no password."""
        differences = comparison_document(compared(night(), elsewhere()), NAMES)["differences"]

        (image,) = [each for each in differences if each["name"] == "option image"]
        assert image["other"] == "https://***@registry/triton:1"

    def test_of_nothing_feasible(self) -> None:
        """The nearest stands in place of a winner."""
        slow = studies.study([studies.infeasible(baseline(), unloaded_s=0.061)])

        content = comparison_document(compared(slow, night()), NAMES)

        assert (content["first"]["winner"], content["winners"]) == (None, None)
        assert content["first"]["nearest"]["trial"] == 0
        assert content["dominates"] is None
