"""A page of metrics in Prometheus' text format, version 0.0.4.

Source: prometheus.io/docs/instrumenting/exposition_formats, "Text format details".
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_SAMPLE = re.compile(
    rf"(?P<name>{_NAME})(?:[ \t]*\{{(?P<labels>.*)\}}[ \t]*|[ \t]+)(?P<value>[^ \t]+)"
    r"(?:[ \t]+-?[0-9]+)?"  # a timestamp
)
_LABEL = re.compile(
    r'[ \t]*(?P<name>[a-zA-Z_][a-zA-Z0-9_]*)[ \t]*=[ \t]*"(?P<value>(?:[^"\\]|\\.)*)"[ \t]*(?:,|$)'
)
_TYPE = re.compile(rf"#[ \t]*TYPE[ \t]+({_NAME})[ \t]+(counter|gauge|histogram|summary|untyped)")
_ESCAPE = re.compile(r"\\(.)")
_PARTS = ("_sum", "_count", "_bucket")


class Kind(StrEnum):
    """What the value of one series means."""

    COUNTER = "counter"
    GAUGE = "gauge"  # of type gauge, or of none
    TOTAL = "total"  # `_sum` or `_count` of a histogram or summary
    SHAPE = "shape"  # a bucket or quantile of one


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

    def kind(self, series: Series) -> Kind:
        match self.types.get(series.name):
            case "counter":
                return Kind.COUNTER
            case "histogram" | "summary":
                return Kind.SHAPE
            case None:
                return self._kind_of_part(series.name)
            case _:
                return Kind.GAUGE

    def _kind_of_part(self, name: str) -> Kind:
        part = next((each for each in _PARTS if name.endswith(each)), "")
        if self.types.get(name.removesuffix(part)) not in {"histogram", "summary"}:
            return Kind.GAUGE
        return Kind.SHAPE if part == "_bucket" else Kind.TOTAL


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
            except ValueError:
                raise ValueError(f"line {number} is no metric: `{stripped[:60]}`") from None
            values[series] = value
    return MetricsPage(values, types)


def _sample(line: str) -> tuple[Series, float]:
    found = _SAMPLE.fullmatch(line)
    if found is None:
        raise ValueError(line)
    return Series(found["name"], _labels(found["labels"] or "")), float(found["value"])


def _labels(text: str) -> tuple[tuple[str, str], ...]:
    labels, position = [], 0
    while position < len(text.rstrip(" \t")):
        found = _LABEL.match(text, position)
        if found is None:
            raise ValueError(text)
        labels.append((found["name"], _unescaped(found["value"])))
        position = found.end()
    return tuple(sorted(labels))


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda found: "\n" if found[1] == "n" else found[1], text)


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
