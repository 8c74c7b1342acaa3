"""When jobs that wait will begin, if those before them take all of their time."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.report import studies
from tests.service.queued import asked
from tests.store.raw import execute
from tuner.goals import SearchBudget
from tuner.service.jobs.forecast import expected_starts, starts_of
from tuner.service.jobs.states import brought
from tuner.service.service import Service
from tuner.store.ownership import held
from tuner.store.queue import QueueState

FREE_AT = datetime(2026, 3, 7, 22, 0, tzinfo=UTC)
HOUR = SearchBudget(timeout_s=3600.0)


def until(day: int, hour: int) -> SearchBudget:
    return SearchBudget(timeout_s=60.0, ends_at=datetime(2026, 3, day, hour, tzinfo=UTC))


@pytest.mark.parametrize(
    ("limits", "hours"),
    [
        ([], []),
        ([HOUR, HOUR, HOUR], [0, 1, 2]),
        ([until(8, 7), HOUR], [0, 9]),
        ([HOUR, until(8, 7), HOUR], [0, 1, 9]),
        # At six it is too late for five o'clock.
        ([until(8, 6), until(8, 5), HOUR], [0, 8, 8]),
    ],
)
def test_one_after_the_other(limits: list[SearchBudget], hours: list[int]) -> None:
    """Each takes its time, or lasts until the time of the clock that it was given."""
    expected = [FREE_AT + timedelta(hours=each) for each in hours]
    assert starts_of(FREE_AT, limits) == expected


def minutes(service: Service) -> list[int]:
    began = datetime.now(UTC)
    found = expected_starts(service).values()
    return [round((each - began) / timedelta(minutes=1)) for each in found]


def test_the_queue_of_a_service(service: Service) -> None:
    """What runs has its time first, whether it has begun its study or not; so has one by hand."""
    night = asked(service, "night", options={"timeout": "60m", "trials": 9999})
    for name in ("a", "b"):
        asked(service, name, options={"timeout": "30m", "trials": 9999})
    asked(service, "few", options={"timeout": "30m", "trials": 1, "confirmations": 0})
    asked(service, "last")
    assert minutes(service) == [0, 60, 90, 120, 120]

    brought(service.storage, night, QueueState.RUNNING)
    assert minutes(service) == [60, 90, 120, 120]

    service.storage.create_study(studies.study(name="by-hand"))
    ends_at = datetime.now(UTC) + timedelta(minutes=75)
    with held(service.storage, "by-hand", limits={}, ends_at=ends_at):
        service.storage.guard = None
        assert minutes(service) == [75, 105, 135, 135]


def test_what_cannot_run_takes_no_time(service: Service) -> None:
    """It fails at once when its turn comes."""
    asked(service, "night", options={"timeout": "60m"})
    asked(service, "last")
    execute(service.storage.url, """UPDATE tuner_queue SET options = '{"budget_ms": -1}'""")
    assert minutes(service) == [0, 0]
