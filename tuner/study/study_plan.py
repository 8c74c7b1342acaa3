"""What a study is to do, and its trials as they are planned (pure)."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from tuner.analysis.rate_unit import inferences_per_request
from tuner.analysis.standings import standings
from tuner.capacity.proof import first_look_s
from tuner.errors import Reason
from tuner.goals import Loop, Objective, SearchBudget
from tuner.records import Purpose, StudyRecord, TrialState
from tuner.space.space import Configuration, SearchSpace
from tuner.study.again import expected
from tuner.study.time_plan import BASELINE_STRETCH, FinalsPlan, until_proof_s
from tuner.study.trial import TrialPlan

# The load at which the latency is compared, as a share of what the baseline carries.
REFERENCE_SHARE = 0.8
# What is claimed of the capacity, to be proved; at the capacity itself half of all proofs fail.
CLAIMED_SHARE = 0.95
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

        None where there is nothing to prove, or `left_s` is too short for it.
        """
        winner = standings(study).winner
        if winner is None or not winner.confirmations or study.proof is not None:
            return None
        if study.arrivals is Loop.CLOSED:  # what it claims holds for users who wait
            return None
        claim, known = CLAIMED_SHARE * winner.throughput, expected(study, winner.configuration)
        load_s = left_s - until_proof_s(study.trials, study.budget)
        rate = claim / inferences_per_request(study)
        if load_s < first_look_s(study.budget, rate, known.answer_s if known else 0.0):
            return None
        plan = self.trial(study, winner.configuration, Purpose.PROOF, number=number)
        return replace(
            plan,
            seed=plan.seed + _PROOF_SEED,
            fresh=True,
            expected=known,
            claim=claim,
            longest_s=load_s,
            reference=0.0,
            reference_share=0.0,
        )


def _reference(study: StudyRecord) -> tuple[float, float]:
    """Where the latency is measured, if it is an objective: a share of the baseline's load.

    A throughput or, as long as nobody knows that load, a share of a trial's own.
    """
    if Objective.LATENCY not in study.objectives:
        return 0.0, 0.0
    feasible = [t.throughput for t in study.searched if t.state is TrialState.FEASIBLE]
    return (REFERENCE_SHARE * feasible[0], 0.0) if feasible else (0.0, REFERENCE_SHARE)
