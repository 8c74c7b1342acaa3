"""A winner measured again, in virtual time: what is run, when it ends, what is found."""

import math
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.capacity.simulated_server import Batching, Simulation
from tests.refusals import refused
from tests.report import studies
from tests.study.simulated_bench import Watcher, simulated_bench
from tests.study.test_loop import BUDGET, SPACE, batching, ran
from tuner.analysis.loss import LossVerdict
from tuner.errors import Reason
from tuner.records import Purpose, StudyRecord, TrialState
from tuner.space.space import Configuration
from tuner.study import check
from tuner.study.check import Checked, CheckOutcome, CheckPlan, Side
from tuner.study.comparable import Difference

Server = Callable[[Configuration], Simulation | None]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> StudyRecord:
    """A study that found a winner, and confirmed it three times."""
    return ran(tmp_path_factory.mktemp("study") / "studies.db").record


def slower(configuration: Configuration) -> Simulation | None:
    """Everything takes a tenth longer than in the study."""
    usual = batching(configuration)
    assert isinstance(usual, Batching)
    return replace(usual, base_s=1.1 * usual.base_s, each_s=1.1 * usual.each_s)


def broken(configuration: Configuration) -> Simulation | None:
    """The server starts with its defaults only."""
    return batching(configuration) if configuration == SPACE.defaults else None


def checked(
    study: StudyRecord, server: Server = batching, *, rounds: int = 6, until_s: float = math.inf
) -> tuple[Checked, Watcher]:
    """A check on a simulated server, and what was seen of it."""
    winner, canary = check.sides(study)
    known = Checked(study, CheckPlan(rounds=rounds), winner, canary)
    with simulated_bench(SPACE, server, BUDGET) as (bench, watcher):
        return check._rounds(bench, known, until_s), watcher


def test_an_unchanged_server_is_as_good(study: StudyRecord) -> None:
    """Three rounds, in each a fresh start of the winner and of the defaults, show it."""
    found, watcher = checked(study)

    assert found.outcome is CheckOutcome.AS_GOOD
    assert found.rounds == 3
    assert [purpose for purpose, _ in watcher.began] == [Purpose.FINAL] * 6
    sides = check.sides(study)
    wanted = {each.configuration for each in sides if each}
    rounds = [{c for _, c in watcher.began[at : at + 2]} for at in (0, 2, 4)]
    assert rounds == [wanted] * 3
    assert {trial.applied for trial in watcher.ended} == {"restart"}


def test_it_is_measured_as_the_finals_were(study: StudyRecord) -> None:
    """With the same arrivals, and load points of the same length: unchanged, nothing differs."""
    found, _ = checked(study)
    side = found.winner

    assert [t.seed for t in side.now] == [t.seed for t in side.then]
    lasted = [[p.duration_s for p in t.points if p.phase == "search"] for t in side.now]
    before = [[p.duration_s for p in t.points if p.phase == "search"] for t in side.then]
    assert lasted[0][0] == pytest.approx(before[0][0], rel=0.01)


def test_a_slower_server_is_worse(study: StudyRecord) -> None:
    """What takes a tenth longer is found out, and that the defaults suffer as well."""
    found, _ = checked(study, slower)

    assert found.outcome is CheckOutcome.WORSE
    ratio = found.winner.change.ratio
    assert ratio is not None
    assert ratio.high < 0.95
    assert found.canary is not None
    assert found.canary.change.verdict(0.05) is LossVerdict.WORSE


def test_a_winner_that_fails_is_worse(study: StudyRecord) -> None:
    """Two starts that fail are enough, where the defaults start."""
    found, _ = checked(study, broken)

    assert (found.outcome, found.rounds) == (CheckOutcome.WORSE, 2)
    assert [t.reason for t in found.winner.failures] == [Reason.INVALID_CONFIGURATION] * 2


def test_a_failure_brings_no_further_look(study: StudyRecord) -> None:
    """After a start that fails once, it is looked at when it would have been anyway."""
    to_fail = iter((True,))

    def once(configuration: Configuration) -> Simulation | None:
        if configuration != SPACE.defaults and next(to_fail, False):
            return None
        usual = batching(configuration)
        assert isinstance(usual, Batching)
        return replace(usual, base_s=2 * usual.base_s, each_s=2 * usual.each_s)

    found, _ = checked(study, once)

    assert found.winner.change.failures == 1
    assert (found.outcome, found.rounds) == (CheckOutcome.WORSE, 3)


def test_a_server_that_fails_with_everything_is_worse(study: StudyRecord) -> None:
    """An image that does not start is what a check is to find out, not another machine."""
    found, _ = checked(study, lambda _: None)

    assert (found.outcome, found.rounds) == (CheckOutcome.WORSE, 2)
    assert found.canary is not None
    assert found.canary.change.fails


def test_no_round_begins_too_late(study: StudyRecord) -> None:
    """The first round is run however little time there is."""
    found, _ = checked(study, until_s=0.0)

    assert found.rounds == 1


def start(capacity: float) -> Side:
    """A configuration that carried 1,000 three times, and carries this now."""
    then, now = (
        tuple(studies.trial(n, each * (1 + 0.002 * n)) for n in range(3))
        for each in (1000.0, capacity)
    )
    return Side(studies.BEST, then, now)


@pytest.mark.parametrize(
    ("capacity", "machine", "outcome"),
    [
        (1000.0, (), CheckOutcome.AS_GOOD),
        (1000.0, (0.5, 0.5, 0.5), CheckOutcome.AS_GOOD),
        (1000.0, (1.5, 1.6, 1.4), CheckOutcome.NOT_COMPARABLE),
        (1000.0, (1.5, 1.1, 1.4), CheckOutcome.AS_GOOD),
        (800.0, (), CheckOutcome.WORSE),
        (800.0, (0.9,), CheckOutcome.WORSE),
        (800.0, (0.5, 0.6, 0.5), CheckOutcome.NOT_COMPARABLE),
        (800.0, (0.5, 1.0, 0.5), CheckOutcome.WORSE),
        (800.0, (1.5, 1.6, 1.4), CheckOutcome.WORSE),
    ],
)
def test_the_speed_of_the_machine(
    capacity: float, machine: tuple[float, ...], outcome: CheckOutcome
) -> None:
    """A slower machine excuses a loss, a faster one may hide it; a moment of either does not."""
    found = Checked(studies.night(), CheckPlan(), start(capacity), None, machine=machine)

    assert found.outcome is outcome


def test_what_rules_a_comparison_out() -> None:
    """Another machine is said whatever was measured."""
    found = Checked(
        studies.night(),
        CheckPlan(),
        Side(studies.BEST, start(1.0).then),
        None,
        (Difference("cores", "2", "4", rules_out=True), Difference("python", "3.11", "3.12")),
    )

    assert found.outcome is CheckOutcome.NOT_COMPARABLE
    assert found.obstacle == "cores: 2 then, 4 now"


def test_starts_that_the_machine_spoiled() -> None:
    """Where none is left, that is said, not that the winner is worse."""
    late = studies.failed(0, Reason.CLIENT_OVERLOADED, "search: requests left 9 ms late (p99)")
    side = Side(studies.BEST, start(1.0).then, (late,))
    found = Checked(studies.night(), CheckPlan(), side, None)

    assert found.winner.failures == ()
    assert found.obstacle == (
        "this machine spoiled every start: search: requests left 9 ms late (p99)"
    )


def test_sides() -> None:
    """The winner's and the baseline's fresh starts; no canary where it is the winner itself."""
    winner, canary = check.sides(studies.night())

    assert (winner.configuration, len(winner.then)) == (studies.BEST, 3)
    assert canary is not None
    assert (canary.configuration, len(canary.then)) == (studies.DEFAULTS, 3)
    alone = studies.study([studies.baseline(), studies.final(1, studies.DEFAULTS, 150.0)])
    assert check.sides(alone)[1] is None


def test_a_study_without_a_winner() -> None:
    """There is nothing to check."""
    hopeless = studies.study([studies.infeasible(studies.baseline(), unloaded_s=0.09)])
    assert hopeless.trials[0].state is TrialState.INFEASIBLE

    with refused(
        "study `encoder-p99-50ms` has no winner that could be checked",
        "`tuner studies list` shows which studies have one",
    ):
        check.sides(hopeless)


def test_a_winner_that_is_not_confirmed() -> None:
    """The best of a search is a lucky measurement: not to reach it again is no loss."""
    with refused(
        "no fresh start has confirmed the winner of study `encoder-p99-50ms`: the best of a "
        "search is partly lucky, and would seem to have lost",
        "`tuner resume encoder-p99-50ms --timeout 10m` runs its finals",
    ):
        check.sides(studies.small_study())
