"""How the values of options are read, and what is said of those that cannot be used."""

import math
import os
from datetime import datetime, timedelta
from typing import Any

import pytest

from tuner.cli import job, values
from tuner.cli.optimize_options import PlanOptions
from tuner.errors import InputError
from tuner.goals import LatencyBudget
from tuner.load.requests import TensorSpec
from tuner.protocols.tensors.datatypes import NUMPY_TYPES
from tuner.targets.request_form import RequestForm

TOO_LONG = "9" * 400


@pytest.mark.parametrize("limit_ms", [0.0, -1.0, 3_600_000.0, math.inf, math.nan])
def test_a_limit_out_of_range(limit_ms: float) -> None:
    """A latency that nobody can mean is refused, with an example of one."""
    with pytest.raises(InputError) as caught:
        values.latency_budget(limit_ms, 99)

    assert caught.value.message == (
        f"`--budget-ms` must be above 0 and below 3600000, but got {limit_ms:g}"
    )
    assert caught.value.hint == "for example: `--budget-ms 50`"


@pytest.mark.parametrize("percentile", [0.0, 0.99, 100.0, -5.0, math.inf, math.nan])
def test_a_percentile_out_of_range(percentile: float) -> None:
    """A percentile that no load point can tell is refused."""
    with pytest.raises(InputError) as caught:
        values.latency_budget(50, percentile)

    assert caught.value.message == (
        f"`--percentile` must be from 1 to 99.99, but got {percentile:g}"
    )
    assert caught.value.hint == "for example: `--percentile 99`"


def test_a_latency_budget() -> None:
    """Milliseconds on the command line are seconds inside."""
    assert values.latency_budget(50.5, 99.9) == LatencyBudget(99.9, 0.0505)


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


@pytest.mark.parametrize(
    "text", ["", "0", "0s", "-5s", "3d", "s", "1h30m", "nan", "inf", "1e3", "1001h", TOO_LONG]
)
def test_no_durations(text: str) -> None:
    """What is no duration, or longer than a study can be, is refused under its option's name."""
    with pytest.raises(InputError) as caught:
        values.duration_s(text, "--start-timeout")

    assert caught.value.message == (
        f"`--start-timeout` must be a duration above 0 and up to 1000h, but got `{text}`"
    )
    assert caught.value.hint == "for example: 90s, 3m, 2h"


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


@pytest.mark.parametrize("text", ["", "7", "24:00", "07:60", "7 am", "07:00:00", "nan"])
def test_no_clock_time(text: str) -> None:
    """What the clock never shows is refused."""
    with pytest.raises(InputError) as caught:
        values.seconds_until(text)

    assert caught.value.message == f"`--until` must be a clock time, but got `{text}`"
    assert caught.value.hint == "for example: 07:00"


def form(**options: Any) -> RequestForm:
    return job.request_form(PlanOptions(budget_ms=50, **options))


def test_request_form() -> None:
    """Batch, data and shapes become one value; a name may contain colons."""
    found = form(batch=4, input_data="zero", shape=["image:3,224,224", "ns:text:1"])

    assert found == RequestForm(
        batch=4, zero=True, shapes={"image": (3, 224, 224), "ns:text": (1,)}
    )
    assert form() == RequestForm()


def test_unknown_input_data() -> None:
    """There are two kinds of data."""
    with pytest.raises(InputError) as caught:
        form(input_data="zeros")

    assert caught.value.message == "`--input-data` must be `random` or `zero`, but got `zeros`"


@pytest.mark.parametrize(
    "text", ["", "image", "image:", ":3", "image:3,x", "image:0", "image:3,-1"]
)
def test_a_shape_that_is_none(text: str) -> None:
    """A shape has a name and whole dimensions."""
    with pytest.raises(InputError) as caught:
        form(shape=[text])

    assert caught.value.message == (
        f"`--shape` must be NAME:D1,D2,... with dimensions of at least 1, but got `{text}`"
    )
    assert caught.value.hint == "for example: `--shape image:3,224,224`"


def test_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Single CPUs and ranges; none where nothing is given."""
    monkeypatch.setattr(os, "cpu_count", lambda: 8)

    assert values.cpus("", "--engine-cpus") == frozenset()
    assert values.cpus("0", "--engine-cpus") == {0}
    assert values.cpus("1, 4-7,5", "--engine-cpus") == {1, 4, 5, 6, 7}


@pytest.mark.parametrize("text", ["x", "-1", "1-", "0,", ",", "3-1", "0-1-2", "1.5", "0;1"])
def test_no_cpus(text: str) -> None:
    """What is no list of CPUs is refused, an empty range among it."""
    with pytest.raises(InputError) as caught:
        values.cpus(text, "--server-cpus")

    assert caught.value.message == f"`--server-cpus` must be a list of CPUs, but got `{text}`"
    assert caught.value.hint == "for example: 0,2-3"


@pytest.mark.parametrize(("text", "last"), [("2", 2), ("0-99999999999", 99_999_999_999)])
def test_cpus_that_are_not_there(monkeypatch: pytest.MonkeyPatch, text: str, last: int) -> None:
    """A CPU that this machine does not have is refused before anything is started on it."""
    monkeypatch.setattr(os, "cpu_count", lambda: 2)

    with pytest.raises(InputError) as caught:
        values.cpus(text, "--engine-cpus")

    assert caught.value.message == (
        f"`--engine-cpus` names CPU {last}, but this machine has 0 to 1"
    )
    assert caught.value.hint == "`lscpu --extended` lists them"


def test_how_long_a_study_takes() -> None:
    """A clock time, a duration, or what is usual for the latency budget."""
    quick, slow = LatencyBudget(99, 0.05), LatencyBudget(99, 2.0)

    assert job.timeout_s("90s", None, quick) == 90.0
    assert job.timeout_s(None, None, quick) == 120.0
    assert job.timeout_s(None, None, slow) > 300.0
    now = datetime.now().astimezone()
    assert job.timeout_s("90s", f"{now:%H:%M}", quick) > 86_400 - 120


def test_inputs_of_a_model_file() -> None:
    """Each has a name, which may contain colons, a type and a shape; -1 may vary."""
    assert values.inputs(None) == ()
    assert values.inputs(["x:FP32:-1,128", "ns:ids:INT64:1"]) == (
        TensorSpec("x", "FP32", (-1, 128)),
        TensorSpec("ns:ids", "INT64", (1,)),
    )


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", "x:FP32", "FP32:-1", ":FP32:-1", "x:fp32:-1", "x:float:-1", "x:BYTES:-1"),
        *("x:FP32:", "x:FP32:a", "x:FP32:0", "x:FP32:-2", "x:FP32:1,,2", "x:FP32:1.5"),
    ],
)
def test_an_input_that_is_none(text: str) -> None:
    """What has not the form is refused with an example, and the types that there are."""
    with pytest.raises(InputError) as caught:
        values.inputs([text])

    assert caught.value.message == f"`--input` must be NAME:DATATYPE:SHAPE, but got `{text}`"
    assert caught.value.hint == (
        "for example: `--input x:FP32:-1,128`, where -1 is the batch; datatypes: "
        + ", ".join(NUMPY_TYPES)
    )


def test_an_input_twice() -> None:
    """Two inputs of one name would be one too few."""
    with pytest.raises(InputError) as caught:
        values.inputs(["x:FP32:-1", "y:FP32:-1", "x:INT64:-1"])

    assert caught.value.message == "`--input x:...` was given twice"
    assert caught.value.hint == "name each input once"


def test_a_tolerance() -> None:
    """A share of the largest value; none is the usual rule."""
    assert values.tolerance(None) is None
    assert values.tolerance(0.05) == 0.05


@pytest.mark.parametrize("share", [0.0, -0.1, 1.0, 5.0, math.inf, math.nan])
def test_no_tolerance(share: float) -> None:
    """Nothing, everything and per cents are no shares."""
    with pytest.raises(InputError) as caught:
        values.tolerance(share)

    assert caught.value.message == (
        f"`--tolerance` must be more than 0 and less than 1, but got {share:g}"
    )
    assert caught.value.hint == (
        "for example: `--tolerance 0.05` for 5 % of an output's largest value"
    )
