"""Capacities and latencies between the loads that were measured."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.report import studies
from tuner.analysis.interpolation import CurveEstimate, EstimateKind, capacity, latency
from tuner.analysis.load_curves import LoadCurve, LoadReading

ENDLESS = math.inf


def reading(load: float, latency_ms: float, *, trial: int = 1) -> LoadReading:
    return LoadReading(trial=trial, throughput=load, latency_s=latency_ms / 1e3, requests=1000)


def curve(*places: tuple[float, float], trial: int = 1) -> LoadCurve:
    """A load curve of inferences per second and milliseconds."""
    readings = tuple(reading(load, latency_ms, trial=trial) for load, latency_ms in places)
    return LoadCurve(studies.trial(trial), readings, readings)


def closed(*places: tuple[int, float, float]) -> LoadCurve:
    """A load curve of concurrency, inferences per second and milliseconds."""
    readings = tuple(
        LoadReading(trial=1, throughput=t, latency_s=ms / 1e3, requests=1000, concurrency=c)
        for c, t, ms in places
    )
    return LoadCurve(studies.trial(1), readings, ())


def at_20_ms(*curves: LoadCurve) -> CurveEstimate:
    return capacity(curves, 0.020)


def ends(estimate: CurveEstimate) -> tuple[float, float]:
    return estimate.low, estimate.high


class TestCapacity:
    def test_lies_on_the_line_of_logarithms(self) -> None:
        """Half way between the log latencies it is half way between the log loads."""
        found = at_20_ms(curve((100, 10), (200, 40)))

        assert found.throughput == pytest.approx(100 * math.sqrt(2))
        assert found.value == found.throughput
        assert (found.kind, ends(found)) == (EstimateKind.INTERPOLATED, (100, 200))

    @pytest.mark.parametrize(
        ("latency_ms", "kind"),
        [
            (20.0, EstimateKind.MEASURED),
            (18.2, EstimateKind.MEASURED),
            (17.8, EstimateKind.INTERPOLATED),
        ],
    )
    def test_near_a_measured_load_it_is_measured(
        self, latency_ms: float, kind: EstimateKind
    ) -> None:
        """Within 5 % of a load that was measured nothing is called interpolated."""
        found = at_20_ms(curve((100, latency_ms), (200, 80)))

        assert found.kind is kind
        assert (found.throughput <= 105) is (kind is EstimateKind.MEASURED)

    def test_near_the_load_above_it_is_measured(self) -> None:
        """The load over the limit counts as well."""
        assert at_20_ms(curve((100, 5), (200, 20.5))).kind is EstimateKind.MEASURED

    def test_nothing_over_the_limit(self) -> None:
        """It is never extrapolated beyond the highest load."""
        found = at_20_ms(curve((100, 10), (200, 15)))

        assert (found.kind, found.throughput, ends(found)) == (
            EstimateKind.AT_LEAST,
            200,
            (200, math.inf),
        )

    def test_nothing_within_the_limit(self) -> None:
        """It is at most the lowest load."""
        found = at_20_ms(curve((200, 40), (100, 30)))

        assert (found.kind, found.throughput, ends(found)) == (EstimateKind.NONE, 0, (0, 100))

    def test_small_loads_that_wait_for_their_batch(self) -> None:
        """A small load over the limit hides no larger one within it."""
        found = at_20_ms(curve((10, 35), (50, 25), (200, 10), (400, 40)))

        assert ends(found) == (200, 400)
        assert found.throughput == pytest.approx(200 * math.sqrt(2))

    def test_a_bump_below_the_highest_load_within(self) -> None:
        """The capacity is beyond the highest load within the limit, whatever is below it."""
        assert ends(at_20_ms(curve((100, 10), (150, 22), (200, 19), (300, 60)))) == (200, 300)

    def test_an_overloaded_load_above(self) -> None:
        """What has no latency is taken as full: latency grows with rho / (1 - rho)."""
        found = at_20_ms(curve((100, 10), (200, ENDLESS)))

        assert found.throughput == pytest.approx(200 * 2 / 3)

    def test_only_overloaded_loads(self) -> None:
        """An overloaded load is over any limit."""
        assert capacity([curve((100, ENDLESS))], 3600.0).kind is EstimateKind.NONE

    def test_a_limit_that_a_load_just_meets(self) -> None:
        """A latency equal to the limit is within it."""
        assert at_20_ms(curve((100, 20), (200, 40))).throughput == pytest.approx(100)

    def test_the_order_of_measuring_does_not_matter(self) -> None:
        """Load points come in the order of a search, not of their loads."""
        assert ends(at_20_ms(curve((300, 60), (100, 10), (200, 40), (50, 9)))) == (100, 200)

    @pytest.mark.parametrize(("above", "wide"), [(149.0, False), (151.0, True)])
    def test_loads_that_are_far_apart(self, above: float, *, wide: bool) -> None:
        """Beyond a factor of 1.5 the gap is called wide."""
        assert at_20_ms(curve((100, 10), (above, 40))).wide is wide

    def test_no_gap_is_not_wide(self) -> None:
        """With one end there is no gap."""
        assert not at_20_ms(curve((100, 10))).wide
        assert not at_20_ms(curve((100, 40))).wide


class TestStarts:
    def test_that_agree(self) -> None:
        """Their common part is what is left: all starts know the same configuration."""
        found = at_20_ms(curve((100, 10), (300, 40)), curve((150, 12), (200, 30), trial=2))

        assert ends(found) == (150, 200)
        assert found.starts == 2
        assert found.trial.number == 1

    def test_that_complete_each_other(self) -> None:
        """One start measured below the limit only, the other above it only."""
        found = at_20_ms(curve((100, 10)), curve((200, 40), trial=2))

        assert found.throughput == pytest.approx(100 * math.sqrt(2))
        assert (found.lower, found.upper) == (reading(100, 10), reading(200, 40, trial=2))

    def test_that_contradict_each_other(self) -> None:
        """Between a faster start and a slower one the answer is half way."""
        found = at_20_ms(curve((390, 18), (410, 22)), curve((360, 18), (380, 22), trial=2))

        assert ends(found) == (380, 390)
        assert found.throughput == pytest.approx(math.sqrt(380 * 390))
        assert found.kind is EstimateKind.MEASURED

    def test_of_which_one_was_lucky(self) -> None:
        """The best of many starts does not rule: the middle of them does."""
        starts = [curve((100 + n, 18), (110 + n, 22), trial=n) for n in range(4)]

        assert at_20_ms(*starts, curve((200, 18), (220, 22), trial=9)).throughput < 112

    def test_of_which_most_carry_nothing(self) -> None:
        """One start within the limit does not outweigh two that were over it lower down."""
        over = [curve((90, 30), trial=2), curve((80, 30), trial=3)]

        assert ends(at_20_ms(curve((100, 18), (110, 22)), *over)) == (80, 90)

    def test_at_equal_loads(self) -> None:
        """Starts that met the same arrivals may disagree on the very same load."""
        found = at_20_ms(curve((100, 18)), curve((90, 15), (100, ENDLESS), trial=2))

        assert found.throughput == pytest.approx(100)

    def test_errors_shrink_with_starts_and_grow_with_the_gap(self) -> None:
        """One start is uncertain by 5 %, four by half of that; a gap adds to it."""
        one = at_20_ms(curve((100, 10)))
        four = at_20_ms(*[curve((100, 10), trial=n) for n in range(4)])
        wide = at_20_ms(curve((100, 10), (200, 40)))

        assert (one.log_error, four.log_error) == (0.05, 0.025)
        assert wide.log_error == pytest.approx(math.hypot(0.05, math.log(2) / math.sqrt(12)))


PLACES = st.lists(
    st.tuples(st.floats(1, 1000), st.one_of(st.floats(1, 100), st.just(ENDLESS))),
    min_size=1,
    max_size=6,
    unique_by=lambda place: place[0],
)


@given(
    starts=st.lists(PLACES, min_size=1, max_size=4), limits=st.tuples(*[st.floats(0.5, 150)] * 2)
)
def test_a_larger_limit_never_allows_less(
    starts: list[list[tuple[float, float]]], limits: tuple[float, float]
) -> None:
    """Whatever was measured: the capacity grows with the limit and lies between its two loads."""
    curves = [curve(*places, trial=number) for number, places in enumerate(starts)]
    small, large = (capacity(curves, limit_ms / 1e3) for limit_ms in sorted(limits))

    assert small.throughput <= large.throughput * (1 + 1e-9)
    for each in (small, large):
        assert each.low * (1 - 1e-9) <= each.throughput
        assert each.kind is EstimateKind.NONE or each.throughput <= each.high * (1 + 1e-9)


class TestClosedLoops:
    def test_the_capacity_is_what_the_highest_concurrency_carries(self) -> None:
        """Nothing lies between two concurrencies that could be interpolated."""
        found = at_20_ms(closed((8, 400, 10), (12, 500, 18), (16, 520, 25)))

        assert (found.throughput, found.kind, ends(found)) == (
            500,
            EstimateKind.MEASURED,
            (500, 520),
        )

    def test_a_higher_concurrency_that_carries_less(self) -> None:
        """The upper bound is not below the lower one."""
        assert ends(at_20_ms(closed((8, 400, 10), (16, 390, 25)))) == (400, 400)

    def test_nothing_over_the_limit(self) -> None:
        """The highest concurrency is a lower bound."""
        assert at_20_ms(closed((8, 400, 10))).kind is EstimateKind.AT_LEAST

    @pytest.mark.parametrize(("above", "wide"), [(2, False), (3, True)])
    def test_neighbours_are_no_gap(self, above: int, *, wide: bool) -> None:
        """Between 1 and 2 there is no concurrency to measure."""
        assert at_20_ms(closed((1, 100, 10), (above, 150, 25))).wide is wide

    def test_the_error_is_that_of_starts(self) -> None:
        """No root was sought between the two."""
        assert at_20_ms(closed((8, 400, 10), (16, 500, 25))).log_error == 0.05


class TestLatency:
    def test_lies_on_the_line_of_logarithms(self) -> None:
        """Half way between the log loads it is half way between the log latencies."""
        found = latency([curve((100, 10), (400, 40))], 200)

        assert found.value == pytest.approx(0.020)
        assert (found.kind, found.throughput, ends(found)) == (
            EstimateKind.INTERPOLATED,
            200,
            (100, 400),
        )

    def test_near_a_measured_load_it_is_measured(self) -> None:
        """5 % are near."""
        assert latency([curve((100, 10), (400, 40))], 104).kind is EstimateKind.MEASURED

    def test_below_all_loads(self) -> None:
        """The latency at the lowest load is a bound."""
        found = latency([curve((100, 10), (400, 40))], 50)

        assert (found.kind, found.value) == (EstimateKind.AT_MOST, 0.010)

    def test_above_all_loads(self) -> None:
        """Nothing is extrapolated."""
        found = latency([curve((100, 10), (400, 40))], 500)

        assert math.isnan(found.value)
        assert found.kind is EstimateKind.NONE

    def test_above_an_overloaded_load(self) -> None:
        """Where less was too much already, it is infinite."""
        assert latency([curve((100, 10), (400, ENDLESS))], 500).value == math.inf
        assert latency([curve((100, ENDLESS), (400, 10))], 200).value == math.inf

    def test_below_an_overloaded_load(self) -> None:
        """What has no latency is taken as full: latency grows with rho / (1 - rho)."""
        assert latency([curve((100, 10), (300, ENDLESS))], 200).value == pytest.approx(0.040)

    def test_at_a_load_that_was_measured(self) -> None:
        """Of several starts at the same load the middle one counts."""
        starts = [curve((90, 5), (100, ms), trial=n) for n, ms in enumerate((30, 10, 20))]

        found = latency(starts, 100)

        assert (found.value, found.kind, ends(found)) == (0.020, EstimateKind.MEASURED, (100, 100))

    def test_between_loads_of_several_starts(self) -> None:
        """The nearest loads count, of whatever start."""
        found = latency([curve((50, 1), (400, 90)), curve((100, 10), (200, 40), trial=2)], 150)

        assert ends(found) == (100, 200)

    def test_of_no_open_loop(self) -> None:
        """Closed loops say nothing of a latency at a rate."""
        assert math.isnan(latency([closed((8, 400, 10))], 400).value)
