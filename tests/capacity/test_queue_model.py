"""Where the latency percentile crosses its limit: the posterior of the root."""

import math

import numpy as np
import pytest

from tuner.capacity.queue_model import Observation, Root, root

LIMIT_S, UNLOADED_S, MOST = 0.05, 0.01, 1000.0
TRUE_ROOT = 800.0


def latency_s(rate: float) -> float:
    """A queue whose percentile is the limit at TRUE_ROOT."""
    slope = (LIMIT_S - UNLOADED_S) / (TRUE_ROOT / (MOST - TRUE_ROOT))
    return UNLOADED_S + slope * rate / (MOST - rate)


def seen(*rates: float, log_error: float = 0.05, factor: float = 1.0) -> list[Observation]:
    return [Observation(rate, factor * latency_s(rate), log_error) for rate in rates]


def found(observations: list[Observation]) -> Root:
    return root(observations, limit_s=LIMIT_S, unloaded_s=UNLOADED_S, saturation=MOST)


@pytest.mark.parametrize(
    "rates", [(780.0, 820.0), (600.0, 780.0), (850.0, 810.0, 790.0), (500.0, 900.0, 800.0)]
)
def test_the_root_of_a_queue_is_found(rates: tuple[float, ...]) -> None:
    """Within 2 % once two loads lie around it or close to it, whatever their order."""
    assert found(seen(*rates)).rate == pytest.approx(TRUE_ROOT, rel=0.02)


def test_every_point_narrows_the_answer() -> None:
    """One load far away leaves much open; loads near the root close it."""
    errors = [
        found(seen(*rates)).log_error
        for rates in (
            (400.0,),
            (400.0, 700.0),
            (400.0, 700.0, 790.0),
            (400.0, 700.0, 790.0, 805.0),
        )
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > 0.05
    assert errors[-1] < 0.03


def test_noise_widens_the_answer() -> None:
    """No point is thrown away: what is uncertain counts less."""
    sure, unsure = (found(seen(790.0, 810.0, log_error=error)).log_error for error in (0.02, 0.5))
    assert unsure > 1.5 * sure


def test_one_spoiled_point_does_not_rule() -> None:
    """A stall of the machine makes one of four percentiles ten times what it is."""
    spoiled = [*seen(700.0, 780.0, 815.0), *seen(760.0, factor=10.0)]
    assert found(spoiled).rate == pytest.approx(TRUE_ROOT, rel=0.06)


def test_an_endless_queue_is_too_high_and_no_more() -> None:
    """The latency of an overloaded point says how long one looked: only that it is over."""
    stopped = found([Observation(950.0, math.inf, 0.0), *seen(780.0)])
    assert 700 < stopped.rate < 900
    assert stopped.probability_above(950.0) < 0.05


def test_the_chance_to_beat_a_rate() -> None:
    """From certain to impossible, falling with the rate."""
    known = found(seen(780.0, 820.0))
    chances = [known.probability_above(rate) for rate in (0.0, 500.0, 800.0, 1000.0)]
    assert chances == sorted(chances, reverse=True)
    assert chances[0] == 1.0
    assert 0.2 < chances[2] < 0.8
    assert chances[3] < 0.01


def test_quantiles_surround_the_estimate() -> None:
    """Ninety per cent of what is believed lies between them."""
    known = found(seen(780.0, 820.0))
    low, high = known.quantile(0.05), known.quantile(0.95)
    assert low < known.rate < high
    assert known.probability_above(low) == pytest.approx(0.95, abs=0.03)


def test_without_points_only_the_saturation_is_known() -> None:
    """Somewhere below it, most likely, and hardly ever far below."""
    nothing = found([])
    assert nothing.probability_above(1.4 * MOST) < 0.01
    assert nothing.log_error > 0.3
    assert nothing.probability_above(0.1 * MOST) > 0.9


def test_a_limit_below_the_unloaded_latency_has_a_root_all_the_same() -> None:
    """The unloaded latency can be that of a batch which waits for its delay."""
    late = root(seen(780.0, 820.0), limit_s=LIMIT_S, unloaded_s=0.2, saturation=MOST)
    assert late.rate == pytest.approx(TRUE_ROOT, rel=0.05)


def test_the_weights_are_a_distribution() -> None:
    """They add up to one, on an ascending grid."""
    known = found(seen(780.0, 820.0))
    assert known.weights.sum() == pytest.approx(1.0)
    assert (np.diff(known.log_rates) > 0).all()
