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


K = EstimateKind
ROOT_2 = math.sqrt(2)


class TestCapacity:
    @pytest.mark.parametrize(
        ("places", "kind", "throughput", "between"),
        [
            # Half way between the log latencies it is half way between the log loads.
            (((100, 10), (200, 40)), K.INTERPOLATED, 100 * ROOT_2, (100, 200)),
            # Within 5 % of a load that was measured nothing is called interpolated,
            (((100, 20.0), (200, 80)), K.MEASURED, 100, (100, 200)),
            (((100, 18.2), (200, 80)), K.MEASURED, 104.5, (100, 200)),
            (((100, 17.8), (200, 80)), K.INTERPOLATED, 105.5, (100, 200)),
            # also of the load over the limit.
            (((100, 5), (200, 20.5)), K.MEASURED, 197.6, (100, 200)),
            # It is never extrapolated beyond the highest load,
            (((100, 10), (200, 15)), K.AT_LEAST, 200, (200, math.inf)),
            # and at most the lowest load.
            (((200, 40), (100, 30)), K.NONE, 0, (0, 100)),
            # A small load that waits for its batch hides no larger one within the limit,
            (((10, 35), (50, 25), (200, 10), (400, 40)), K.INTERPOLATED, 283, (200, 400)),
            # nor does a bump.
            (((100, 10), (150, 22), (200, 19), (300, 60)), K.MEASURED, 203.7, (200, 300)),
            # What has no latency is taken as full: latency grows with rho / (1 - rho).
            (((100, 10), (200, ENDLESS)), K.INTERPOLATED, 200 * 2 / 3, (100, 200)),
            (((100, ENDLESS),), K.NONE, 0, (0, 100)),
            # A latency equal to the limit is within it.
            (((100, 20), (200, 40)), K.MEASURED, 100, (100, 200)),
            # Load points come in the order of a search, not of their loads.
            (((300, 60), (100, 10), (200, 40), (50, 9)), K.INTERPOLATED, 141.4, (100, 200)),
        ],
    )
    def test_between_the_loads(
        self,
        places: tuple[tuple[float, float], ...],
        kind: EstimateKind,
        throughput: float,
        between: tuple[float, float],
    ) -> None:
        """Where the latency meets 20 ms, how that is known, and the loads around it."""
        found = at_20_ms(curve(*places))

        assert (found.kind, ends(found)) == (kind, between)
        assert found.value == found.throughput == pytest.approx(throughput, rel=1e-3)

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
    @pytest.mark.parametrize(
        ("places", "load", "kind", "latency_ms"),
        [
            # Half way between the log loads it is half way between the log latencies.
            (((100, 10), (400, 40)), 200, K.INTERPOLATED, 20),
            (((100, 10), (400, 40)), 104, K.MEASURED, 10.4),
            # The latency at the lowest load is a bound; nothing is extrapolated.
            (((100, 10), (400, 40)), 50, K.AT_MOST, 10),
            (((100, 10), (400, 40)), 500, K.NONE, math.nan),
            # Where less was too much already, it is infinite.
            (((100, 10), (400, ENDLESS)), 500, K.NONE, math.inf),
            (((100, ENDLESS), (400, 10)), 200, K.INTERPOLATED, math.inf),
            # What has no latency is taken as full: latency grows with rho / (1 - rho).
            (((100, 10), (300, ENDLESS)), 200, K.INTERPOLATED, 40),
        ],
    )
    def test_between_the_loads(
        self,
        places: tuple[tuple[float, float], ...],
        load: float,
        kind: EstimateKind,
        latency_ms: float,
    ) -> None:
        """The latency at a load, and how it is known."""
        found = latency([curve(*places)], load)

        assert (found.kind, found.throughput) == (kind, load)
        assert 1e3 * found.value == pytest.approx(latency_ms, nan_ok=True)

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
