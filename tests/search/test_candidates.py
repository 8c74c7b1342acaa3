"""What has not been proposed yet."""

import pytest

from tests.spaces import integer, real, space, switch
from tuner.search.candidates import POOL, Candidates
from tuner.space.space import Configuration, SearchSpace

SMALL = space(integer("n", high=9), switch(), rules=("batching or n > 2",))
LARGE = space(*(integer(name, high=30) for name in "abcd"))
ENDLESS = space(real(), integer("n", high=4), rules=("x < 0.5",))


def at(n: int) -> Configuration:
    return Configuration.of({"n": n, "batching": True})


def anything(_: Configuration) -> bool:
    return False


def test_near_the_first_that_has_any() -> None:
    """Steps are those of the first base with a new one that is not to be avoided."""
    candidates = Candidates(SMALL, seed=0)
    first = set(candidates.near([at(1), at(9)], anything))

    avoiding = set(candidates.near([at(1), at(9)], lambda c: int(c["n"]) < 7))
    candidates.seen |= first
    second = set(candidates.near([at(1), at(9)], anything))

    assert first == {at(2), at(3)}
    assert avoiding == second == {at(7), at(8), Configuration.of({"n": 9, "batching": False})}
    assert candidates.near([at(1)], anything) == ()
    assert candidates.near([], anything) == ()


def test_steps_without_order_differ_each_time() -> None:
    """Where values cannot be counted, other random steps are made each time."""
    candidates = Candidates(ENDLESS, seed=0)
    base = Configuration.of({"x": 0.25, "n": 2})

    found = {c["x"] for _ in range(5) for c in candidates.near([base], anything)}

    assert len(found) > 4


@pytest.mark.parametrize("any_space", [SMALL, LARGE, ENDLESS])
def test_anywhere_is_new_and_valid(any_space: SearchSpace) -> None:
    """What is drawn anywhere keeps the rules and was not seen; some is enough."""
    candidates = Candidates(any_space, seed=0)
    candidates.seen.update(candidates.anywhere(anything)[:5])

    found = candidates.anywhere(lambda c: c.get("n") == 3)

    assert 0 < len(found) <= POOL
    assert all(candidates.is_new(c) for c in found)
    assert all(c.get("n") != 3 for c in found)
    assert not any(any_space.violations(c) for c in found)


def test_nothing_is_left() -> None:
    """An exhausted space has nothing anywhere, a single gap is found."""
    candidates = Candidates(SMALL, seed=0)
    *most, last = SMALL.grid()
    candidates.seen.update(most)

    assert candidates.anywhere(anything) == [last]
    assert candidates.anywhere(lambda c: c == last) == []


@pytest.mark.parametrize("any_space", [SMALL, LARGE, ENDLESS])
def test_a_fair_sample(any_space: SearchSpace) -> None:
    """The sample is valid, without repeats, the same each time, and no other for having asked."""
    candidates, others = Candidates(any_space, seed=3), Candidates(any_space, seed=3)
    first = list(candidates.sample())

    assert first == list(others.sample())
    assert len(set(first)) == len(first) <= 2000
    assert not any(any_space.violations(c) for c in first)
    assert list(candidates.anywhere(anything)) == list(others.anywhere(anything))
    assert list(candidates.sample()) == first


def test_a_sample_is_all_of_a_small_space() -> None:
    """A small space is its own sample; of a large one, it reaches every value."""
    small, large = Candidates(SMALL, seed=0).sample(), Candidates(LARGE, seed=0).sample()

    assert set(small) == set(SMALL.grid())
    assert len(large) == 2000
    assert {c["a"] for c in large} == set(range(1, 31))
