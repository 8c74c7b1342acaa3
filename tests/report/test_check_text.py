"""What a check says, to people and to CI servers."""

import io
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from rich.console import Console  # noqa: TID251 - prints what the command line does

from tests.report import studies
from tuner.errors import Reason
from tuner.records import TrialRecord, TrialState
from tuner.report import check_text
from tuner.report.check_junit import junit
from tuner.study.check import Checked, CheckPlan, Side
from tuner.study.comparable import Difference

NOON = datetime(2026, 3, 9, 12, 0, tzinfo=UTC)
CHANGED = Difference("triton", "2.60.0", "2.61.0")


def starts(capacity: float, *, scatter: float = 0.002) -> tuple[TrialRecord, ...]:
    return tuple(studies.trial(n, capacity * (1 + scatter * (n - 1))) for n in range(3))


def found(now: float, *, defaults: float = 150.0, **wishes: Any) -> Checked:
    """A check of a winner that carried 400, beside defaults that carried 150."""
    facts: dict[str, Any] = {"machine": (1.02,), "rounds": 3, "spent_s": 61.0}
    return Checked(
        studies.night(),
        CheckPlan(),
        Side(studies.BEST, starts(400.0), starts(now)),
        Side(studies.DEFAULTS, starts(150.0), starts(defaults)),
        **(facts | wishes),
    )


def failing() -> Checked:
    """The winner fails twice, with the odd character in its log."""
    crash = studies.failed(0, Reason.CRASHED, "search: it is <gone>", "E0309 \x1b[31mfault\x00")
    side = Side(studies.BEST, starts(400.0), (crash, crash))
    return replace(found(400.0), winner=side, rounds=2)


def crashing() -> Checked:
    """The winner starts once, then fails twice."""
    winner = failing().winner
    return replace(found(400.0), winner=replace(winner, now=(*starts(400.0)[:1], *winner.now)))


def undecided() -> Checked:
    wide = Side(studies.BEST, starts(400.0), starts(390.0, scatter=0.05))
    return replace(found(400.0), winner=wide)


OTHER = found(400.0, differences=(Difference("cores", "2", "4", rules_out=True),), rounds=0)


@pytest.mark.parametrize(
    ("checked", "headline"),
    [
        (
            found(401.0),
            (
                "As good: the best configuration lost no more than 5 %: it carries 1.00x what it "
                "did (0.98 to 1.03)"
            ),
        ),
        (
            found(340.0),
            (
                "Worse: the best configuration lost more than 5 %: it carries 0.85x what it did "
                "(0.83 to 0.87)"
            ),
        ),
        (
            undecided(),
            "No loss of more than 5 % is proved: it carries 0.97x what it did (0.90 to 1.06)",
        ),
        (
            failing(),
            (
                "Worse: the best configuration fails: crashed: search: it is <gone>\n"
                "E0309 \x1b[31mfault\x00"
            ),
        ),
        (
            crashing(),
            (
                "Worse: the best configuration fails: crashed: search: it is <gone>\n"
                "E0309 \x1b[31mfault\x00"
            ),
        ),
        (OTHER, "Not comparable: cores: 2 then, 4 now"),
    ],
)
def test_the_headline(checked: Checked, headline: str) -> None:
    """The outcome, in one sentence."""
    assert check_text.headline(checked) == headline


MACHINE = (
    "The load engine against a server that does nothing: 1.02x of its speed then; a quarter more "
    "or less says nothing."
)


@pytest.mark.parametrize(
    ("checked", "said"),
    [
        (found(401.0), (MACHINE,)),
        (
            found(401.0, machine=(), differences=(CHANGED,)),
            ("Changed: triton: 2.60.0 then, 2.61.0 now",),
        ),
        (
            found(340.0, defaults=150.0),
            (
                "The server's defaults did not lose as much: it is this configuration's own.",
                MACHINE,
            ),
        ),
        (
            found(340.0, defaults=127.0),
            (
                ("The server's defaults lost, too: at least a part of it is the server's, the "
                "model's or the machine's; that this configuration lost more is not proved."),
                MACHINE,
            ),
        ),
        (
            undecided(),
            (
                ("With starts that scatter as these do, a loss of 12 % or more would have been "
                "proved; more rounds show smaller ones (`--rounds`)."),
                MACHINE,
            ),
        ),
        (OTHER, (MACHINE,)),
    ],
)  # fmt: skip
def test_the_remarks(checked: Checked, said: tuple[str, ...]) -> None:
    """Whose loss it is, how fast the machine is, what has changed."""
    assert check_text.remarks(checked) == said


def test_a_start_over_the_budget() -> None:
    """That it carried nothing is said of a start that did not fail otherwise."""
    slow = studies.infeasible(studies.trial(0), unloaded_s=0.09)
    assert slow.state is TrialState.INFEASIBLE
    side = Side(studies.BEST, starts(400.0), (*starts(400.0), slow))

    said = check_text.remarks(replace(found(400.0), winner=side))

    assert "Failed: no load meets the latency budget" in said


def test_disturbances_are_said() -> None:
    """Who reads the result knows that others took the machine's time meanwhile."""
    points = tuple(replace(p, disturbed=("others",)) for p in studies.loads((100.0, 0.02)))
    side = Side(
        studies.BEST, starts(400.0), tuple(replace(t, points=points) for t in starts(400.0))
    )

    said = check_text.remarks(replace(found(400.0), winner=side, canary=None))

    assert "3 of 3 load points were disturbed (others)." in said


def test_the_text() -> None:
    """A line for each configuration, and how long it took."""
    out = io.StringIO()
    console = Console(file=out, width=100)
    for block in check_text.blocks(found(340.0)):
        console.print(block)
    lines = [line.split("   ") for line in out.getvalue().splitlines()]
    cells = [[cell.strip() for cell in line if cell.strip()] for line in lines]

    assert [
        "best configuration",
        "400 (3 starts)",
        "340 (3 starts)",
        "0.85x (0.83 to 0.87)",
    ] in cells
    assert [
        "server's defaults",
        "150 (3 starts)",
        "150 (3 starts)",
        "1.00x (0.98 to 1.02)",
    ] in cells
    assert out.getvalue().endswith("3 rounds, 1 min 01 s.\n")


def test_the_document() -> None:
    """Everything that is said stands in it as a value."""
    content = check_text.document(found(340.0, differences=(CHANGED,)))

    assert content["outcome"] == "worse"
    assert content["unit"] == "inferences/s"
    assert content["winner"]["ratio"]["high"] < 0.95
    assert content["winner"]["configuration"] == dict(studies.BEST)
    assert content["defaults"]["now"] == pytest.approx([149.7, 150.0, 150.3])
    assert content["winner_over_defaults"]["estimate"] == pytest.approx(0.85, rel=1e-3)
    assert content["machine"] == [1.02]
    assert content["differences"] == [
        {"name": "triton", "then": "2.60.0", "now": "2.61.0", "rules_out": False}
    ]
    assert (
        check_text.document(failing())["winner"]["failures"]
        == [{"reason": "crashed", "message": "search: it is <gone>"}] * 2
    )


@pytest.mark.parametrize(
    ("checked", "counts", "tags"),
    [
        (found(401.0), ("0", "0", "0"), ([], [])),
        (undecided(), ("0", "0", "0"), ([], [])),
        (found(340.0), ("1", "0", "0"), ([], ["failure"])),
        (failing(), ("1", "0", "0"), ([], ["failure"])),
        (OTHER, ("0", "1", "1"), (["error"], ["skipped"])),
    ],
)
def test_junit(checked: Checked, counts: tuple[str, ...], tags: tuple[list[str], ...]) -> None:
    """Two cases: what cannot be compared is an error of the first, a loss fails the second."""
    suites = ET.fromstring(junit(checked, NOON))  # noqa: S314 - our own
    [suite] = suites

    for each in (suites, suite):
        assert each.get("tests") == "2"
        assert tuple(each.get(name) for name in ("failures", "errors", "skipped")) == counts
    assert suite.get("timestamp") == "2026-03-09T12:00:00"
    assert suite.get("hostname") == "bench"
    cases = suite.findall("testcase")
    assert [case.get("classname") for case in cases] == ["tuner check.encoder-p99-50ms"] * 2
    assert tuple([child.tag for child in case] for case in cases) == tags
    said = [child.get("message", "") for case in cases for child in case]
    assert all(said)
    told = suite.findtext("system-out")
    assert told is not None
    assert check_text.headline(checked).partition("\n")[0] in told
