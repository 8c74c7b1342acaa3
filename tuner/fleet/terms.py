"""What all parts of a study on a fleet go by."""

from collections.abc import Callable
from dataclasses import dataclass

from tuner.search.search import CanReload
from tuner.space.space import Configuration
from tuner.study.clock import Clock
from tuner.study.deadline import Deadline
from tuner.study.study_plan import StudyPlan


@dataclass(frozen=True)
class Terms:
    """The plan of the study, when it is to be over, and by which clock.

    `can_reload` says which configurations a server takes without a restart; `say` is told in a
    sentence what a person should know before the end. Outputs may be `tolerance` from the
    baseline's (`outputs.check_outputs`). `export` is what deploys a configuration: that of a host
    would name the files that it has while the study runs.
    """

    plan: StudyPlan
    deadline: Deadline
    clock: Clock
    can_reload: CanReload
    say: Callable[[str], None]
    tolerance: float | None = None
    export: Callable[[Configuration], str] = str
