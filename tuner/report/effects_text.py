"""Which parameters mattered, in rows and sentences that all reports share."""

import csv
import io
import math
from collections.abc import Sequence
from typing import Any

from tuner.analysis.effect_columns import ABOVE_ZERO, DOUBLED
from tuner.analysis.effects import Effect, Effects, Judgement, effects
from tuner.analysis.standings import Ratio, Standings
from tuner.errors import InputError
from tuner.records import StudyRecord
from tuner.report import findings, formats, nearest_text

_DECIDED = (Judgement.HELPED, Judgement.HURT)
LEGEND = (
    "Intervals are of one effect alone; verdicts are corrected for the number of effects. Pairs "
    "of measured configurations differ in nothing else, and show what is in brackets."
)
# An interval whose ends are further apart than this factor is no number for a person.
_VAGUE = 100.0
# Effects that are named in a title.
_MOST_NAMED = 3


def of(study: StudyRecord, standings: Standings) -> Effects:
    """The effects of a study, and what those of its winner multiply to."""
    winner = standings.winner
    return effects(study, winner.configuration if winner else None)


def check(study: StudyRecord, found: Effects) -> None:
    """Raise InputError if nothing at all can be said of any effect."""
    if any(each.ratio for each in found.effects):
        return
    if not found.effects:
        message = f"in study `{study.name}` no parameter has two values to compare"
    elif found.measured >= found.needed:
        message = f"study `{study.name}` varied its parameters only together with each other"
    else:
        message = (
            f"study `{study.name}` measured the capacity of "
            f"{formats.counted(found.measured, 'configuration')}, but to tell the "
            f"{formats.counted(len(found.effects), 'effect')} apart takes at least {found.needed}"
        )
    raise InputError(
        message,
        hint=f"run its `tuner optimize` again with `--study {study.name}` and more `--trials`",
    )


def title(found: Effects) -> str:
    """The largest decided effects in one sentence."""
    decided = _decided(found)
    if not decided:
        return "No parameter is proved to have mattered"
    named = [f"{name(each)} {formats.times(_ratio(each))}" for each in decided[:_MOST_NAMED]]
    more = len(decided) - len(named)
    others = f", and {formats.counted(more, 'other')}" if more else ""
    return f"What mattered for the capacity: {', '.join(named)}{others}"


def remarks_on_decided(
    study: StudyRecord, standings: Standings, found: Effects
) -> tuple[str, ...]:
    """What must be said beside the decided effects alone."""
    together = _about_together(standings, found) if _decided(found) else ""
    said = (together, _about_others(study, found))
    return tuple(filter(None, said))


def remarks(standings: Standings, found: Effects) -> tuple[str, ...]:
    """What must be known to read the whole table."""
    said = (_about_together(standings, found), counts(found), LEGEND)
    return tuple(filter(None, said))


def counts(found: Effects) -> str:
    """What the effects rest on."""
    rest = [
        f"{number} {words}"
        for number, words in (
            (found.bounded, "stopped because beaten count as below their bound"),
            (found.without, "without a capacity do not count"),
        )
        if number
    ]
    measured = f"From {formats.counted(found.measured, 'configuration')} with a measured capacity"
    return f"{'; '.join((measured, *rest))}."


def name(effect: Effect) -> str:
    """`threads=4`, or `max_batch_size (each doubling)`."""
    if effect.value in (DOUBLED, ABOVE_ZERO):
        return f"{effect.parameter} ({effect.value})"
    return f"{effect.parameter}={formats.value(effect.value)}"


def decided_rows(found: Effects) -> list[dict[str, str]]:
    """A row for each decided effect, the largest first."""
    return [
        {
            "parameter": each.parameter,
            "value": formats.value(each.value),
            "instead of": reference(each),
            "ratio (95 % interval)": gain(each),
            "pairs": str(each.pairs),
        }
        for each in _decided(found)
    ]


def parameter(effect: Effect) -> str:
    """The parameter, and what its values are compared with."""
    if effect.value == DOUBLED:
        return effect.parameter
    return f"{effect.parameter}, instead of {formats.value(effect.reference)}"


def cells(effect: Effect) -> tuple[str, ...]:
    """What the row of an effect holds: value, ratio, verdict, pairs and how often it was tried."""
    return (
        formats.value(effect.value),
        gain(effect),
        effect.judgement.value,
        pairs(effect),
        tried(effect),
    )


def reference(effect: Effect) -> str:
    """What the value is compared with; a dash for a line over many values."""
    return formats.NOTHING if effect.value == DOUBLED else formats.value(effect.reference)


def gain(effect: Effect) -> str:
    """The ratio with its interval, as far as that says anything."""
    return _told(effect.ratio) if effect.ratio else formats.NOTHING


def pairs(effect: Effect) -> str:
    """How many, and what they alone show."""
    if not effect.pairs:
        return "0"
    return f"{effect.pairs} ({formats.times(effect.direct)})"


def tried(effect: Effect) -> str:
    """The configurations with the value that were measured, of all that were tried."""
    return f"{effect.measured}/{effect.measured + effect.bounded + effect.without}"


def study_effects_document(
    study: StudyRecord, standings: Standings, found: Effects
) -> dict[str, Any]:
    """The effects of a study and, where nothing is within its budget, what comes closest."""
    nearest = nearest_text.nearest_document(findings.nearest(study, standings))
    return {"study": study.name, "nearest": nearest, **effects_document(found, standings)}


def effects_document(found: Effects, standings: Standings) -> dict[str, Any]:
    """All of it as plain data; ratios are of capacities."""
    ratio, gained = found.multiplied, standings.gain
    return {
        "measured": found.measured,
        "stopped_because_beaten": found.bounded,
        "without_capacity": found.without,
        "unexplained_log_spread": found.spread,
        "best_together": gained.estimate if gained else None,
        "best_multiplied": [ratio.low, ratio.estimate, ratio.high] if ratio else None,
        "effects": [_entry(each) for each in found.effects],
    }


def as_csv(found: Effects) -> str:
    """One line for each effect."""
    rows = [_entry(each) for each in found.effects]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _entry(effect: Effect) -> dict[str, Any]:
    ratio = effect.ratio
    return {
        "parameter": effect.parameter,
        "value": effect.value,
        "reference": effect.reference,
        "verdict": effect.judgement.value,
        "ratio": ratio.estimate if ratio else None,
        "low": ratio.low if ratio else None,
        "high": ratio.high if ratio else None,
        "p_value": ratio.p_value if ratio else None,
        "pairs": effect.pairs,
        "ratio_of_pairs": effect.direct if effect.pairs else None,
        "measured": effect.measured,
        "stopped_because_beaten": effect.bounded,
        "without_capacity": effect.without,
        "why_not_known": effect.why,
    }


def _told(ratio: Ratio) -> str:
    vague = ratio.high > _VAGUE * ratio.low
    return f"{formats.times(ratio.estimate)} (too vague)" if vague else formats.gain(ratio)


def _decided(found: Effects) -> list[Effect]:
    return sorted(found.of(*_DECIDED), key=lambda each: -abs(math.log(_ratio(each))))


def _ratio(effect: Effect) -> float:
    return effect.ratio.estimate if effect.ratio else math.nan


def _about_together(standings: Standings, found: Effects) -> str:
    winner, baseline, ratio = standings.winner, standings.baseline, found.multiplied
    if winner is None or baseline is None or standings.gain is None or ratio is None:
        return ""
    if winner.configuration == baseline.configuration:
        return ""
    return (
        f"Together, what the best configuration changes gives "
        f"{formats.times(standings.gain.estimate)}; multiplied, the single effects would be "
        f"{_told(ratio)}."
    )


def _about_others(study: StudyRecord, found: Effects) -> str:
    """The parameters without a decided effect, by what is known of them."""
    if not any(each.ratio for each in found.effects):
        return "Too few different configurations were measured to tell the parameters apart."
    decided = {each.parameter for each in found.of(*_DECIDED)}
    undecided = _parameters(found.of(Judgement.UNDECIDED), decided)
    unknown = _parameters(found.of(Judgement.UNKNOWN), decided | set(undecided))
    said = [
        f"{judgement.value}: {', '.join(names)}"
        for judgement, names in (
            (Judgement.UNDECIDED, undecided),
            (Judgement.UNKNOWN, unknown),
        )
        if names
    ]
    listed = "; ".join(said)
    more = f"`tuner effects {study.name}` shows all."
    return f"{listed[0].upper()}{listed[1:]}. {more}" if listed else more


def _parameters(found: Sequence[Effect], without: set[str]) -> list[str]:
    return [p for p in dict.fromkeys(each.parameter for each in found) if p not in without]
