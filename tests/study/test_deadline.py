"""When a study is over: a pause moves a duration, and not a time of the clock."""

from datetime import UTC, datetime, timedelta

import pytest

from tuner.goals import SearchBudget
from tuner.study.deadline import Deadline


@pytest.fixture
def passed_s(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the monotonic clock shows."""
    clock = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    return clock


def test_a_duration(passed_s: list[float]) -> None:
    """It runs down, and waits while the study does."""
    deadline = Deadline(SearchBudget(timeout_s=60.0))
    passed_s[0] += 20.0
    assert deadline.left_s == pytest.approx(40.0)
    passed_s[0] += 100.0
    deadline.wait(100.0)
    assert deadline.left_s == pytest.approx(40.0)
    left = deadline.ends_at - datetime.now(UTC)
    assert left.total_seconds() == pytest.approx(40.0, abs=5.0)


def test_a_time_of_the_clock(passed_s: list[float]) -> None:
    """It comes whatever was paused, and whatever another clock says."""
    ends_at = datetime.now(UTC) + timedelta(hours=1)
    deadline = Deadline(SearchBudget(timeout_s=7.0, ends_at=ends_at))
    passed_s[0] += 7200.0
    deadline.wait(600.0)
    assert deadline.ends_at == ends_at
    assert deadline.left_s == pytest.approx(3600.0, abs=60.0)


def test_a_duration_beyond_all_calendars() -> None:
    """Whoever gives a study a million years can be told a moment, too."""
    ends_at = Deadline(SearchBudget(timeout_s=1e13)).ends_at
    assert ends_at - datetime.now(UTC) > timedelta(days=3000)
