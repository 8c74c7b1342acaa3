"""A study whose database others hold in the middle of its search: it waits, and loses nothing."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.report import studies
from tests.store.holding import Holder, held, pausing
from tests.study.test_loop import BUDGET, ran
from tuner.records import Golden, Purpose, TrialRecord
from tuner.study.trial import Bench, TrialPlan, run_trial


@pytest.mark.parametrize("kind", ["exclusive", "immediate"])
def test_locked_in_the_middle_of_a_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """The third, sixth, ... trial ends while the database is locked: all are stored, as ever."""
    path = tmp_path / "studies.db"
    undisturbed = ran(tmp_path / "other.db", trials=6).record
    holders: list[Holder] = []
    waited = 0

    with ExitStack() as stack:

        def let_go() -> None:
            nonlocal waited
            waited += 1
            holders[-1].let_go()

        def disturbed(bench: Bench, plan: TrialPlan) -> tuple[TrialRecord, Golden | None]:
            ended = run_trial(bench, plan)
            if plan.number % 3 == 2 or plan.purpose is Purpose.PROOF:
                holders.append(stack.enter_context(held(path, kind)))
                pausing(monkeypatch, let_go)
            return ended

        monkeypatch.setattr("tuner.study.loop.run_trial", disturbed)
        record = ran(path, trials=6, record=studies.study(budget=BUDGET)).record

    assert waited == len(holders) >= 3
    assert [t.configuration for t in record.trials] == [
        t.configuration for t in undisturbed.trials
    ]
    assert [t.throughput for t in record.trials] == [t.throughput for t in undisturbed.trials]
    assert {each.name for each in tmp_path.iterdir()} == {"studies.db", "other.db"}
