"""Options that several commands share, and how their values are read."""

import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from tuner.capacity import LatencyBudget
from tuner.errors import InputError
from tuner.job import Job
from tuner.study import SearchBudget
from tuner.targets.triton import RequestForm

BudgetMs = Annotated[
    float,
    typer.Option("--budget-ms", help="Latency that your users accept, in milliseconds."),
]
Percentile = Annotated[
    float,
    typer.Option("--percentile", help="Percentile of the latency that must meet the budget."),
]
ModelRepository = Annotated[
    Path | None,
    typer.Option(
        "--model-repository", help="Folder of models; without it the bundled model is tuned."
    ),
]
Model = Annotated[str | None, typer.Option("--model", help="Model to tune, if there are several.")]
SpaceFile = Annotated[
    Path | None,
    typer.Option("--space", help="Search space file that extends or replaces the built-in one."),
]
Trials = Annotated[int, typer.Option("--trials", help="Trials of the search at most.")]
Timeout = Annotated[
    str, typer.Option("--timeout", help="Time for everything, finals included: 90s, 3m, 2h.")
]
Until = Annotated[
    str | None, typer.Option("--until", help="Clock time to be done by, such as 07:00.")
]
Batch = Annotated[int, typer.Option("-b", "--batch", help="Inferences in each request.")]
Shapes = Annotated[
    list[str] | None,
    typer.Option("--shape", help="Dimensions the model leaves open: NAME:3,224,224."),
]
InputData = Annotated[str, typer.Option("--input-data", help="What to send: random or zero.")]
Database = Annotated[
    str, typer.Option("--db", help="Database of studies: a path or an SQLAlchemy URL.")
]
StudyArgument = Annotated[
    str | None, typer.Argument(help="Name of the study; the newest one without it.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DATABASE = "studies.db"

_UNITS_S = {"s": 1.0, "m": 60.0, "h": 3600.0}


def latency_budget(limit_ms: float, percentile: float) -> LatencyBudget:
    """The budget in seconds.

    Raises:
        InputError: The limit or the percentile is out of range.
    """
    if not 0 < limit_ms < 3_600_000:
        raise InputError(
            f"`--budget-ms` must be above 0 and below 3600000, but got {limit_ms:g}",
            hint="for example: `--budget-ms 50`",
        )
    if not 1 <= percentile <= 99.99:
        raise InputError(
            f"`--percentile` must be from 1 to 99.99, but got {percentile:g}",
            hint="for example: `--percentile 99`",
        )
    return LatencyBudget(percentile, limit_ms / 1e3)


def duration_s(text: str, option: str) -> float:
    """Seconds of a duration such as `90`, `90s`, `3m` or `1.5h`."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh]?)", text.strip())
    if match is None or float(match[1]) == 0:
        raise InputError(
            f"`{option}` must be a duration above 0, but got `{text}`",
            hint="for example: 90s, 3m, 2h",
        )
    return float(match[1]) * _UNITS_S[match[2] or "s"]


def seconds_until(text: str) -> float:
    """Seconds from now to the next time the clock shows `text` (HH:MM)."""
    try:
        clock = datetime.strptime(text, "%H:%M")  # noqa: DTZ007 - a wall clock has no zone
    except ValueError:
        raise InputError(
            f"`--until` must be a clock time, but got `{text}`", hint="for example: 07:00"
        ) from None
    now = datetime.now().astimezone()
    moment = now.replace(hour=clock.hour, minute=clock.minute, second=0, microsecond=0)
    if moment <= now:
        moment += timedelta(days=1)
    return (moment - now).total_seconds()


def request_form(batch: int, input_data: str, shapes: list[str] | None) -> RequestForm:
    if batch < 1:
        raise InputError(f"`--batch` must be at least 1, but got {batch}")
    if input_data not in ("random", "zero"):
        raise InputError(f"`--input-data` must be `random` or `zero`, but got `{input_data}`")
    return RequestForm(
        batch=batch, zero=input_data == "zero", shapes=dict(_shape(s) for s in shapes or ())
    )


def cpus(text: str, option: str) -> frozenset[int]:
    """CPU numbers of a list such as `0,2-3`; empty for none given."""
    numbers: set[int] = set()
    for part in filter(None, text.split(",")):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", part.strip())
        if match is None:
            raise InputError(
                f"`{option}` must be a list of CPUs, but got `{text}`", hint="for example: 0,2-3"
            )
        numbers.update(range(int(match[1]), int(match[2] or match[1]) + 1))
    return frozenset(numbers)


def search_budget(
    trials: int, timeout: str, until: str | None, *, finalists: int, confirmations: int
) -> SearchBudget:
    timeout_s = seconds_until(until) if until else duration_s(timeout, "--timeout")
    return SearchBudget(
        trials=trials, timeout_s=timeout_s, finalists=finalists, confirmations=confirmations
    )


def planned_job(
    *,
    budget: LatencyBudget,
    model_repository: Path | None,
    model: str | None,
    space: Path | None,
    search: SearchBudget,
    form: RequestForm,
) -> Job:
    """What `plan` and `optimize` have in common."""
    return Job(
        budget=budget,
        repository=model_repository,
        model=model,
        space_file=space,
        search_budget=search,
        form=form,
    )


def _shape(text: str) -> tuple[str, tuple[int, ...]]:
    name, _, dimensions = text.rpartition(":")
    try:
        shape = tuple(int(each) for each in dimensions.split(","))
    except ValueError:
        shape = ()
    if not name or not shape or min(shape) < 1:
        raise InputError(
            f"`--shape` must be NAME:D1,D2,... with dimensions of at least 1, but got `{text}`",
            hint="for example: `--shape image:3,224,224`",
        )
    return name, shape
