"""Options that several commands share, and how their values are read.

Like the other modules of commands, this one imports what is slow to import (Optuna, pandas,
SQLAlchemy, ...) inside the functions that need it, so that `tuner --help` answers at once.
"""

import os
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tuner.errors import InputError

if TYPE_CHECKING:
    from tuner.goals import LatencyBudget
    from tuner.load.requests import TensorSpec
    from tuner.targets.request_form import RequestForm

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
    typer.Option(
        "--space", help="A built-in search space, or a file that extends or replaces it."
    ),
]
ModelFile = Annotated[
    Path | None,
    typer.Argument(
        help="Model to tune on Triton: an ONNX file, or a TorchScript file with --input.",
        show_default="a model of --model-repository",
    ),
]
Inputs = Annotated[
    list[str] | None,
    typer.Option("--input", help="Input of a TorchScript file, in its order: x:FP32:-1,128."),
]
Variants = Annotated[
    list[str] | None,
    typer.Option("--variant", help="Another form of the model, to choose from; several times."),
]
Tolerance = Annotated[
    float | None,
    typer.Option(
        "--tolerance",
        help="How far outputs may be from the defaults', as a share of the largest value: 0.05.",
        show_default="each number within 1 % or 0.001",
    ),
]
Trials = Annotated[int, typer.Option("--trials", help="Trials of the search at most.")]
Timeout = Annotated[
    str | None,
    typer.Option(
        help="Time for everything, finals included: 90s, 3m, 2h.",
        show_default="2m, or as long as 10 trials",
    ),
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
Seed = Annotated[int, typer.Option("--seed", min=0, max=2**31 - 1, help="Seed of what is random.")]
EngineCpus = Annotated[str, typer.Option("--engine-cpus", help="CPUs for the load engine: 0,2-3.")]
DATABASE = "studies.db"

_UNITS_S = {"s": 1.0, "m": 60.0, "h": 3600.0}
_LONGEST_H = 1000


def latency_budget(limit_ms: float, percentile: float) -> "LatencyBudget":
    """The budget in seconds.

    Raises:
        InputError: The limit or the percentile is out of range.
    """
    from tuner.goals import LatencyBudget

    if not 0 < limit_ms < 3_600_000:
        raise InputError(
            f"`--budget-ms` must be above 0 and below 3600000, but got {limit_ms:g}",
            hint="for example: `--budget-ms 50`",
        )
    return LatencyBudget(checked_percentile(percentile), limit_ms / 1e3)


def checked_percentile(percentile: float) -> float:
    """`percentile`, if load points have enough requests to say anything of it.

    Raises:
        InputError: They have not.
    """
    if not 1 <= percentile <= 99.99:
        raise InputError(
            f"`--percentile` must be from 1 to 99.99, but got {percentile:g}",
            hint="for example: `--percentile 99`",
        )
    return percentile


def duration_s(text: str, option: str) -> float:
    """Seconds of a duration such as `90`, `90s`, `3m` or `1.5h`."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh]?)", text.strip())
    seconds = float(match[1]) * _UNITS_S[match[2] or "s"] if match else 0.0
    if not 0 < seconds <= _LONGEST_H * 3600:
        raise InputError(
            f"`{option}` must be a duration above 0 and up to {_LONGEST_H}h, but got `{text}`",
            hint="for example: 90s, 3m, 2h",
        )
    return seconds


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


def request_form(batch: int, input_data: str, shape: list[str] | None) -> "RequestForm":
    from tuner.targets.request_form import RequestForm

    if batch < 1:
        raise InputError(f"`--batch` must be at least 1, but got {batch}")
    if input_data not in ("random", "zero"):
        raise InputError(f"`--input-data` must be `random` or `zero`, but got `{input_data}`")
    return RequestForm(batch=batch, zero=input_data == "zero", shapes=shapes(shape))


def shapes(texts: Sequence[str] | None) -> dict[str, tuple[int, ...]]:
    """The dimensions that `--shape` gives, by input.

    Raises:
        InputError: One of them is not NAME:D1,D2,...
    """
    return dict(_shape(text) for text in texts or ())


def cpus(text: str, option: str) -> frozenset[int]:
    """CPU numbers of a list such as `0,2-3`; empty for none given."""
    numbers: set[int] = set()
    for part in text.split(",") if text else ():
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", part.strip())
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, -1)
        if first > last:
            raise InputError(
                f"`{option}` must be a list of CPUs, but got `{text}`", hint="for example: 0,2-3"
            )
        there = os.cpu_count() or 1
        if last >= there:
            raise InputError(
                f"`{option}` names CPU {last}, but this machine has 0 to {there - 1}",
                hint="`lscpu --extended` lists them",
            )
        numbers.update(range(first, last + 1))
    return frozenset(numbers)


def timeout_s(timeout: str | None, until: str | None, budget: "LatencyBudget") -> float:
    """A clock time, a duration, or what is usual for such a latency budget."""
    from tuner.study.time_plan import default_timeout_s

    if until:
        return seconds_until(until)
    return duration_s(timeout, "--timeout") if timeout else default_timeout_s(budget)


def inputs(texts: Sequence[str] | None) -> "tuple[TensorSpec, ...]":
    """The inputs that `--input` names; -1 is a dimension that may vary.

    Raises:
        InputError: One has not the form NAME:DATATYPE:SHAPE, or is named twice.
    """
    found = tuple(_input(text) for text in texts or ())
    names = [each.name for each in found]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"`--input {name}:...` was given twice", hint="name each input once")
    return found


def _input(text: str) -> "TensorSpec":
    from tuner.load.requests import TensorSpec
    from tuner.protocols.tensors.datatypes import NUMPY_TYPES

    name, datatype, dimensions = ("", "", *text.rsplit(":", 2))[-3:]
    try:
        shape = tuple(int(each) for each in dimensions.split(","))
    except ValueError:
        shape = ()
    if (
        not name
        or datatype not in NUMPY_TYPES
        or not shape
        or not all(d == -1 or d > 0 for d in shape)
    ):
        raise InputError(
            f"`--input` must be NAME:DATATYPE:SHAPE, but got `{text}`",
            hint="for example: `--input x:FP32:-1,128`, where -1 is the batch; datatypes: "
            + ", ".join(NUMPY_TYPES),
        )
    return TensorSpec(name, datatype, shape)


def tolerance(share: float | None) -> float | None:
    """What `--tolerance` says.

    Raises:
        InputError: It is no share.
    """
    if share is not None and not 0 < share < 1:
        raise InputError(
            f"`--tolerance` must be more than 0 and less than 1, but got {share:g}",
            hint="for example: `--tolerance 0.05` for 5 % of an output's largest value",
        )
    return share


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
