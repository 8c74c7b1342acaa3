"""What a study is to do, and its trials as they are planned (pure)."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from tuner.analysis.rate_unit import inferences_per_request
from tuner.analysis.standings import Standing, standings
from tuner.capacity.proof import first_look_s
from tuner.errors import Reason
from tuner.goals import Loop, Objective, SearchBudget
from tuner.planning.proved import proofs_of, proved
from tuner.records import Purpose, StudyRecord, TrialState
from tuner.space.space import Configuration, SearchSpace
from tuner.study.again import expected
from tuner.study.time_plan import BASELINE_STRETCH, FinalsPlan, until_proof_s
from tuner.study.trial import TrialPlan

# The load at which the latency is compared, as a share of what the baseline carries.
REFERENCE_SHARE = 0.8
# What is claimed of the capacity, to be proved; at the capacity itself half of all proofs fail.
# Where that is found over, the next one is claimed: they are so far apart that only one of them
# can be proved wrongly of a start, that is a few per cent over its capacity.
_CLAIMED_SHARES = (0.95, 0.8, 0.6)
# What is claimed then is so much less that it is not looked at for longer than this many times as
# long as a proof takes at least.
_LOOKS_AT_LESS = 2.0
# What the seeds of a round of finals are beyond those of the round before,
_FINAL_SEEDS = 1000
# and that of the proof beyond those of the search.
_PROOF_SEED = 900_000


@dataclass(frozen=True, kw_only=True)
class StudyPlan:
    """What a study is to do; `first` are configurations to try right after the baseline.

    Trials of the search that failed for one of the reasons in `retry` are run again.
    """

    space: SearchSpace
    budget: SearchBudget
    seed: int = 0
    first: Sequence[Configuration] = ()
    retry: Collection[Reason] = ()

    @property
    def fits(self) -> bool:
        """Whether all configurations can be tried."""
        return self.space.size is not None and self.space.size <= self.budget.trials

    def trial(
        self, study: StudyRecord, configuration: Configuration, purpose: Purpose, *, number: int
    ) -> TrialPlan:
        """One of the search, or the baseline."""
        reference, share = _reference(study)
        return TrialPlan(
            number=number,
            purpose=purpose,
            configuration=configuration,
            seed=self.seed,
            reference=reference,
            reference_share=share,
            stretch=BASELINE_STRETCH if purpose is Purpose.BASELINE else 1.0,
        )

    def final(
        self,
        study: StudyRecord,
        configuration: Configuration,
        finals: FinalsPlan,
        *,
        number: int,
        final_round: int,
    ) -> TrialPlan:
        """One finalist in that round: a fresh start of which nothing is pruned."""
        return TrialPlan(
            number=number,
            purpose=Purpose.FINAL,
            configuration=configuration,
            # New arrivals: a winner must not owe its place to those of the search.
            seed=self.seed + _FINAL_SEEDS * (1 + final_round),
            fresh=True,
            expected=expected(study, configuration),
            stretch=finals.stretch_of(baseline=configuration == self.space.defaults),
            round=final_round,
        )

    def proof(self, study: StudyRecord, *, number: int, left_s: float) -> TrialPlan | None:
        """A fresh start of the recommended configuration under the load that is claimed for it.

        A smaller one where that was found over the budget. None where there is nothing to prove,
        or `left_s` is too short for it.
        """
        winner = standings(study).winner
        if winner is None or not winner.confirmations:
            return None
        if study.arrivals is Loop.CLOSED:  # what it claims holds for users who wait
            return None
        claim, known = _next_claim(study, winner), expected(study, winner.configuration)
        if not claim:
            return None
        load_s = left_s - until_proof_s(study.trials, study.budget)
        rate = claim / inferences_per_request(study)
        is_less = bool(proofs_of(study, winner.configuration))
        look_s = first_look_s(study.budget, rate, known.answer_s if known else 0.0)
        if load_s < look_s:
            return None
        plan = self.trial(study, winner.configuration, Purpose.PROOF, number=number)
        return replace(
            plan,
            seed=plan.seed + _PROOF_SEED,
            fresh=True,
            expected=known,
            claim=claim,
            longest_s=min(load_s, _LOOKS_AT_LESS * look_s) if is_less else load_s,
            reference=0.0,
            reference_share=0.0,
        )


def _next_claim(study: StudyRecord, winner: Standing) -> float:
    """The load that is to be proved next, in inferences per second; 0 for none.

    Less is claimed where a load was found over the budget, and none was proved to be within it. A
    proof that failed, whatever the reason, is the last one.
    """
    proofs = proofs_of(study, winner.configuration)
    found = proved(study, winner.configuration)
    failed = any(trial.state is TrialState.FAILED for trial in proofs)
    if proofs and (failed or found.within or not found.contradicts):
        return 0.0
    claims = (share * winner.throughput for share in _CLAIMED_SHARES[len(proofs) :])
    return next((claim for claim in claims if claim < found.over), 0.0)


def _reference(study: StudyRecord) -> tuple[float, float]:
    """Where the latency is measured, if it is an objective: a share of the baseline's load.

    A throughput or, as long as nobody knows that load, a share of a trial's own.
    """
    if Objective.LATENCY not in study.objectives:
        return 0.0, 0.0
    feasible = [t.throughput for t in study.searched if t.state is TrialState.FEASIBLE]
    return (REFERENCE_SHARE * feasible[0], 0.0) if feasible else (0.0, REFERENCE_SHARE)
