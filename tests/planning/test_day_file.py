"""Files of a day's demand: what is read, and what is refused with its line."""

from pathlib import Path

import pytest

from tests.refusals import refused
from tuner.planning import day_file
from tuner.planning.demand import Demand

HEADER = "time,requests per second\n"
FORM = "for example: `time,requests per second` in the first line, and then lines such as `08:00,1200`"  # noqa: E501 - one line of a message
TIMES = "times are all such as `08:30`, or `2026-03-07T08:30:00`, or seconds such as `3600`"


def read(folder: Path, text: str | bytes) -> Demand:
    file = folder / "day.csv"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return day_file.read(file)


def test_a_day_of_the_clock(tmp_path: Path) -> None:
    """It repeats itself: the last moment is followed by the first."""
    demand = read(tmp_path, f"{HEADER}00:00,100\n08:30,300\n20:00,200\n")

    assert [(e.begins, e.ends, e.length_s) for e in demand.periods] == [
        ("00:00", "08:30", 8.5 * 3600),
        ("08:30", "20:00", 11.5 * 3600),
        ("20:00", "00:00", 4 * 3600),
    ]
    assert [each.highest for each in demand.periods] == [300, 300, 200]
    assert demand.length_s == 86_400


@pytest.mark.parametrize(
    "lines",
    [
        "2026-03-07T08:00:00,100\n2026-03-07T08:01:00,200\n",
        "2026-03-07T08:00:00+00:00,100\n2026-03-07T09:01:00+01:00,200\n",
        "0,100\n60,200\n",
        "1772870400.5,100\n1772870460.5,200\n",
        " 0 , 100 \n\n60,200,\n",
    ],
)
def test_other_times(tmp_path: Path, lines: str) -> None:
    """Dates with a time and seconds end with the last line."""
    [period] = read(tmp_path, HEADER + lines).periods

    assert (period.length_s, period.highest, period.mean) == (60.0, 200.0, 150.0)


@pytest.mark.parametrize(
    "header",
    [
        "Time,Requests_per_second",
        "host,requests per second,time",
        "\ufefftime,requests per second",
    ],
)
def test_columns_by_their_names(tmp_path: Path, header: str) -> None:
    """Their order, other columns and the way they are written do not matter."""
    first, second = ("0", "5"), ("9", "7")
    if header.startswith("host"):
        rows = [f"a,{rate},{at}" for at, rate in (first, second)]
    else:
        rows = [f"{at},{rate}" for at, rate in (first, second)]

    assert read(tmp_path, "\n".join([header, *rows])).highest == 7


def test_a_night_without_demand(tmp_path: Path) -> None:
    """A rate may be zero."""
    assert read(tmp_path, f"{HEADER}00:00,0\n12:00,10\n").periods[0].mean == 5


BAD = [
    ("", "the first line must name the columns `time` and `requests per second`, but has nothing", FORM),  # noqa: E501
    ("08:00,5\n09:00,6\n", "the first line must name the columns `time` and `requests per second`, but has `08:00`, `5`", FORM),  # noqa: E501
    (HEADER, "two or more lines with a demand are expected", FORM),
    (f"{HEADER}08:00,5\n", "two or more lines with a demand are expected", FORM),
    (f"{HEADER}08:00,0\n09:00,0\n", "two or more lines with a demand are expected", FORM),
    (f"{HEADER}08:00,x\n", "line 2: `requests per second` must be a number from 0 to 1e+12, but got `x`", ""),  # noqa: E501
    (f"{HEADER}08:00,5\n09:00,-1\n", "line 3: `requests per second` must be a number from 0 to 1e+12, but got `-1`", ""),  # noqa: E501
    (f"{HEADER}08:00,nan\n", "line 2: `requests per second` must be a number from 0 to 1e+12, but got `nan`", ""),  # noqa: E501
    (f"{HEADER}08:00\n", "line 2: `requests per second` must be a number from 0 to 1e+12, but got ``", ""),  # noqa: E501
    (f"{HEADER}25:00,5\n", "line 2: `time` must be a time, but got `25:00`", TIMES),
    (f"{HEADER}inf,5\n", "line 2: `time` must be a time, but got `inf`", TIMES),
    (f"{HEADER}08:00,5\n3600,6\n", "line 3: `time` must be a time as on the lines before, but got `3600`", TIMES),  # noqa: E501
    (f"{HEADER}08:00,1e13\n", "line 2: `requests per second` must be a number from 0 to 1e+12, but got `1e13`", ""),  # noqa: E501
    (f"{HEADER}1e300,5\n", "line 2: `time` must be a time, but got `1e300`", TIMES),
    (f"{HEADER}08:00,900\n09:00,1,200\n", "line 3: 2 cells are expected, as in the first line, but got `09:00`, `1`, `200`", "write 1200, not 1,200"),  # noqa: E501
    (f"{HEADER}08:00,\"900\n09:00,1200\n", "line 3: is no CSV: unexpected end of data", FORM),
    (f"{HEADER}08:00,5\n\n08:00,6\n", "line 4: times must rise, but `08:00` follows `08:00`", ""),
    (b"\xff\xfe", "is not text in UTF-8", FORM),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message", "hint"), BAD)
def test_what_is_refused(tmp_path: Path, text: str | bytes, message: str, hint: str) -> None:
    """The file and the line are named."""
    with refused(f"{tmp_path / 'day.csv'}: {message}", hint):
        read(tmp_path, text)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """It is said to be missing."""
    with refused(f"{tmp_path}/no.csv: cannot be read: No such file or directory"):
        day_file.read(tmp_path / "no.csv")
