"""Whether a study could begin with an earlier one of its model."""

from tuner.errors import TunerError
from tuner.search import warm_start
from tuner.store.storage import Storage
from tuner.study.job import PreparedJob


def earlier_study(prepared: PreparedJob) -> str:
    """A sentence that offers to begin with an earlier study of this model; empty without one."""
    if prepared.job.warm_start:
        return ""
    try:
        with Storage(prepared.job.database) as storage:
            studies = storage.studies()
    except TunerError:  # no database yet; what else is wrong with it, the study will say
        return ""
    if any(study.name == prepared.study.name for study in studies):
        return ""
    return warm_start.offer(prepared.study, studies)
