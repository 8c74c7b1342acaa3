"""How the values of options are read, and what is said of those that cannot be used."""

import math
import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.refusals import each_refusal, refused
from tests.report.token_studies import token_study
from tuner.cli import job, values
from tuner.cli.optimize_options import PlanOptions
from tuner.goals import AnswerLimits, LatencyBudget
from tuner.load.requests import TensorSpec
from tuner.protocols.tensors.datatypes import NUMPY_TYPES
from tuner.protocols.v2 import V2Protocol
from tuner.report.budgets import (
    asked_budget,
    latency_budget,
    like_study,
    said_limits,
    stored_budget,
)
from tuner.targets.request_form import RequestForm


def form(**options: Any) -> RequestForm:
    return job.request_form(PlanOptions(budget_ms=50, **options))


# What reads an option, the values that it refuses, in which words ({} is the value), and its hint.
REFUSALS: list[tuple[Callable[[Any], object], Iterable[Any], str, str]] = [
    (  # a latency that nobody can mean
        lambda limit_ms: latency_budget(limit_ms, 99),
        (0.0, -1.0, 5e-324, 3_600_000.0, math.inf, math.nan),
        "`--budget-ms` must be above 0 and below 3600000, but got {:g}",
        "for example: `--budget-ms 50`",
    ),
    (
        lambda limit_ms: latency_budget(None, 99, ttft_ms=limit_ms),
        (0.0, math.nan),
        "`--budget-ttft-ms` must be above 0 and below 3600000, but got {:g}",
        "for example: `--budget-ttft-ms 50`",
    ),
    (
        lambda limit_ms: latency_budget(50, 99, itl_ms=limit_ms),
        (-1.0, math.inf),
        "`--budget-itl-ms` must be above 0 and below 3600000, but got {:g}",
        "for example: `--budget-itl-ms 50`",
    ),
    (  # a percentile that no load point can tell
        lambda percentile: latency_budget(50, percentile),
        (0.0, 0.99, 100.0, -5.0, math.inf, math.nan),
        "`--percentile` must be from 1 to 99.99, but got {:g}",
        "for example: `--percentile 99`",
    ),
    (  # no duration, or longer than a study can be
        lambda text: values.duration_s(text, "--start-timeout"),
        ("", "0", "0s", "-5s", "3d", "s", "1h30m", "nan", "inf", "1e3", "1001h", "9" * 400),
        "`--start-timeout` must be a duration above 0 and up to 1000h, but got `{}`",
        "for example: 90s, 3m, 2h",
    ),
    (  # what the clock never shows
        values.seconds_until,
        ("", "7", "24:00", "25:00", "07:60", "7 am", "07:00:00", "nan"),
        "`--until` must be a clock time, but got `{}`",
        "for example: 07:00",
    ),
    (  # a shape has a name and whole dimensions
        lambda text: form(shape=[text]),
        ("", "image", "image:", ":3", "image:3,x", "image:0", "image:3,-1", "3,224"),
        "`--shape` must be NAME:D1,D2,... with dimensions of at least 1, but got `{}`",
        "for example: `--shape image:3,224,224`",
    ),
    (  # no list of CPUs, an empty range among them
        lambda text: values.cpus(text, "--server-cpus"),
        ("x", "-1", "1-", "0,", ",", "3-1", "0-1-2", "1.5", "0;1"),
        "`--server-cpus` must be a list of CPUs, but got `{}`",
        "for example: 0,2-3",
    ),
    (  # the types that there are, are told
        lambda text: values.inputs([text]),
        (
            *("", "x", "x:FP32", "FP32:-1", ":FP32:-1", "x:fp32:-1", "x:float:-1", "x:BYTES:-1"),
            *("x:FP32:", "x:FP32:a", "x:FP32:0", "x:FP32:-2", "x:FP32:1,,2", "x:FP32:1.5"),
        ),
        "`--input` must be NAME:DATATYPE:SHAPE, but got `{}`",
        "for example: `--input x:FP32:-1,128`, where -1 is the batch; datatypes: "
        + ", ".join(NUMPY_TYPES),
    ),
    (  # nothing, everything and per cents are no shares
        values.tolerance,
        (0.0, -0.1, 1.0, 5.0, math.inf, math.nan),
        "`--tolerance` must be more than 0 and less than 1, but got {:g}",
        "for example: `--tolerance 0.05` for 5 % of an output's largest value",
    ),
]


@pytest.mark.parametrize(("read", "value", "message", "hint"), each_refusal(REFUSALS))
def test_values_that_cannot_be_used(
    read: Callable[[Any], object], value: object, message: str, hint: str
) -> None:
    """They are refused under the name of the option, with an example of one that can."""
    with refused(message, hint):
        read(value)


def test_a_latency_budget() -> None:
    """Milliseconds on the command line are seconds inside."""
    assert latency_budget(50.5, 99.9) == LatencyBudget(99.9, 0.0505)


def test_a_latency_budget_of_several_limits() -> None:
    """Any of them; the first one leads, and those of the stored options are the same."""
    limits = AnswerLimits(ttft_s=0.2, itl_s=0.03)
    budget = latency_budget(None, 99, ttft_ms=200, itl_ms=30)
    assert (budget, str(budget)) == (
        LatencyBudget(99, 0.2, limits),
        "p99 <= TTFT 200 ms, ITL 30 ms",
    )
    assert stored_budget({"budget_ttft_ms": 200.0, "budget_itl_ms": 30.0}) == budget
    assert said_limits(budget) == {
        "budget_ms": None,
        "budget_ttft_ms": 200.0,
        "budget_itl_ms": pytest.approx(30.0),
    }


def test_a_latency_budget_is_needed() -> None:
    """Of the options that say one, each is named."""
    with refused(
        "there is no latency budget: neither `--budget-ms` nor, of a language model, "
        "`--budget-ttft-ms` or `--budget-itl-ms`",
        "for example: `--budget-ms 50`",
    ):
        latency_budget(None, 99)


def test_another_limit_for_a_study_of_several() -> None:
    """All of them change in proportion, and the percentile by itself."""
    study = token_study()
    assert asked_budget(study, 100, None) == LatencyBudget.of_answers(
        99, AnswerLimits(ttft_s=0.1, itl_s=0.01)
    )
    assert asked_budget(study, None, 95) == replace(study.budget, percentile=95)
    assert like_study(study, LatencyBudget(95, 0.1)) == asked_budget(study, 100, 95)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90.0),
        ("90s", 90.0),
        ("3m", 180.0),
        ("1.5h", 5400.0),
        (" 2 h ", 7200.0),
        ("0.1s", 0.1),
        ("1000h", 3_600_000.0),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    """A number is seconds; s, m and h are units."""
    assert values.duration_s(text, "--timeout") == seconds


@pytest.mark.parametrize("minutes", [1, 90, 1438])
def test_until_is_the_next_time_the_clock_shows_it(minutes: int) -> None:
    """A clock time is today's or tomorrow's, whichever comes first."""
    before = datetime.now().astimezone()
    wanted = (before + timedelta(minutes=minutes)).replace(second=0, microsecond=0)

    seconds = values.seconds_until(f"{wanted:%H:%M}")
    after = datetime.now().astimezone()

    if wanted > after:
        assert (wanted - after).total_seconds() <= seconds <= (wanted - before).total_seconds()


def test_until_is_at_most_a_day_away() -> None:
    """The minute that has begun is tomorrow's."""
    now = datetime.now().astimezone()

    assert 0 < values.seconds_until(f"{now:%H:%M}") <= 86_400


def test_request_form() -> None:
    """Batch, data and shapes become one value; a name may contain colons."""
    found = form(batch=4, input_data=["zero"], shape=["image:3,224,224", "ns:text:1"])

    assert found == RequestForm(
        batch=4, zero=True, shapes={"image": (3, 224, 224), "ns:text": (1,)}
    )
    assert form() == form(input_data=["random"]) == RequestForm()


def test_request_form_of_files() -> None:
    """What is given takes the place of what is made up."""
    found = form(
        input_data=["a.json", "b"],
        header=["X-Key: a: b"],
        request_parameter=["top_k:5:int", "s:a:b:string"],
        protocol=V2Protocol.GRPC,
    )
    assert found == RequestForm(
        files=(Path("a.json"), Path("b")),
        headers={"X-Key": "a: b"},
        parameters={"top_k": 5, "s": "a:b"},
        protocol=V2Protocol.GRPC,
    )


def test_two_ends() -> None:
    """A study ends at a clock time, or after a duration."""
    with refused("`--timeout` and `--until` exclude each other", "leave one of them out"):
        job.timeout_s("2m", "07:00", LatencyBudget(99, 0.05))


def test_data_of_both_kinds() -> None:
    """Made-up data and files cannot be mixed."""
    with refused(
        "`--input-data zero` was given beside other input data",
        "give `random` or `zero` alone, or several files",
    ):
        form(input_data=["a.json", "zero"])


def test_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Single CPUs and ranges; none where nothing is given."""
    monkeypatch.setattr(os, "cpu_count", lambda: 8)

    assert values.cpus("", "--engine-cpus") == frozenset()
    assert values.cpus("0", "--engine-cpus") == {0}
    assert values.cpus("1, 4-7,5", "--engine-cpus") == {1, 4, 5, 6, 7}


@pytest.mark.parametrize(("text", "last"), [("2", 2), ("0-99999999999", 99_999_999_999)])
def test_cpus_that_are_not_there(monkeypatch: pytest.MonkeyPatch, text: str, last: int) -> None:
    """A CPU that this machine does not have is refused before anything is started on it."""
    monkeypatch.setattr(os, "cpu_count", lambda: 2)

    message = f"`--engine-cpus` names CPU {last}, but this machine has 0 to 1"
    with refused(message, "`lscpu --extended` lists them"):
        values.cpus(text, "--engine-cpus")


def test_how_long_a_study_takes() -> None:
    """A clock time, a duration, or what is usual for the latency budget."""
    quick, slow = LatencyBudget(99, 0.05), LatencyBudget(99, 2.0)

    assert job.timeout_s("90s", None, quick) == 90.0
    assert job.timeout_s(None, None, quick) == 120.0
    assert job.timeout_s(None, None, slow) > 300.0
    now = datetime.now().astimezone()
    assert job.timeout_s(None, f"{now:%H:%M}", quick) > 86_400 - 120


def test_inputs_of_a_model_file() -> None:
    """Each has a name, which may contain colons, a type and a shape; -1 may vary."""
    assert values.inputs(None) == ()
    assert values.inputs(["x:FP32:-1,128", "ns:ids:INT64:1"]) == (
        TensorSpec("x", "FP32", (-1, 128)),
        TensorSpec("ns:ids", "INT64", (1,)),
    )


def test_an_input_twice() -> None:
    """Two inputs of one name would be one too few."""
    with refused("`--input x:...` was given twice", "name each input once"):
        values.inputs(["x:FP32:-1", "y:FP32:-1", "x:INT64:-1"])


def test_a_tolerance() -> None:
    """A share of the largest value; none is the usual rule."""
    assert values.tolerance(None) is None
    assert values.tolerance(0.05) == 0.05
