"""How long prompts and answers are: the distributions that a line can name."""

from pathlib import Path

import numpy as np
import pytest

from tests.refusals import refused
from tuner.workload.lengths import (
    LONGEST,
    Constant,
    Histogram,
    Lengths,
    LogNormal,
    Normal,
    Uniform,
    lengths,
)

OPTION = "--prompt-tokens"
HINT = (
    "for example: `512`, `uniform:100:900`, `normal:512:64`, `lognormal:300:0.8` (median, sigma) "
    "or `histogram:FILE.json`"
)


def drawn(found: Lengths, count: int = 4000) -> list[int]:
    return found.draw(np.random.default_rng(7), count)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("512", Constant(512)),
        ("constant:3", Constant(3)),
        ("uniform:100:900", Uniform(100, 900)),
        ("normal:512:0", Normal(512, 0)),
        ("lognormal:300:0.8", LogNormal(300, 0.8)),
    ],
)
def test_what_a_line_names(text: str, found: Lengths) -> None:
    """A number alone is a constant."""
    assert lengths(text, OPTION) == found


@pytest.mark.parametrize(
    ("text", "median", "least", "most"),
    [
        ("8", 8, 8, 8),
        ("uniform:10:20", 15, 10, 20),
        ("normal:100:10", 100, 50, 150),
        ("normal:2:50", 2, 1, 400),
        ("lognormal:300:0.5", 300, 30, 3000),
    ],
)
def test_what_is_drawn(text: str, median: int, least: int, most: int) -> None:
    """Whole tokens, at least one, around the middle; the same for the same seed."""
    tokens = drawn(lengths(text, OPTION))
    assert least <= min(tokens) <= max(tokens) <= most
    assert np.median(tokens) == pytest.approx(median, rel=0.05, abs=1)
    assert tokens == drawn(lengths(text, OPTION))


def test_a_histogram(tmp_path: Path) -> None:
    """Lengths come as often as their weights say."""
    file = tmp_path / "seen.json"
    file.write_text('{"120": 3, "800": 1, "9": 0}')
    found = lengths(f"histogram:{file}", OPTION)
    assert found == Histogram((120, 800, 9), (3.0, 1.0, 0.0))
    tokens = drawn(found)
    assert set(tokens) == {120, 800}
    assert tokens.count(120) / len(tokens) == pytest.approx(0.75, abs=0.03)


@pytest.mark.parametrize(
    "text",
    [
        *("", "0", "x", "1:2", "uniform:5", "uniform:9:5", "normal:10:-1", "normal:nan:1"),
        *("inf", "lognormal:0:1", "uniform:1:2:3", f"{LONGEST + 1}", "normal:5:inf", "-3"),
    ],
)
def test_what_names_none(text: str) -> None:
    """The message has the range, the hint every form."""
    with refused(f"`{OPTION}` must be tokens from 1 to 1,000,000, but got `{text}`", HINT):
        lengths(text, OPTION)


@pytest.mark.parametrize(
    "content",
    [
        *(None, "", "[]", "{}", '{"a": 1}', '{"5": -1}', '{"0": 1}', '{"5": 0}', '{"5": 1e999}'),
        *('{"5": 1e308, "6": 1e308}', '{"5": 1' + "0" * 400 + "}"),
        pytest.param("[" * 100_000, id="deep"),
    ],
)
def test_a_histogram_that_is_none(tmp_path: Path, content: str | None) -> None:
    """Missing, no JSON, or without any weight."""
    file = tmp_path / "seen.json"
    if content is not None:
        file.write_text(content)
    message = f"`{OPTION} histogram:{file}`: a JSON file of lengths and weights is expected"
    with refused(message, 'for example: {"120": 5, "800": 1}'):
        lengths(f"histogram:{file}", OPTION)


@pytest.mark.parametrize("text", ["512", "uniform:100:900", "normal:512:64", "lognormal:300:0.8"])
def test_as_it_is_written(text: str) -> None:
    """A distribution as text is what a person writes for it: that is kept with a study."""
    assert str(lengths(text, OPTION)) == text


def test_a_histogram_as_text() -> None:
    """What a file held is kept, not where it was."""
    assert str(Histogram((120, 800), (5.0, 1.0))) == "histogram:120=5,800=1"
