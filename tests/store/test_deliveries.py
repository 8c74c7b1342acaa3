"""What webhooks are still to be told: it is in the database, and nothing is told for ever."""

from collections.abc import Iterator

import pytest

from tests.store.test_queue import add
from tuner.store.deliveries import MOST_ATTEMPTS, deliveries, pending, tell
from tuner.store.events import last_numbers
from tuner.store.queue import QueuedJob, QueueState, bring
from tuner.store.storage import Storage


@pytest.fixture
def storage(place: str) -> Iterator[Storage]:
    with Storage(place, create=True) as opened:
        yield opened


def begun(storage: Storage, study: str, webhook: str = "http://hooks/1") -> QueuedJob:
    """A job with two changes."""
    job = add(storage, study, webhook=webhook)
    found = bring(storage, job.id, QueueState.RUNNING, expected=[QueueState.QUEUED])
    assert found is not None
    return found


def left(storage: Storage, **wishes: int) -> list[tuple[int, str, int]]:
    found = pending(storage, "here", **wishes)
    return [(each.change.job, each.change.state.value, each.attempts) for each in found]


def test_changes_are_pending(storage: Storage) -> None:
    """Of jobs of this machine with a webhook, in their order."""
    assert last_numbers(storage)[1] == 0
    begun(storage, "quiet", webhook="")
    add(storage, "elsewhere", machine="there", webhook="http://hooks/1")
    job = begun(storage, "night")

    assert left(storage) == [(job.id, "queued", 0), (job.id, "running", 0)]
    newest = last_numbers(storage)[1]
    assert left(storage, after=newest - 1) == [(job.id, "running", 0)]
    assert left(storage, after=newest) == []


def test_what_was_told_is_not_pending(storage: Storage) -> None:
    """What was told in vain is, with the number of attempts, up to the last of them."""
    job = begun(storage, "night")
    first, second = pending(storage, "here")
    tell(storage, first.change.id, 1, status=503, error="it answered 503")
    tell(storage, first.change.id, 2, status=204, error="")
    for attempt in range(1, MOST_ATTEMPTS):
        tell(storage, second.change.id, attempt, status=None, error="no answer")

    assert left(storage) == [(job.id, "running", MOST_ATTEMPTS - 1)]
    assert pending(storage, "here")[0].tried_at == deliveries(storage, job.id)[-1].at
    tell(storage, second.change.id, MOST_ATTEMPTS, status=None, error="no answer")
    assert left(storage) == []


def test_attempts_are_listed(storage: Storage) -> None:
    """Each with the answer, or why there was none."""
    job = begun(storage, "night")
    first, second = (each.change.id for each in pending(storage, "here"))
    tell(storage, first, 1, status=None, error="no answer")
    tell(storage, first, 2, status=200, error="")
    found = deliveries(storage, job.id)

    assert [(each.change, each.attempt, each.status, each.error) for each in found] == [
        (first, 1, None, "no answer"),
        (first, 2, 200, ""),
    ]
    assert [each.arrived for each in found] == [False, True]
    assert deliveries(storage, second) == ()
