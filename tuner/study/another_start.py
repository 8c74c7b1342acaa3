"""What of the baseline's answers differs from one start of the server to the next."""

from tuner.errors import ServerError, TrialFailure
from tuner.records import Golden
from tuner.space.space import Configuration
from tuner.study.outputs import counted, golden_of
from tuner.study.trial import Bench


def ask_another_start(bench: Bench, baseline: Configuration) -> Golden | None:
    """The golden outputs once the baseline was asked on a start of its own.

    What differs from start to start (names of hosts, numbers of processes) is known then. None
    where there are none, or the server does not answer.
    """
    if bench.golden is None:
        return None
    try:
        bench.deployment.apply(baseline, fresh=True)
        [answer] = bench.target.infer(bench.deployment.server)
    except (TrialFailure, ServerError):
        return None
    return bench.golden.beside(
        golden_of(
            [bench.golden.outputs, counted(answer, bench.compare)], tolerance=bench.tolerance
        )
    )
