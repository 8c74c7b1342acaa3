"""How a study searched, in sentences: what it saved, why it ended, what crashed, the proof."""

import math
from collections.abc import Sequence

from tuner.analysis.token_figures import makes_tokens
from tuner.errors import Reason
from tuner.records import StudyRecord, TrialRecord, TrialState
from tuner.report import figures, formats, host_speeds
from tuner.report.proof_text import about_proofs
from tuner.search import crash_regions
from tuner.space.expressions import Value
from tuner.targets import variants

# Less time than this is not worth a sentence.
_LEAST_SAVED_S = 1.0


def about_search(study: StudyRecord) -> tuple[str, ...]:
    """What must be known of the search, a sentence each."""
    earlier = formats.listed(study.warm_start) if study.warm_start else ""
    began = f"It began with the best configurations of {earlier}." if earlier else ""
    found = (
        *about_proofs(study),
        began,
        f"The search ended because {study.stopped}." if study.stopped else "",
        _about_racing(study),
        *_about_variants(study),
        *host_speeds.about_hosts(study),
        _about_low_loads(study),
    )
    return tuple(filter(None, found))


def saved_s(study: StudyRecord) -> float:
    """What was not spent on trials that were stopped because beaten, had they been like others."""
    whole = [figures.total_s(t) for t in study.searched if t.state is TrialState.FEASIBLE]
    pruned = [figures.total_s(t) for t in study.searched if t.state is TrialState.PRUNED]
    mean_s = sum(whole) / len(whole) if whole else 0.0
    return sum(max(0.0, mean_s - each) for each in pruned)


def _about_racing(study: StudyRecord) -> str:
    count = sum(trial.state is TrialState.PRUNED for trial in study.searched)
    spared_s = saved_s(study)
    if not count or spared_s < _LEAST_SAVED_S:
        return ""
    trials = formats.counted(count, "trial")
    return (
        f"{trials} of {len(study.searched)} stopped at the first proof that the best cannot be "
        f"beaten, which saved {formats.duration(spared_s)} or so."
    )


def _about_variants(study: StudyRecord) -> tuple[str, ...]:
    """How far the outputs of each form of the model are from those of the server's defaults."""
    own = study.baseline.configuration.get(variants.PARAMETER) if study.baseline else None
    trials: dict[Value, list[TrialRecord]] = {}
    for trial in study.trials:
        form = trial.configuration.get(variants.PARAMETER)
        if form is not None and form != own and not math.isnan(trial.difference):
            trials.setdefault(form, []).append(trial)
    return tuple(f"Variant {form}: {_difference(found, study)}." for form, found in trials.items())


def _difference(trials: Sequence[TrialRecord], study: StudyRecord) -> str:
    wrong = [trial for trial in trials if trial.reason is Reason.WRONG_OUTPUT]
    right = [trial for trial in trials if trial.reason is not Reason.WRONG_OUTPUT]
    most = max(trial.difference for trial in right or wrong)
    how_far = (
        f"differ from the default's by {formats.per_cent(most)} of their largest value"
        if math.isfinite(most)
        else "cannot be compared with the default's"
    )
    if not right:
        return f"refused, its outputs {how_far}"
    within = study.request.get("tolerance")
    allowed = f", within the tolerance of {formats.per_cent(within)}" if within else ""
    beyond = f"; in {len(wrong)} of {len(trials)} trials they were wrong" if wrong else ""
    return f"its outputs {how_far} at most{allowed}{beyond}"


def about_crashes(study: StudyRecord) -> tuple[str, ...]:
    """The regions of the search space in which nearly everything failed, a sentence each."""
    if study.space is None:
        return ()
    regions = crash_regions.regions(study.space, study.searched)
    return tuple(f"Nearly everything fails where {region}." for region in regions)


def _about_low_loads(study: StudyRecord) -> str:
    """With dynamic batching a small load can be slower than a larger one."""
    limit_s = study.budget.limit_s
    slow = [
        trial.number
        for trial in study.searched
        if trial.state is TrialState.FEASIBLE and trial.unloaded_s > limit_s
    ]
    if not slow:
        return ""
    trials = formats.listed([f"trial {number}" for number in slow])
    why = "" if makes_tokens(study.trials) else ": batches that do not fill wait for their delay"
    return f"At a few requests per second {trials} would be over {study.budget}{why}."
