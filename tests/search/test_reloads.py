"""Where one configuration is as good as another, the one that needs no restart comes first."""

import itertools
from collections.abc import Iterator

import pytest

from tests.analysis.known import known
from tests.refusals import refused
from tests.search.test_search import record, search, throughput
from tests.spaces import choice, integer, real, space, switch
from tuner.search.samplers import Sampler
from tuner.search.search import Search
from tuner.space.expressions import Value
from tuner.space.space import Configuration, SearchSpace

# `threads` and `allocator` take effect with a restart only.
SERVER = space(
    integer("instances", high=8, log=True),
    switch("batching"),
    integer("size", when="batching", low=2, high=16, log=True, default=16),
    integer("threads", high=4, default=4),
    choice("system", "jemalloc", name="allocator"),
)
LINE = space(integer("n", high=9), integer("threads", high=9))


def can_reload(before: Configuration, after: Configuration) -> bool:
    return all(before.get(name) == after.get(name) for name in ("threads", "allocator"))


def proposed(search: Search, trials: int) -> Iterator[Configuration]:
    """What is proposed while the server has the configuration before."""
    current: Configuration | None = None
    for _ in range(trials):
        proposal = search.ask(current, can_reload)
        if proposal is None:
            return
        search.tell(proposal.number, record(proposal, **throughput(100.0)))
        current = proposal.configuration
        yield current


def restarts(configurations: list[Configuration]) -> int:
    return sum(not can_reload(*pair) for pair in itertools.pairwise(configurations))


def test_hints_are_grouped() -> None:
    """The baseline is first; then hints that need no restart come before those that do."""
    values: list[dict[str, Value]] = [
        {"threads": 1},
        {"batching": True},
        {"threads": 1, "batching": True},
        {"threads": 2, "allocator": "jemalloc"},
        {"instances": 8},
    ]
    hints = [SERVER.activate(each) for each in values]
    started = search(SERVER)
    for hint in (*hints, SERVER.defaults):
        started.enqueue(hint)

    assert list(proposed(started, 6)) == [
        SERVER.defaults, hints[1], hints[4], hints[0], hints[2], hints[3]
    ]  # fmt: skip


def test_hints_keep_their_order_without_a_server() -> None:
    """With no server that runs, nothing is a reload: what was enqueued first comes first."""
    hints = [SERVER.activate({"threads": n}) for n in (3, 1, 2)]
    started = search(SERVER)
    for hint in (*hints, SERVER.defaults):
        started.enqueue(hint)

    found = [started.ask(None, can_reload) for _ in range(4)]

    assert [p and p.configuration for p in found] == [SERVER.defaults, *hints]


def test_small_steps_prefer_reloads() -> None:
    """Steps from the best configuration that need no restart are tried first."""
    started = search(LINE, local_steps=10, model=False)
    started.enqueue(Configuration.of({"n": 5, "threads": 5}))

    near = list(proposed(started, 6))

    assert {c["n"] for c in near[:5]} == {3, 4, 5, 6, 7}
    assert {c["threads"] for c in near[:5]} == {5}
    assert near[5]["threads"] != 5


@pytest.mark.parametrize("wish", ["f", "g", "h"])
def test_what_promises_as_much_prefers_reloads(wish: str) -> None:
    """Of configurations that the model cannot tell apart, the one without a restart is tried."""
    names = space(choice(*"abcdefgh", name="allocator"))
    started = search(names)
    for name in "abcde":
        started.enqueue(Configuration.of({"allocator": name}))
    list(proposed(started, 5))

    proposal = known(started.ask(names.defaults, lambda _, after: after["allocator"] == wish))

    assert proposal.configuration["allocator"] == wish


def test_a_promise_outweighs_a_restart() -> None:
    """What promises much more is tried, restart or not."""
    slope = space(integer("n", high=30))
    started = search(slope)
    for n in (1, 2, 3, 4, 20, 21):
        started.enqueue(Configuration.of({"n": n}))
    for _ in range(6):
        asked = known(started.ask())
        value = 100.0 + 10 * int(asked.configuration["n"])
        started.tell(asked.number, record(asked, **throughput(value)))

    proposal = known(started.ask(slope.defaults, lambda _, after: int(after["n"]) < 15))

    assert int(proposal.configuration["n"]) > 21


def test_what_was_never_tried_prefers_reloads() -> None:
    """Without any good configuration, what is left is tried with as few restarts as it takes."""
    started = search(LINE, sampler=Sampler.EXHAUSTIVE)

    everything = list(proposed(started, 81))

    assert len(set(everything)) == 81
    assert restarts(everything) < 20  # of 8 at least, of 71 in a random order


def test_exhausting_goes_anywhere_first() -> None:
    """The first tenth of an exhaustive search is spread over the space, not one end of it."""
    big = space(integer("a", high=16), integer("b", high=16))
    started = search(big, sampler=Sampler.EXHAUSTIVE)

    first = [p.configuration for p in (started.ask() for _ in range(26)) if p]

    for name in ("a", "b"):
        assert {(int(c[name]) - 1) // 4 for c in first} == {0, 1, 2, 3}


def test_exhaust_proposes_everything_once() -> None:
    """After what is enqueued, every valid configuration comes once; then there is nothing."""
    started = search(SERVER)
    started.enqueue(SERVER.defaults)
    started.enqueue(SERVER.activate({"threads": 2}))
    started.exhaust()

    everything = list(proposed(started, 1000))

    assert everything[:2] == [SERVER.defaults, SERVER.activate({"threads": 2})]
    assert len(everything) == len(set(everything)) == SERVER.size
    assert started.ask() is None


@pytest.mark.parametrize(
    "endless",
    [
        pytest.param(space(real(), integer()), id="real numbers"),
        pytest.param(space(integer("a", high=1000), integer("b", high=1000)), id="too many"),
    ],
)
def test_what_cannot_be_exhausted(endless: SearchSpace) -> None:
    """A space that cannot be counted is refused, with what to do about it."""
    message = (
        "an exhaustive search needs a space that can be counted, of at most 100000 combinations"
    )
    hint = "give real parameters a `step`, vary fewer parameters, or choose another `--sampler`"
    with refused(message, hint):
        search(endless, sampler=Sampler.EXHAUSTIVE)
    with refused(message, hint):
        search(endless).exhaust()
