"""The evidence of a study as tables."""

from tests.report import studies
from tuner.errors import Reason
from tuner.report import evidence_sheets, failures


def test_failures_that_nobody_would_read() -> None:
    """Of very many kinds the most frequent are told, of many trials some; a line is cut."""
    words = [f"error: {letter * 2}" for letter in "abcdefghijklmnopqrstuvwxyz"]
    trials = [
        studies.failed(n, Reason.CRASHED, "it was gone", word)
        for n, word in enumerate(words + words[:1] * 10)
    ]
    trials.append(studies.failed(99, Reason.CRASHED, "it was gone", "error: " + "why " * 200))
    groups = failures.groups(trials)

    sheet = evidence_sheets.failed(groups)

    assert len(sheet.rows) == 20
    assert sheet.rows[0][:2] == ("crashed", "11: 0, 26, 27, 28, 29, 30, 31, 32 and 3 more")
    assert evidence_sheets.left_out(groups) == "7 rarer kinds of failure left out."
    assert evidence_sheets.left_out(groups[:20]) == ""
    [row] = evidence_sheets.failed(groups[-1:]).rows
    assert row[3].endswith("why …`")
    assert len(row[3]) <= 302
