"""What a study found, in sentences that the terminal and the HTML report share."""

import math
from collections import Counter
from collections.abc import Sequence

from tuner.analysis.nearest import Nearest, nearest_unloaded
from tuner.analysis.rate_unit import RateUnit
from tuner.analysis.standings import (
    MOST_GIVEN_UP,
    Advantage,
    Cost,
    Ratio,
    Standing,
    Standings,
)
from tuner.errors import NothingFeasibleError
from tuner.records import (
    Applied,
    Grade,
    Purpose,
    StudyRecord,
    TrialRecord,
    TrialState,
)
from tuner.report import figures, formats, nearest_text, rates, token_text
from tuner.study.outputs import not_compared

BEST = "best configuration"
_WORDS_FOR_STATES = {
    TrialState.FEASIBLE: "within the latency budget",
    TrialState.INFEASIBLE: "over it at any load",
    TrialState.PRUNED: "stopped because beaten",
    TrialState.FAILED: "failed",
}


def headline(study: StudyRecord, standings: Standings) -> str:
    """The result in one sentence, which says `proved` where the finals prove it."""
    winner, is_fastest = standings.winner, standings.winner is standings.fastest
    if winner is None:
        return _nothing_found(study)
    per_s = rates.of_study(winner.throughput, study)
    carries = f"{per_s} within {study.budget}"
    if keeps_defaults(standings):
        beats = "beats" if is_fastest else "is proved to beat"
        return f"Keep the server's defaults: nothing that was tried {beats} their {carries}"
    which = "best" if is_fastest else "recommended"
    return f"The {which} configuration carries {carries}{_over_defaults(winner, standings.gain)}"


def nothing_feasible(study: StudyRecord) -> NothingFeasibleError:
    """What to say when no configuration meets the budget: the nearest one."""
    closest = nearest_unloaded(study)
    if closest is None:
        return nothing_measured(study)
    easier = study.budget.at(2 * max(closest.latency_s, study.budget.limit_s))
    return NothingFeasibleError(
        f"no configuration meets {study.budget}; the nearest has {nearest_text.found(closest)}: "
        f"{closest.trial.configuration}",
        hint=f"try `{token_text.options(easier)}`, or a faster model",
    )


def nearest(study: StudyRecord, standings: Standings) -> Nearest | None:
    """What comes closest to the study's latency budget; None where something meets it."""
    return None if standings.winner else nearest_unloaded(study)


def missed(nearest: Nearest) -> str:
    """That nothing meets the budget, and what comes closest."""
    return f"no configuration meets {nearest.budget}. {about_nearest(nearest)}"


def about_nearest(nearest: Nearest) -> str:
    """The nearest by its number, in a sentence."""
    return f"The nearest is trial {nearest.trial.number}: {nearest_text.found(nearest)}."


def nothing_measured(study: StudyRecord) -> NothingFeasibleError:
    """What to say where every trial failed, or none was finished."""
    if not study.trials:
        return NothingFeasibleError(
            f"no trial of study `{study.name}` was finished",
            hint=f"`tuner resume {study.name}` goes on with it",
        )
    return NothingFeasibleError(
        f"no configuration of study `{study.name}` could be measured",
        hint=f"`tuner report {study.name}` shows how each trial failed",
    )


def keeps_defaults(standings: Standings) -> bool:
    """Whether the baseline itself is what is recommended."""
    winner, baseline = standings.winner, standings.baseline
    return bool(winner and baseline and winner.configuration == baseline.configuration)


def sides(standings: Standings) -> dict[str, Standing]:
    """What stands side by side, by title: the defaults and, if it is another, the winner."""
    found = {}
    if standings.baseline is not None:
        found[formats.DEFAULTS] = standings.baseline
    if standings.winner is not None and not keeps_defaults(standings):
        found[BEST] = standings.winner
    return found


def compared(study: StudyRecord, standings: Standings) -> dict[str, Standing]:
    """By title: the winner, the server's defaults, and the best of the others."""
    own = sides(standings)
    found = {title: own[title] for title in (BEST, formats.DEFAULTS) if title in own}
    shown = [each.configuration for each in own.values()]
    others = (each for each in standings.ranked if each.configuration not in shown)
    second = next(others, None)
    if second is not None:
        found[f"runner-up ({name_of(study, second)})"] = second
    return found


def carried(standing: Standing) -> str:
    """Its throughput with half the 95 % interval."""
    return formats.with_margin(standing.throughput, figures.margin(standing))


def remarks(study: StudyRecord, standings: Standings) -> tuple[str, ...]:
    """What must be known besides the headline, a sentence each."""
    return tuple(filter(None, (confidence(study, standings), *caveats(study, standings))))


def caveats(study: StudyRecord, standings: Standings) -> tuple[str, ...]:
    """What must be known besides the headline and its confidence, a sentence each."""
    found = (
        *about_comparison(study),
        _about_defaults(study, standings),
        _about_ties(study, standings),
        _about_nearest(study, standings),
        *token_text.about_requests(study, standings.winner),
    )
    return tuple(filter(None, found))


def confidence(study: StudyRecord, standings: Standings) -> str:
    """How sure the headline is: what is proved, or what is not and why; empty without a winner."""
    winner, gain = standings.winner, standings.gain
    if winner is None:
        return ""
    if not winner.confirmations:
        return (
            "Not proved: this is from the search alone. The best of many measurements was partly "
            "lucky, and no fresh start has confirmed it yet."
        )
    if keeps_defaults(standings) or gain is None:
        return f"With 95 % confidence the capacity is {_between(study, winner)}."
    return _about_gain(gain, winner)


def _about_gain(gain: Ratio, winner: Standing) -> str:
    """What is proved of the winner's gain over the defaults."""
    starts = formats.counted(winner.confirmations, start(winner.trial))
    between = f"between {formats.times(gain.low)} and {formats.times(gain.high)}"
    if gain.proved:
        return f"Proved with 95 % confidence on {starts}: the gain is {between}."
    if gain.decided:
        return (
            f"Not proved yet: the gain is {between} with 95 % confidence, but a proof takes three "
            f"rounds of {start(winner.trial)}s that have both it and the server's defaults."
        )
    return f"Not proved: the gain may be chance; its 95 % interval is {between}."


def about_comparison(study: StudyRecord) -> tuple[str, ...]:
    """What of the outputs was not compared with the baseline's, and why."""
    found = []
    compare = study.request.get("compare")
    if compare:
        places = formats.listed([f"`{place}`" for place in compare])
        found.append(f"Of the outputs, only {places} counted, as the space file says (`compare`).")
    elif compare is not None:
        found.append("Outputs were not compared, as the space file says (`compare: none`).")
    if study.comparison.left_out:
        found.append(not_compared(study.comparison))
    return tuple(found)


def grounds(standing: Standing) -> str:
    """What the throughput of `standing` rests on."""
    count = standing.confirmations
    if count == 0:
        return "from the search alone"
    return f"measured again on {formats.counted(count, start(standing.trial))}"


def start(trial: TrialRecord) -> str:
    """What a final is called; a remote server is not started, but reloads the model."""
    return "reload" if trial.applied == Applied.RELOAD.value else "fresh start"


def ended(trial: TrialRecord) -> str:
    """`feasible`, or `failed: out of memory`, or the verdict of a proof."""
    if trial.proof:
        return trial.proof
    reason = f": {trial.reason.value.replace('_', ' ')}" if trial.reason else ""
    return f"{trial.state.value}{reason}"


def capacity(trial: TrialRecord) -> str:
    """The throughput of a trial; of a pruned one only the bound is known."""
    if trial.state is TrialState.PRUNED:
        return f"< {formats.rate(trial.throughput)}"
    return formats.rate(trial.throughput if trial.state is TrialState.FEASIBLE else 0.0)


def name_of(study: StudyRecord, standing: Standing) -> str:
    """What `standing` is called where several configurations stand side by side."""
    number = next(t.number for t in study.trials if t.configuration == standing.configuration)
    return _name(study, standing, number)


def _name(study: StudyRecord, standing: Standing, number: int) -> str:
    """`number` is that of the first trial of its configuration."""
    baseline = study.baseline
    is_baseline = baseline is not None and standing.configuration == baseline.configuration
    return f"the {formats.DEFAULTS}" if is_baseline else f"trial {number}"


def about_export(standings: Standings) -> str:
    if keeps_defaults(standings):
        return "The server's defaults, written out"
    return "This deploys the best configuration"


def about_curves(study: StudyRecord, standings: Standings) -> str:
    """How far the winner and the defaults go before the budget stops them."""
    winner, baseline = standings.winner, standings.baseline
    if winner is None:
        return f"No configuration stays within {study.budget}"
    unit = RateUnit.of(study)
    own = f"stays within {study.budget} up to {formats.rate(winner.throughput)} {unit}"
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
    if not counts:
        return "No trial was run yet"
    return f"{formats.counted(len(study.trials), 'trial')}: {', '.join(counts)}"


def about_failures(study: StudyRecord) -> str:
    """How many trials failed, and for what most often."""
    failed = [trial.reason for trial in study.trials if trial.state is TrialState.FAILED]
    reasons = Counter(reason.value.replace("_", " ") for reason in failed if reason)
    named = [f"{number} {reason}" for reason, number in reasons.most_common()]
    why = f": {formats.listed(named)}" if named else ""
    return f"{len(failed):,} of {formats.counted(len(study.trials), 'trial')} failed{why}"


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
        return _about_slow_defaults(study, baseline)
    if standings.baseline.throughput == 0:
        return f"The server's defaults did not meet {study.budget} when measured again."
    return ""


def _about_slow_defaults(study: StudyRecord, baseline: TrialRecord) -> str:
    budget, unloaded_s = study.budget, baseline.unloaded_s
    nothing = f"The server's defaults do not meet {budget} at any load"
    if budget.answers:
        far = formats.times(unloaded_s / budget.limit_s)
        return f"{nothing}; with one request at a time they are at {far} the limit."
    over = nearest_text.excess(unloaded_s, budget.limit_s)
    return (
        f"{nothing}; their latency with one request at a time is "
        f"{formats.latency(unloaded_s)}{over}."
    )


def _over_defaults(winner: Standing, gain: Ratio | None) -> str:
    if gain is None:
        return ""
    if not gain.decided:
        return ", no proven gain over the server's defaults"
    proof = f", proved on {start(winner.trial)}s" if gain.proved else ""
    return f": {formats.times(gain.estimate)} what the server's defaults carry{proof}"


def _about_ties(study: StudyRecord, standings: Standings) -> str:
    """Who is tied with the recommended configuration, and why it is that one."""
    winner, fastest = standings.winner, standings.fastest
    if winner is None or fastest is None or not standings.tied:
        return ""
    # Of a search that was cut short, hundreds may be tied.
    numbers = {trial.configuration: trial.number for trial in reversed(study.trials)}
    own, *names = (
        _name(study, each, numbers[each.configuration]) for each in (winner, *standings.tied)
    )
    whom, why = "the best", _why(study, own, names, standings)
    if winner is not fastest:
        whom = own
        more = formats.per_cent(fastest.throughput / winner.throughput - 1)
        names[0] += f" (it measured {more} more)"
    return f"Tied with {whom} within the uncertainty: {formats.listed(names)}{why}."


def _why(study: StudyRecord, name: str, tied: Sequence[str], standings: Standings) -> str:
    """Why the recommended one, called `name`, is that one of several that are tied."""
    if keeps_defaults(standings):
        return ": without a proven gain, there is no reason to change the defaults"
    if f"the {formats.DEFAULTS}" in tied:
        return ": that it carries more than they do is not proved; a longer `--timeout` may do it"
    if standings.advantage:
        return f"; {name} is recommended because {_cheaper(study, standings.advantage)}"
    confirmed = standings.winner and standings.winner.confirmations
    within = f"{100 * MOST_GIVEN_UP:g} %"
    return f"; none within {within} of it is cheaper or simpler" if confirmed else ""


def _cheaper(study: StudyRecord, advantage: Advantage) -> str:
    own, fastest = advantage.own, advantage.fastest
    match advantage.cost:
        case Cost.MEMORY:
            most, instead = (formats.fact("memory_bytes", int(m)) for m in (own, fastest))
            return f"it takes less memory: {most} instead of {instead}"
        case Cost.CPU:
            spent, instead = formats.latency(own), formats.latency(fastest)
            of_one = f"{spent} for each {RateUnit.of(study).noun} instead of {instead}"
            return f"it takes less processor time: {of_one}"
        case Cost.INSTANCES | Cost.CHANGES:
            what = "instance" if advantage.cost is Cost.INSTANCES else "changed parameter"
            return f"it is simpler: {formats.counted(own, what)} instead of {fastest:g}"


def _between(study: StudyRecord, winner: Standing) -> str:
    low, high = formats.rate(winner.low), formats.rate(winner.high)
    return f"between {low} and {high} {RateUnit.of(study)}"


def _about_nearest(study: StudyRecord, standings: Standings) -> str:
    closest = nearest(study, standings)
    if closest is None or closest.trial.purpose is Purpose.BASELINE:
        return ""
    return about_nearest(closest)
