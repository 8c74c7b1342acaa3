"""A study as plain data, for documents."""

from tests.report import studies
from tuner.analysis.standings import standings
from tuner.errors import Reason
from tuner.records import Purpose
from tuner.report import export
from tuner.report.studies import summary

POINTS = sum(len(t.points) for t in studies.night().trials)


def test_the_document_of_a_study() -> None:
    """A document has the result and every trial, also before there is any."""
    night = studies.night()
    content = export.study_document(night, standings(night))
    nothing = export.study_document(studies.study(), standings(studies.study()))

    assert content["baseline"]["configuration"] == dict(studies.DEFAULTS)
    assert content["winner"]["p99_ms"] <= 50
    assert content["trials"][5]["reason"] == "out_of_memory"
    assert content["trials"][0]["verdicts"]["threads"] == "accepted"
    assert [nothing[key] for key in ("best", "baseline", "winner", "gain", "tied", "trials")] == [
        None, None, None, None, [], [],
    ]  # fmt: skip


def test_a_winner_without_load_points() -> None:
    """Latencies are left out where no load point is known, as in a list of studies."""
    study = studies.study([studies.baseline(points=())])
    winner = standings(study).winner

    assert winner is not None
    assert "p99_ms" not in export.standing(winner, study)


def test_the_summary_of_a_study() -> None:
    """One line about a study: what it was about, how much was tried, what came out."""
    failed = studies.study([studies.failed(0, Reason.CRASHED, "it is gone")])

    assert summary(failed) == {
        "study": "encoder-p99-50ms",
        "created_at": "2026-03-07T22:00:00+00:00",
        "server": "triton",
        "model": "encoder",
        "latency_budget": "p99 <= 50 ms",
        "trials": 1,
        "best": None,
        "unit": "inferences/s",
        "gain": None,
        "nearest": None,
    }


def test_the_verdict_of_a_proof() -> None:
    """A trial that puts the claimed load on the winner says what came out; others say nothing."""
    proof = studies.trial(1, 300.0, purpose=Purpose.PROOF, proof="within")
    study = studies.study([studies.baseline(), proof])
    document = export.study_document(study, standings(study))

    assert [trial["proof"] for trial in document["trials"]] == ["", "within"]
    assert document["winner"]["proofs"] == []


def test_what_was_proved_of_a_configuration() -> None:
    """Each load that was put to the proof, and what came out."""
    found = studies.trial(1, 316.0)
    study = studies.proved(
        studies.study([studies.baseline(), found]),
        *((300.0, "over"), (269.0, "within")),
        of=found.configuration,
    )
    winner = export.study_document(study, standings(study))["winner"]

    assert winner["unit"] == "inferences/s"
    assert winner["proofs"] == [
        {"throughput": 300.0, "verdict": "over"},
        {"throughput": 269.0, "verdict": "within"},
    ]
