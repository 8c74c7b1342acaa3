"""What was measured of a study's objectives, as people read it."""

import math
from collections.abc import Sequence

from tuner.analysis.pareto import Row, hypervolume_over_baseline
from tuner.analysis.rate_unit import RateUnit
from tuner.records import StudyRecord
from tuner.report import formats
from tuner.report.amounts import amount


def front_rows(study: StudyRecord, front: Sequence[Row]) -> list[dict[str, str]]:
    """The rows of `objectives_front`, for a table."""
    unit = RateUnit.of(study)
    return [
        {"trial": str(row["trial"])}
        | {each.value: amount(each, row[each.value], unit) for each in study.objectives}
        | {"configuration": row["configuration"]}
        for row in front
    ]


def about_hypervolume(study: StudyRecord) -> str:
    """How much better than the server's defaults the front is as a whole, in a sentence."""
    volume = hypervolume_over_baseline(study)
    values = {
        each: study.baseline.value(each) if study.baseline else math.nan
        for each in study.objectives
    }
    if math.isnan(volume):
        lacking = [each.value for each, value in values.items() if not 0 < value < math.inf]
        reason = f"have no {' and no '.join(lacking)}" if lacking else "are not feasible"
        return f"No hypervolume: its reference point is the {formats.DEFAULTS}, which {reason}"
    unit = RateUnit.of(study)
    reference = ", ".join(f"{each.value} {amount(each, v, unit)}" for each, v in values.items())
    verdict = "" if volume else ": no trial is better in every objective"
    return (
        f"Hypervolume {volume:.3g} over the {formats.DEFAULTS} as the reference point "
        f"({reference}), each objective in units of theirs{verdict}"
    )
