"""Prometheus' text format, version 0.0.4."""

import contextlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.watch import metrics_pages
from tuner.protocols.prometheus import MetricKind, Series, parse

LABEL_VALUES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r"))


@pytest.mark.parametrize(
    ("line", "series", "value"),
    [
        ("up 1", Series("up"), 1.0),
        ("  up\t1.5e3  ", Series("up"), 1500.0),
        ("up 1 1395066363000", Series("up"), 1.0),
        ("up -2 -1", Series("up"), -2.0),
        ("up{} 1", Series("up"), 1.0),
        ('up{b="2",a="1"} 3', Series("up", (("a", "1"), ("b", "2"))), 3.0),
        ('up { a = "1" , } 3', Series("up", (("a", "1"),)), 3.0),
        ('up{a="1"}3', Series("up", (("a", "1"),)), 3.0),
        ('up{a="} 1"} 3', Series("up", (("a", "} 1"),)), 3.0),
        (r'up{a="C:\\x",b="\""} 3', Series("up", (("a", r"C:\x"), ("b", '"'))), 3.0),
        (r'up{a="\n"} 3', Series("up", (("a", "\n"),)), 3.0),
        ("a:b_1 +Inf", Series("a:b_1"), math.inf),
        ("up -Inf", Series("up"), -math.inf),
        ("up 1\r", Series("up"), 1.0),
    ],
)  # fmt: skip
def test_a_line(line: str, series: Series, value: float) -> None:
    """A name, labels in braces with escapes and perhaps a last comma, a value, a timestamp."""
    assert parse(line).values == {series: value}


def test_not_a_number() -> None:
    """NaN is a value as any other."""
    [value] = parse("up NaN\n").values.values()
    assert math.isnan(value)


def test_comments() -> None:
    """Comments, help and empty lines say nothing; TYPE gives the type of the metric."""
    page = parse(
        "# HELP a Some \\n text\n# TYPE a counter\n\n#TYPE of comment\n# EOF\na 1\n# TYPE b gauge"
    )
    assert page.values == {Series("a"): 1.0}
    assert page.types == {"a": "counter", "b": "gauge"}


@pytest.mark.parametrize(
    "line",
    [
        "<html>",
        "up",
        "up1",
        "up one",
        "1up 1",
        'up{a="1" 1',
        'up{a=1} 1',
        'up{a="1"b="2"} 1',
        'up{a="\\"} 1',
        "up{a} 1",
        "{} 1",
        "!" * 1000,
    ],
)  # fmt: skip
def test_what_is_no_metric(line: str) -> None:
    """A page with a line of another form is refused, and the line is named, but not all of it."""
    with pytest.raises(ValueError, match="is no metric") as caught:
        parse(f"up 1\n{line}\n")
    assert str(caught.value) == f"line 2 is no metric: `{line[:60]}`"


# Names that begin with two underscores are Prometheus's own and never on a page.
LABEL_NAMES = st.from_regex(r"(?!__)[a-z_]\w*", fullmatch=True).filter(str.isascii)


@given(st.dictionaries(LABEL_NAMES, LABEL_VALUES))
def test_what_is_written_is_read(labels: dict[str, str]) -> None:
    """A series reads back as it was written, whatever its labels hold."""
    series = Series("name", tuple(sorted(labels.items())))
    assert parse(f"{series} 1").values == {series: 1.0}


@given(st.text() | st.text('ab{}="\\,# \n1'))
def test_garbage(text: str) -> None:
    """Whatever a page holds, it is read or refused."""
    with contextlib.suppress(ValueError):
        parse(text)


def test_kinds() -> None:
    """The type tells what the value means; buckets and quantiles are told from sum and count."""
    page = parse(metrics_pages.KINDS)
    kinds = {str(series): page.kind(series) for series in page.values}
    assert kinds == {
        "requests_total": MetricKind.COUNTER,
        "temperature": MetricKind.GAUGE,
        "mystery": MetricKind.GAUGE,
        "untold": MetricKind.GAUGE,
        "lonely_sum": MetricKind.GAUGE,
        "lonely_count": MetricKind.COUNTER,
        'size_bucket{le="+Inf"}': MetricKind.SHAPE,
        "size_sum": MetricKind.TOTAL,
        "size_count": MetricKind.TOTAL,
        'wait{quantile="0.5"}': MetricKind.SHAPE,
        "wait_sum": MetricKind.TOTAL,
        "wait_count": MetricKind.TOTAL,
    }


def test_labels() -> None:
    """A label that is not there is empty."""
    series = Series("up", (("a", "1"),))
    assert series.label("a") == "1"
    assert not series.label("b")


def test_triton_and_torchserve() -> None:
    """The pages of both servers are read, with spaces and last commas as they write them."""
    triton = parse(metrics_pages.triton(success=161))
    torchserve = parse(metrics_pages.torchserve(requests=3))

    model = Series("nv_inference_request_success", (("model", "m"), ("version", "1")))
    assert triton.values[model] == 161
    assert triton.kind(model) is MetricKind.COUNTER
    [requests] = [s for s in torchserve.values if s.name == "ts_inference_requests_total"]
    assert requests.label("model_name") == "resnet18"
    assert torchserve.values[requests] == 3
    assert "Requests5XX" in torchserve.types
