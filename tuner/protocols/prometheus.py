"""A page of metrics in Prometheus' text format, version 0.0.4.

Source: prometheus.io/docs/instrumenting/exposition_formats, "Text format details".
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

_TYPE = re.compile(
    r"#[ \t]*TYPE[ \t]+([a-zA-Z_:][a-zA-Z0-9_:]*)[ \t]+(counter|gauge|histogram|summary|untyped)"
)
_PARTS = ("_sum", "_count", "_bucket")


class MetricKind(StrEnum):
    """What the value of one series means."""

    COUNTER = "counter"
    GAUGE = "gauge"  # of type gauge, or of none
    TOTAL = "total"  # `_sum` or `_count` of a histogram or summary
    SHAPE = "shape"  # a bucket or quantile of one


# Of a metric of this type, under its own name; those of other types are gauges.
_KINDS = {
    "counter": MetricKind.COUNTER,
    "histogram": MetricKind.SHAPE,
    "summary": MetricKind.SHAPE,
}


@dataclass(frozen=True)
class Series:
    """A metric's name with its labels, which are sorted by name."""

    name: str
    labels: tuple[tuple[str, str], ...] = ()

    def label(self, name: str) -> str:
        """The label's value; empty without it, which the format says is the same."""
        return dict(self.labels).get(name, "")

    def __str__(self) -> str:
        pairs = ",".join(f'{name}="{_escaped(value)}"' for name, value in self.labels)
        return f"{self.name}{{{pairs}}}" if pairs else self.name


@dataclass(frozen=True)
class MetricsPage:
    """The value of each series (NaN and infinities among them), and the type of each metric."""

    values: Mapping[Series, float]
    types: Mapping[str, str]

    def kind(self, series: Series) -> MetricKind:
        name = series.name
        if name in self.types:
            return _KINDS.get(self.types[name], MetricKind.GAUGE)
        part = next((each for each in _PARTS if name.endswith(each)), "")
        if self.types.get(name.removesuffix(part)) not in {"histogram", "summary"}:
            return MetricKind.GAUGE
        return MetricKind.SHAPE if part == "_bucket" else MetricKind.TOTAL


def parse(text: str) -> MetricsPage:
    """The page that `text` is.

    Raises:
        ValueError: A line is neither a comment nor a sample; the message says which.
    """
    values: dict[Series, float] = {}
    types: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        stripped = line.strip(" \t\r")
        if found := _TYPE.fullmatch(stripped):
            types[found[1]] = found[2]
        elif stripped and not stripped.startswith("#"):
            try:
                series, value = _sample(stripped)
            except (ValueError, LookupError):  # the library's words for what it cannot read
                raise ValueError(f"line {number} is no metric: `{stripped[:60]}`") from None
            values[series] = value
    return MetricsPage(values, types)


def _sample(line: str) -> tuple[Series, float]:
    """One line at a time: of a whole page, the library gives all counters other names."""
    # Imported where a page is read: it brings a web server along, which few runs want to wait for.
    from prometheus_client.parser import text_string_to_metric_families

    [metric] = text_string_to_metric_families(line)
    [sample] = metric.samples
    return Series(sample.name, tuple(sorted(sample.labels.items()))), float(sample.value)


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
