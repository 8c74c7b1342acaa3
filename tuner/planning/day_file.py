"""A day of rates as people keep it: a CSV file with the columns `time, requests per second`."""

import csv
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, time
from pathlib import Path

from tuner.errors import InputError, at, quoted
from tuner.planning.demand import HIGHEST_RATE, Demand, Moment

_TIME = "time"
_RATE = "requests per second"
_DAY_S = 86_400.0
# Seconds of a moment, either side of zero.
_FARTHEST_S = 1e15
_HINT = f"for example: `{_TIME},{_RATE}` in the first line, and then lines such as `08:00,1200`"


def read(path: Path) -> Demand:
    """The demand of a file, in requests per second.

    Times are those of a clock (`08:30`), dates with a time (ISO 8601), or seconds; they rise. Of
    a clock they are one day that repeats itself: its last moment is followed by its first.

    Raises:
        InputError: The file cannot be read, or is no such table; with the line.
    """
    with at(path):
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise InputError("is not text in UTF-8", hint=_HINT) from None
        return _demand(lines)


def _demand(lines: list[str]) -> Demand:
    rows = _rows(lines)
    _, names = next(rows, (0, []))
    time_at, rate_at = _columns(names)
    moments: list[Moment] = []
    form: _Form | None = None
    for line, row in rows:
        with at(f"line {line}"):
            _check_width(row, names)
            said = _cell(row, time_at)
            form = form or _form_of(said)
            moment = Moment(name=said, at_s=form(said), rate=_rate(_cell(row, rate_at)))
            if moments and moment.at_s <= moments[-1].at_s:
                raise InputError(f"times must rise, but `{said}` follows `{moments[-1].name}`")
            moments.append(moment)
    if len(moments) < 2 or not any(each.rate for each in moments):
        raise InputError("two or more lines with a demand are expected", hint=_HINT)
    if form is _clock_s:
        moments.append(replace(moments[0], at_s=moments[0].at_s + _DAY_S))
    return Demand.between(moments)


def _rows(lines: list[str]) -> Iterator[tuple[int, list[str]]]:
    """Those that are not empty, with the numbers of their (last) lines."""
    rows = csv.reader(lines, strict=True)
    try:
        for row in rows:
            if any(row):
                yield rows.line_num, row
    except csv.Error as error:
        raise InputError(f"line {rows.line_num}: is no CSV: {error}", hint=_HINT) from None


def _check_width(row: list[str], names: list[str]) -> None:
    """A cell too many is half a number, unless it is empty."""
    if any(row[len(names) :]):
        came = ", ".join(quoted(each) for each in row)
        raise InputError(
            f"{len(names)} cells are expected, as in the first line, but got {came}",
            hint="write 1200, not 1,200",
        )


def _columns(names: list[str]) -> tuple[int, int]:
    known = [each.strip().lower().replace("_", " ") for each in names]
    if _TIME in known and _RATE in known:
        return known.index(_TIME), known.index(_RATE)
    came = ", ".join(quoted(each) for each in names) or "nothing"
    raise InputError(
        f"the first line must name the columns `{_TIME}` and `{_RATE}`, but has {came}",
        hint=_HINT,
    )


def _cell(row: list[str], position: int) -> str:
    return row[position].strip() if position < len(row) else ""


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    if not 0 <= rate <= HIGHEST_RATE:
        wanted = f"a number from 0 to {HIGHEST_RATE:g}"
        raise InputError(f"`{_RATE}` must be {wanted}, but got {quoted(text)}")
    return rate


_Form = Callable[[str], float]


def _form_of(text: str) -> _Form:
    """Which of the forms of times this one has; the others of a file must have the same."""
    for form in _forms():
        try:
            form(text)
        except InputError:
            continue
        return form
    raise _no_time(text, "a time")


def _forms() -> Iterator[_Form]:
    yield _seconds
    yield _clock_s
    yield _moment_s


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        raise _no_time(text) from None
    if not abs(seconds) <= _FARTHEST_S:
        raise _no_time(text)
    return seconds


def _clock_s(text: str) -> float:
    try:
        clock = time.fromisoformat(text)
    except ValueError:
        raise _no_time(text) from None
    return 3600.0 * clock.hour + 60.0 * clock.minute + clock.second


def _moment_s(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise _no_time(text) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _no_time(text: str, wanted: str = "a time as on the lines before") -> InputError:
    return InputError(
        f"`{_TIME}` must be {wanted}, but got {quoted(text)}",
        hint="times are all such as `08:30`, or `2026-03-07T08:30:00`, or seconds such as `3600`",
    )
