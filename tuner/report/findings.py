"""What a study found, in sentences that the terminal and the HTML report share."""

import math

from tuner.finals import Standing, Standings, nearest
from tuner.pareto import load_points
from tuner.records import Purpose, StudyRecord, TrialRecord, TrialState
from tuner.report import figures, formats
from tuner.targets.base import Grade

_WORDS_FOR_STATES = {
    TrialState.FEASIBLE: "within the latency budget",
    TrialState.INFEASIBLE: "over it at any load",
    TrialState.PRUNED: "stopped because beaten",
    TrialState.FAILED: "failed",
}


def headline(study: StudyRecord, standings: Standings) -> str:
    """The result in one sentence."""
    winner, gain = standings.winner, standings.gain
    if winner is None:
        return _nothing_found(study)
    carries = f"{formats.rate(winner.throughput)} inferences/s within {study.budget}"
    if keeps_defaults(standings):
        return f"Keep the server's defaults: nothing that was tried beats their {carries}"
    if gain is None:
        return f"The best configuration carries {carries}"
    if gain.low <= 1.0:
        return (
            f"The best configuration carries {carries}, no proven gain over the server's defaults"
        )
    return (
        f"The best configuration carries {carries}: {formats.times(gain.estimate)} what the "
        "server's defaults carry"
    )


def keeps_defaults(standings: Standings) -> bool:
    """Whether the baseline itself won."""
    winner, baseline = standings.winner, standings.baseline
    return bool(winner and baseline and winner.configuration == baseline.configuration)


def remarks(study: StudyRecord, standings: Standings) -> tuple[str, ...]:
    """What must be known besides the headline, a sentence each."""
    found = (
        _about_defaults(study, standings),
        _about_ties(study, standings),
        _about_confirmation(standings),
        _about_nearest(study, standings),
    )
    return tuple(sentence for sentence in found if sentence)


def grounds(standing: Standing) -> str:
    """What the throughput of `standing` rests on."""
    count = standing.confirmations
    if count == 0:
        return "from the search alone"
    return f"measured again on {count} fresh start{'s' if count > 1 else ''}"


def ended(trial: TrialRecord) -> str:
    """`feasible`, or `failed: out of memory`."""
    reason = f": {trial.reason.value.replace('_', ' ')}" if trial.reason else ""
    return f"{trial.state.value}{reason}"


def capacity(trial: TrialRecord) -> str:
    """The throughput of a trial; of a pruned one only the bound is known."""
    if trial.state is TrialState.PRUNED:
        return f"< {formats.rate(trial.throughput)}"
    return formats.rate(trial.throughput if trial.state is TrialState.FEASIBLE else 0.0)


def name_of(study: StudyRecord, standing: Standing) -> str:
    """What `standing` is called where several configurations stand side by side."""
    baseline = study.baseline
    if baseline and standing.configuration == baseline.configuration:
        return f"the {formats.DEFAULTS}"
    number = next(t.number for t in study.trials if t.configuration == standing.configuration)
    return f"trial {number}"


def about_export(standings: Standings) -> str:
    if keeps_defaults(standings):
        return "The server's defaults, written out"
    return "This deploys the best configuration"


def about_front(study: StudyRecord) -> str:
    points = load_points(study)
    within = points[points["within"] & ~points["stopped_early"]]
    if within.empty:
        return f"No load point meets {study.budget}"
    most = formats.rate(float(within["throughput"].max()))
    return f"The highest throughput measured within {study.budget} is {most} inferences/s"


def about_curves(study: StudyRecord, standings: Standings) -> str:
    """How far the winner and the defaults go before the budget stops them."""
    winner, baseline = standings.winner, standings.baseline
    if winner is None:
        return f"No configuration stays within {study.budget}"
    own = f"stays within {study.budget} up to {formats.rate(winner.throughput)} inferences/s"
    if keeps_defaults(standings):
        return f"The server with its defaults {own}"
    if baseline is None or baseline.throughput == 0:
        return f"The best configuration {own}"
    return (
        f"The best configuration {own}, the server's defaults up to "
        f"{formats.rate(baseline.throughput)}"
    )


def about_trials(study: StudyRecord) -> str:
    counts = [f"{n} {_WORDS_FOR_STATES[state]}" for state, n in figures.states(study).items()]
    total = len(study.trials)
    if not counts:
        return "No trial was run yet"
    return f"{total} trial{'s' if total > 1 else ''}: {', '.join(counts)}"


def about_time(study: StudyRecord) -> str:
    if not study.trials:
        return "No time was spent yet"
    whole_s = sum(figures.total_s(trial) for trial in study.trials)
    share = formats.per_cent(figures.measuring_share(study))
    return f"Of {formats.duration(whole_s)}, {share} went into warming up and measuring"


def about_reloads(study: StudyRecord) -> str:
    """Empty if no trial reloaded the server."""
    spent_s = figures.median_reload_overhead_s(study)
    if math.isnan(spent_s):
        return ""
    return (
        f"A trial that reloads the model spends {formats.duration(spent_s)} (median) outside "
        "warm-up and measuring"
    )


def about_verification(winner: Standing | None) -> str:
    grades = [verdict.grade for verdict in winner.trial.verdicts.values()] if winner else []
    if not grades:
        return "Nothing was read back from the server"
    counts = [
        f"{grades.count(grade)} {words}"
        for grade, words in (
            (Grade.CONFIRMED, "confirmed by the server itself"),
            (Grade.ACCEPTED, "set without a way to prove the effect"),
            (Grade.REFUTED, "refuted"),
        )
        if grade in grades
    ]
    return f"Parameters of the best configuration: {', '.join(counts)}"


def _nothing_found(study: StudyRecord) -> str:
    if not study.trials:
        return "No trial was run yet"
    if all(trial.state is TrialState.FAILED for trial in study.trials):
        return "No configuration could be measured: every trial failed"
    return f"No configuration meets {study.budget}"


def _about_defaults(study: StudyRecord, standings: Standings) -> str:
    baseline = study.baseline
    if baseline is None or standings.baseline is None:
        return "The server's defaults were not measured." if study.trials else ""
    if baseline.state is TrialState.FAILED:
        return f"The server's defaults could not be measured ({ended(baseline)})."
    if baseline.state is TrialState.INFEASIBLE:
        return (
            f"The server's defaults do not meet {study.budget} at any load; their latency with "
            f"one request at a time is {formats.latency(baseline.unloaded_s)}."
        )
    if standings.baseline.throughput == 0:
        return f"The server's defaults did not meet {study.budget} when measured again."
    return ""


def _about_ties(study: StudyRecord, standings: Standings) -> str:
    if standings.winner is None or not standings.tied:
        return ""
    names = [name_of(study, standing) for standing in standings.tied]
    advice = ""
    if f"the {formats.DEFAULTS}" in names:
        advice = ": without a proven gain, keep the defaults"
    elif keeps_defaults(standings):
        advice = ": without a proven gain, there is no reason to change the defaults"
    listed = f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]
    return f"Tied with the best within the uncertainty: {listed}{advice}."


def _about_confirmation(standings: Standings) -> str:
    winner = standings.winner
    if winner is None or winner.confirmations:
        return ""
    return (
        "This is from the search alone: the best of many measurements was partly lucky, and no "
        "fresh start has confirmed it yet."
    )


def _about_nearest(study: StudyRecord, standings: Standings) -> str:
    closest = None if standings.winner else nearest(study)
    if closest is None or closest.purpose is Purpose.BASELINE:
        return ""
    return (
        f"The closest is trial {closest.number}: {formats.latency(closest.unloaded_s)} with one "
        "request at a time."
    )
