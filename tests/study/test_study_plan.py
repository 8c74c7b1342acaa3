"""Which load a study claims next (the rest of what it plans shows in whole studies)."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.analysis.known import known
from tests.capacity.simulated_server import Batching, Simulation
from tests.report import studies
from tests.study.test_loop import SPACE, ran
from tuner.analysis.standings import standings
from tuner.goals import Loop, SearchBudget
from tuner.records import Golden, Purpose, StudyRecord, TrialRecord, TrialState
from tuner.space.space import Configuration
from tuner.study.study_plan import StudyPlan
from tuner.study.trial import Bench, TrialPlan, run_trial

NIGHT = studies.night()
WINNER = known(standings(NIGHT).winner)
SHARES = (0.95, 0.8, 0.6)


def claimed(study: StudyRecord, left_s: float = 3600.0) -> float:
    """As a share of what the winner carries; 0 for nothing."""
    plan = StudyPlan(space=SPACE, budget=SearchBudget())
    proof = plan.proof(study, number=99, left_s=left_s)
    if proof is None:
        return 0.0
    assert proof.fresh
    assert proof.configuration == WINNER.configuration
    return proof.claim / WINNER.throughput


def proved(
    *verdicts: str, of: Configuration = WINNER.configuration, last: TrialState | None = None
) -> StudyRecord:
    """The night after proofs with these verdicts, of the loads that are claimed."""
    loads = [share * WINNER.throughput for share in SHARES]
    study = studies.proved(NIGHT, *zip(loads, verdicts, strict=False), of=of)
    if last:
        study = replace(study, trials=(*study.trials[:-1], replace(study.trials[-1], state=last)))
    return study


@pytest.mark.parametrize(
    ("verdicts", "share"),
    [
        ((), 0.95),
        (("over",), 0.8),
        (("undecided",), 0.0),
        (("over", "over"), 0.6),
        (("over", "undecided"), 0.6),
        (("over", "over", "over"), 0.0),
        (("within",), 0.0),
        (("over", "within"), 0.0),
    ],
)
def test_less_is_claimed_until_it_is_proved(verdicts: tuple[str, ...], share: float) -> None:
    """After a load that was found over the budget, and no less than 60 %."""
    assert claimed(proved(*verdicts)) == pytest.approx(share)


def test_less_is_looked_at_for_two_looks_at_most() -> None:
    """Of 200 limits each; the first claim, for as long as there is time."""
    plan = StudyPlan(space=SPACE, budget=SearchBudget())
    first, second = (
        known(plan.proof(study, number=99, left_s=600.0)) for study in (NIGHT, proved("over"))
    )

    assert second.longest_s == pytest.approx(20.0)
    assert first.longest_s > 500.0


def test_nothing_is_claimed_after_a_failure() -> None:
    """Of its server, or of the machine: also where it had come to a verdict by then."""
    assert claimed(proved("", last=TrialState.FAILED)) == 0.0
    assert claimed(proved("over", last=TrialState.FAILED)) == 0.0


def test_nothing_is_claimed_that_was_found_over() -> None:
    """More finals may say that the winner carries more than it was thought to."""
    low = replace(proved("over").trials[-1], throughput=0.7 * WINNER.throughput)

    assert claimed(replace(NIGHT, trials=(*NIGHT.trials, low))) == pytest.approx(0.6)


def test_a_new_winner_has_claims_of_its_own() -> None:
    """What was proved of another configuration says nothing of it."""
    assert claimed(proved("within", of=studies.DEFAULTS)) == pytest.approx(0.95)


def test_nothing_is_claimed_without_the_time_for_it() -> None:
    """A look takes 200 limits, which are 10 s, after a start."""
    assert claimed(NIGHT, left_s=10.5) == 0.0
    assert claimed(NIGHT, left_s=60.0) == pytest.approx(0.95)


def test_nothing_is_claimed_of_what_nobody_confirmed() -> None:
    """Nor of a closed loop, whose users wait."""
    assert claimed(studies.small_study()) == 0.0
    assert claimed(replace(NIGHT, arrivals=Loop.CLOSED)) == 0.0


def test_a_server_that_is_slower_when_it_is_put_to_the_proof(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a fifth: a smaller load is proved, on starts of their own."""
    slower = 1.0

    def slower_at_last(bench: Bench, plan: TrialPlan) -> tuple[TrialRecord, Golden | None]:
        nonlocal slower
        slower = 1.2 if plan.purpose is Purpose.PROOF else 1.0
        return run_trial(bench, plan)

    def server(configuration: Configuration) -> Simulation:
        size = int(configuration["max_batch_size"])
        return Batching(4e-3 * slower, 0.4e-3 * slower, min(size, 32))

    monkeypatch.setattr("tuner.study.loop.run_trial", slower_at_last)
    record = ran(tmp_path / "studies.db", server=server).record
    winner = known(standings(record).winner)

    assert [proof.throughput / winner.throughput for proof in record.proofs[:2]] == pytest.approx(
        [0.95, 0.8]
    )
    assert record.proofs[0].proof == "over"
    assert [proof.proof for proof in record.proofs].index("within") == len(record.proofs) - 1
    assert all(proof.applied == "restart" for proof in record.proofs)
