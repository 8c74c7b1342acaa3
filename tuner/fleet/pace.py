"""What a plan asks of a host: plans are as for the first one, and hosts are not equally fast."""

import math
from dataclasses import dataclass, replace

from tuner.capacity.probes import Beat
from tuner.study.trial import TrialPlan


@dataclass(frozen=True)
class Pace:
    """How fast a host is now, over the first one, and the standard error of the logarithm."""

    factor: float
    log_error: float

    def beat(self, beat: Beat) -> Beat:
        """What is to be beaten there: what the best would surely carry depends on the pace."""
        return Beat(self.factor * beat.throughput, math.hypot(beat.log_error, self.log_error))

    def plan(self, plan: TrialPlan) -> TrialPlan:
        """With all its throughputs as they are there."""
        known = plan.expected
        there = known and replace(
            known,
            throughput=self.factor * known.throughput,
            saturation=self.factor * known.saturation,
        )
        return replace(
            plan,
            beat=self.beat(plan.beat),
            reference=self.factor * plan.reference,
            claim=self.factor * plan.claim,
            expected=there,
        )
