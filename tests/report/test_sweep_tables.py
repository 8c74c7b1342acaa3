"""The tables of `tuner measure`, and what is said beside them."""

from io import StringIO

from rich.console import Console  # noqa: TID251 - what it prints is looked at

from tests.report.sweep_points import generated, measured, point
from tuner.load.profile import ClosedLoop
from tuner.report.sweep_tables import sweep_tables
from tuner.report.token_text import about_together


def printed(*reconnected: int) -> str:
    """The tables of a load point for each number of requests that were sent again."""
    points = [
        point(measured([0.01], ClosedLoop(1 + number), reconnected=count))
        for number, count in enumerate(reconnected)
    ]
    out = Console(file=StringIO(), width=200)
    for block in sweep_tables(points, 99.0):
        out.print(block)
    assert isinstance(out.file, StringIO)
    return out.file.getvalue()


def test_what_was_sent_again_is_told_apart_from_errors() -> None:
    """A sentence for each load point where the server had closed connections; no error."""
    text = printed(0, 3)

    assert text.count("reconnected") == 1
    said = "3 reconnected: sent again, as the server had closed their connections"
    assert f"{ClosedLoop(2)}: {said}" in text
    assert "connection_lost" not in text


def test_nothing_is_said_where_nothing_was_sent_again() -> None:
    """Most servers keep their connections."""
    assert "reconnected" not in printed(0)


def test_first_responses() -> None:
    """Where an answer is several responses, there is a table of when the first one came."""
    whole = measured([0.01], ClosedLoop(1))
    streamed = measured([0.5], ClosedLoop(2), firsts_s=[0.125])
    out = Console(file=StringIO(), width=200)
    for block in sweep_tables([point(whole)], 99.0):
        out.print(block)
    assert isinstance(out.file, StringIO)
    assert "first response" not in out.file.getvalue()
    for block in sweep_tables([point(whole), point(streamed)], 99.0):
        out.print(block)
    [title, *rest] = out.file.getvalue().partition("To the first response")[1:]
    assert title
    assert str(streamed.profile) in rest[0]
    assert " 126 " in rest[0]  # the upper edge of the bin of 125 ms
    assert str(whole.profile) not in rest[0]


def test_tokens() -> None:
    """Where answers are made of output tokens, there is a table of their rate and times."""
    out = Console(file=StringIO(), width=200)
    few, many = generated([0.125], [0.02]), generated([0.25], [0.04], ClosedLoop(2), together=3)
    for block in sweep_tables([point(few), point(many)], 99.0):
        out.print(block)
    assert isinstance(out.file, StringIO)
    [_, _, tokens] = out.file.getvalue().partition("Tokens")

    rows = [line.split() for line in tokens.splitlines() if "concurrency" in line]
    assert rows[0] == ["concurrency", "1", "2.20", "11", *["125"] * 3, *["20"] * 3]
    assert "concurrency 1: " not in tokens
    assert f"concurrency 2: {about_together(3 / 11)}" in tokens
