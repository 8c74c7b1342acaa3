"""What a study does, in rows that others follow: nothing is missed, and nothing told twice."""

import json
import math

import pytest

from tests.report import studies
from tests.store.test_storage import hard_point, stored
from tuner.store import events as module
from tuner.store.events import Event, EventKind, events, last_event
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


def test_the_last_of_a_kind(place: str) -> None:
    """Or none, where nothing of it happened."""
    with (
        Storage(str(stored(place, STUDY))) as storage,
        held(storage, "night", limits={}) as hold,
    ):
        hold.record(EventKind.PHASE_BEGAN, {"phase": "search"}, trial=4)
        say(hold, "a", "b")
        last = last_event(storage, "night", EventKind.SAID, EventKind.PHASE_BEGAN)
        phase = last_event(storage, "night", EventKind.PHASE_BEGAN)
        none = last_event(storage, "night", EventKind.TRIAL_ENDED)

    assert last is not None
    assert phase is not None
    assert (last.content, phase.trial, none) == ({"text": "b"}, 4, None)


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
