"""What a study does, in rows that others follow: nothing is missed, and nothing told twice."""

import json
import math

import pytest

from tests.report import studies
from tests.store.test_storage import hard_point, stored
from tuner.store import events as module
from tuner.store.events import (
    Event,
    EventKind,
    events,
    events_between,
    last_events,
    last_numbers,
)
from tuner.store.ownership import Hold, held
from tuner.store.rows import point_document
from tuner.store.storage import Storage

STUDY = studies.study(name="night")


def say(hold: Hold, *texts: str) -> None:
    for text in texts:
        hold.record(EventKind.SAID, {"text": text})


def test_they_are_read_in_their_order(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """From any of them on, however many there are, those of other studies left out."""
    monkeypatch.setattr(module, "_PAGE", 2)
    with Storage(str(stored(place, STUDY, studies.study(name="day")))) as storage:
        with held(storage, "day", limits={}) as other:
            say(other, "hello")
        with held(storage, "night", limits={}) as hold:
            say(hold, "a", "b", "c")
        read: list[Event] = []
        seen = 0
        while found := events(storage, "night", after=seen):
            assert len(found) <= 2
            read += found
            seen = found[-1].id

    assert [each.kind.value for each in read] == ["job_began", *3 * ["said"], "job_ended"]
    assert [each.content.get("text") for each in read[1:4]] == ["a", "b", "c"]
    assert [each.id for each in read] == sorted({each.id for each in read})
    assert {each.fence for each in read} == {1}


def test_the_last_of_each_kind(place: str) -> None:
    """None, where nothing of it happened."""
    with (
        Storage(str(stored(place, STUDY))) as storage,
        held(storage, "night", limits={}) as hold,
    ):
        hold.record(EventKind.PHASE_BEGAN, {"phase": "search"}, trial=4)
        say(hold, "a", "b")
        kinds = EventKind.SAID, EventKind.PHASE_BEGAN, EventKind.TRIAL_ENDED
        last = last_events(storage, "night", *kinds)
        nobody = last_events(storage, "day", *kinds)

    assert last.keys() == {EventKind.SAID, EventKind.PHASE_BEGAN}
    assert last[EventKind.SAID].content == {"text": "b"}
    assert last[EventKind.PHASE_BEGAN].trial == 4
    assert nobody == {}


def test_those_of_all_studies(place: str) -> None:
    """Between two numbers, each with the name of its study."""
    with Storage(str(stored(place, STUDY, studies.study(name="day")))) as storage:
        none = last_numbers(storage)
        with held(storage, "day", limits={}) as hold:
            say(hold, "a")
        with held(storage, "night", limits={}) as hold:
            say(hold, "b")
        last, _ = last_numbers(storage)
        of_day, _ = last_numbers(storage, study="day")
        found = events_between(storage, None, after=of_day - 1, until=last - 1)
        page = events_between(storage, None, after=0, limit=2)
        of_nobody = last_numbers(storage, study="nobody", job=7)

    assert (none, of_nobody) == ((0, 0), (0, 0))
    assert [(study, event.kind.value) for study, event in found] == [
        ("day", "job_ended"),
        ("night", "job_began"),
        ("night", "said"),
    ]
    assert [event.kind.value for _, event in page] == ["job_began", "said"]


def test_load_points_are_kept_until_their_trial_is_stored(place: str) -> None:
    """Those of a trial that was cut off stay; those of one that ended are with it."""
    cut_off = json.loads(json.dumps({"point": point_document(hard_point())}))
    with Storage(str(stored(place, STUDY))) as storage:
        with held(storage, "night", limits={}) as hold:
            hold.record(EventKind.POINT_MEASURED, cut_off, trial=0)
        with held(storage, "night", limits={}) as hold:
            for _ in range(2):  # the first one is begun anew, as after a pause
                hold.record(EventKind.TRIAL_BEGAN, {}, trial=0)
                hold.record(EventKind.POINT_MEASURED, {"point": {}}, trial=0)
            storage.save_trial("night", studies.baseline())
        left = events(storage, "night")
        study = storage.study("night")

    assert [each.kind.value for each in left] == [
        *("job_began", "point_measured", "job_ended"),
        *("job_began", "trial_began", "point_measured", "trial_began", "trial_ended", "job_ended"),
    ]
    assert (left[1].trial, left[1].content) == (0, cut_off)
    assert (left[-2].trial, left[-2].content) == (0, {"state": "feasible"})
    assert len(study.trials[0].points) > 0


def test_a_load_point_is_written_whole() -> None:
    """All that its own row would have; what JSON has not is written in words."""
    document = point_document(hard_point())

    assert document["load"] == 123.456
    assert document["latency_s"] == "inf"
    assert document["mean_s"] is None
    assert document["histogram"]["counts"] == {-3: 1, 0: 2, 2178: 4}
    assert all(math.isfinite(each) for each in document.values() if isinstance(each, float))
