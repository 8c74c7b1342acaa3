"""A search that goes on: after the end, after a kill, after a trial that nobody told of."""

import optuna  # noqa: TID251 - looks into the tables that its door wrote
import pytest

from tests.analysis.known import known
from tests.search.test_search import (
    SERVER,
    crashed,
    optunas,
    record,
    run,
    search,
    server,
    throughput,
)
from tests.spaces import integer, real, space, switch
from tuner.errors import Reason
from tuner.records import TrialRecord, TrialState
from tuner.space.space import SearchSpace

COMPLETE, FAIL = optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.FAIL


def by_proposal(*records: TrialRecord) -> dict[int, TrialRecord]:
    return {r.proposal: r for r in records if r.proposal is not None}


def test_goes_on_where_it_ended(url: str) -> None:
    """A search made again proposes nothing a second time, and knows what it learned."""
    before = list(run(search(SERVER, url), server, 12))
    again = search(SERVER, url, seed=1)

    again.resume(by_proposal(*before))
    again.enqueue(before[0].configuration)
    after = list(run(again, server, 12))

    assert len({t.configuration for t in (*before, *after)}) == 24
    assert [t.number for t in optunas(url)] == list(range(len(optunas(url))))


def test_an_exhausted_space_stays_exhausted(url: str) -> None:
    """After everything was tried, a search made again has nothing to propose."""
    small = space(integer(high=2), switch())
    records = list(run(search(small, url), lambda _: throughput(1.0), 9))
    again = search(small, url)

    again.resume(by_proposal(*records))

    assert len(records) == 4
    assert again.ask() is None


def test_a_recorded_trial_that_was_never_told_is_added(url: str) -> None:
    """A tuner killed between storing and telling: the result reaches the sampler afterwards."""
    proposal = known(search(SERVER, url).ask())
    again = search(SERVER, url)

    again.resume(by_proposal(record(proposal, throughput=70.0)))

    assert [(t.state, t.value) for t in optunas(url)] == [(FAIL, None), (COMPLETE, 70.0)]
    added = optunas(url)[1]
    assert added.constraints == {"0": -1.0, "1": -1.0, "crash": -1.0, "latency": -1.0}
    assert added.user_attrs == {**proposal.configuration, "state": "feasible"}
    assert added.system_attrs["constraints"] == [-1.0, -1.0]
    assert optunas(url)[0].params == optunas(url)[1].params
    assert all(t.configuration != proposal.configuration for t in run(again, server, 10))


def test_a_recorded_crash_that_was_never_told_is_added(url: str) -> None:
    """A crash is as instructive after a kill as before it."""
    proposal = known(search(SERVER, url).ask())

    search(SERVER, url).resume(by_proposal(record(proposal, **crashed())))

    constraints = optunas(url)[1].constraints
    assert constraints == {"0": 1.0, "1": 1.0, "crash": 1.0, "latency": 1.0}


def test_a_recorded_trial_of_no_fault_is_not_added(url: str) -> None:
    """What says nothing of the configuration says nothing after a kill either."""
    proposal = known(search(SERVER, url).ask())
    spoiled = record(proposal, state=TrialState.FAILED, reason=Reason.CLIENT_OVERLOADED)

    search(SERVER, url).resume(by_proposal(spoiled))

    assert [t.state for t in optunas(url)] == [FAIL]


def test_a_lost_trial_overtakes_what_waits(url: str) -> None:
    """Whatever was enqueued before, the trial that was lost comes first."""
    hints = [SERVER.activate(hint) for hint in SERVER.hints]
    killed = search(SERVER, url)
    killed.enqueue(hints[1])
    killed.ask()
    again = search(SERVER, url)

    again.enqueue(hints[0])
    again.resume({})

    assert [t.configuration for t in run(again, server, 2)] == [hints[1], hints[0]]


@pytest.mark.parametrize(
    "lossy", [SERVER, space(real(low=0.5, high=8.0, default=1.0, log=True), switch())]
)
def test_any_lost_trial_comes_back_as_it_was(url: str, lossy: SearchSpace) -> None:
    """Lost configurations are read back from Optuna's tables exactly, in their order."""
    killed = search(lossy, url)
    records = list(run(killed, lambda _: throughput(1.0), 3))
    lost = [killed.ask(), killed.ask()]
    again = search(lossy, url)

    again.resume(by_proposal(*records))

    assert [p and p.configuration for p in (again.ask(), again.ask())] == [
        p and p.configuration for p in lost
    ]


def test_what_a_kill_left_half_asked_is_discarded(url: str) -> None:
    """Trials that were enqueued and never asked, or asked and without parameters, are closed."""
    search(SERVER, url)
    study = optuna.load_study(study_name="study", storage=url)
    study.ask()
    study.enqueue_trial({"instances": 3})
    again = search(SERVER, url)

    again.resume({})
    again.enqueue(SERVER.defaults)
    proposed = next(run(again, server, 1)).configuration

    assert [t.state for t in optunas(url)] == [FAIL, FAIL, COMPLETE]
    assert proposed == SERVER.defaults
