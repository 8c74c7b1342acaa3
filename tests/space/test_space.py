"""Search spaces: domains, conditions, rules, and what a configuration is."""

import dataclasses
import itertools
import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.spaces import choice, integer, real, space, spaces, switch
from tuner.errors import SpaceError
from tuner.space.document import fingerprint, space_document, stored_space
from tuner.space.expressions import Value
from tuner.space.settings import ServerFlag
from tuner.space.space import COUNT_LIMIT, Configuration, Parameter, SearchSpace, in_order

BATCHING = space(
    switch(),
    integer("size", when="batching", low=2, high=8, log=True, default=4),
    choice(0, 2, 4, name="preferred", when="size > 2"),
    integer("threads", high=4, default=2),
    rules=("preferred <= size", "threads <= cores", "threads * size <= 16"),
    constants={"cores": 3},
)


class TestIntParameter:
    @pytest.mark.parametrize(
        ("keys", "choices", "domain"),
        [
            ({"low": 1, "high": 4}, (1, 2, 3, 4), "1 to 4"),
            ({"low": 3, "high": 3, "default": 3}, (3,), "3 to 3"),
            ({"low": 1, "high": 8, "step": 3}, (1, 4, 7), "1 to 8 step 3"),
            ({"low": 1, "high": 8, "log": True}, (1, 2, 4, 8), "1 to 8, doubling"),
            ({"low": 1, "high": 6, "log": True}, (1, 2, 4, 6), "1 to 6, doubling"),
            ({"low": 3, "high": 20, "log": True, "default": 3}, (3, 6, 12, 20), None),
            ({"low": 1, "high": 1, "log": True}, (1,), None),
            ({"low": 1, "high": 8, "log": True, "default": 3}, (1, 2, 3, 4, 8), None),
            ({"low": 1, "high": 8, "log": True, "default": 9}, (1, 2, 4, 8), None),
        ],
    )
    def test_values(
        self, keys: dict[str, Any], choices: tuple[int, ...], domain: str | None
    ) -> None:
        """All values by step, or by doubling with the upper bound and the default among them."""
        parameter = integer(**keys)
        assert parameter.choices == choices
        assert domain is None or parameter.domain == domain

    @given(st.integers(1, 10**12), st.integers(0, 10**12))
    def test_doubling_stays_within_the_bounds(self, low: int, more: int) -> None:
        """However large the bounds, no doubling is lost and none is beyond."""
        numbers = integer(low=low, high=low + more, log=True, default=low).choices
        assert (numbers[0], numbers[-1]) == (low, low + more)
        for one, next_one in itertools.pairwise(map(int, numbers)):
            assert one < next_one <= 2 * one

    @pytest.mark.parametrize("value", [0, 9, 2.0, True, "2", 3])
    def test_refuses_what_is_not_in_the_domain(self, value: Value) -> None:
        """A value is a whole number on the grid; neither 2.0, true nor text is one."""
        assert not integer(log=True).accepts(value)

    def test_takes_a_large_range_without_counting_it(self) -> None:
        """Whether a value belongs to a range is known without listing the range."""
        assert integer(high=10**15).accepts(10**14)

    @pytest.mark.parametrize(("value", "nearest"), [(0, 1), (3, 2), (3.1, 4), (100, 8), (4, 4)])
    def test_nearest(self, value: float, nearest: int) -> None:
        """The nearest value of the domain; the lower one if two are as near."""
        assert integer(log=True).nearest(value) == nearest


class TestFloatParameter:
    @pytest.mark.parametrize(
        ("keys", "choices", "domain"),
        [
            ({}, None, "0.0 to 1.0"),
            ({"low": 0.5, "log": True}, None, "0.5 to 1.0, logarithmic"),
            ({"high": 0.4, "step": 0.1}, (0.0, 0.1, 0.2, 0.3, 0.4), "0.0 to 0.4 step 0.1"),
            ({"high": 1.0, "step": 0.4}, (0.0, 0.4, 0.8), "0.0 to 1.0 step 0.4"),
        ],
    )
    def test_values(self, keys: dict[str, Any], choices: tuple[float], domain: str) -> None:
        """With a step the values are a grid of short numbers, without one they have no count."""
        assert real(**keys).choices == choices
        assert real(**keys).domain == domain

    @pytest.mark.parametrize(
        ("value", "accepted"),
        [
            (0, True),
            (0.3, True),
            (1.0, True),
            (0.35, False),
            (1.1, False),
            (-0.1, False),
            (True, False),
            ("0.3", False),
            (float("nan"), False),
            (float("inf"), False),
        ],
    )
    def test_accepts(self, *, value: Value, accepted: bool) -> None:
        """A value is a number within the bounds, and on the grid if there is one."""
        assert real(step=0.1).accepts(value) is accepted

    def test_accepts_any_number_within_the_bounds(self) -> None:
        """Without a step every number within the bounds is a value."""
        assert real().accepts(0.123456789)

    @pytest.mark.parametrize(
        ("keys", "value", "nearest"),
        [({}, 0.123, 0.123), ({}, 7, 1.0), ({}, -7, 0.0), ({"step": 0.25}, 0.6, 0.5)],
    )
    def test_nearest(self, keys: dict[str, Any], value: float, nearest: float) -> None:
        """The nearest value of the domain, on the grid if there is one."""
        assert real(**keys).nearest(value) == nearest


class TestCategoricalParameter:
    def test_accepts_only_what_is_the_same(self) -> None:
        """1, true and text that looks alike are three different values."""
        assert choice(1, "2").accepts(1)
        assert choice(1, "2").accepts("2")
        for other in (True, "1", 2, 1.0):
            assert not choice(1, "2").accepts(other)

    def test_domain(self) -> None:
        """The choices as a person writes them."""
        assert choice("fast", False, 3).domain == "fast, false, 3"


class TestConfiguration:
    def test_is_a_mapping_whose_order_does_not_matter(self) -> None:
        """Equal assignments are equal, hash equally and print equally."""
        one = Configuration.of({"threads": 2, "batching": True})
        other = Configuration.of({"batching": True, "threads": 2})
        assert one == other
        assert len({one, other}) == 1
        assert str(one) == "batching=true threads=2"
        assert dict(one) == {"batching": True, "threads": 2}
        assert (one["threads"], len(one), "size" in one) == (2, 2, False)


class TestConditions:
    def test_a_parameter_is_there_if_its_condition_holds(self) -> None:
        """A condition on a parameter that is not there does not hold either."""
        assert BATCHING.defaults == Configuration.of({"batching": False, "threads": 2})
        assert set(BATCHING.activate({"batching": True, "size": 2})) == {
            "batching",
            "threads",
            "size",
        }
        assert "preferred" in BATCHING.activate({"batching": True, "size": 4})

    def test_missing_values_are_the_defaults(self) -> None:
        """`activate` completes an assignment, and drops what is not there."""
        activated = BATCHING.activate({"batching": True, "preferred": 4, "unknown": 1})
        assert dict(activated) == {"batching": True, "size": 4, "preferred": 4, "threads": 2}

    def test_a_condition_can_name_facts_of_the_machine(self) -> None:
        """On another machine another set of parameters is there."""
        for cores, names in ((1, []), (2, ["n"])):
            assert list(space(integer(when="cores > 1"), constants={"cores": cores}).defaults) == (
                names
            )

    def test_what_cannot_be_worked_out_does_not_hold(self) -> None:
        """A division by zero in one configuration does not end a study."""
        divided = space(
            integer("n", low=0, default=1),
            integer("m", when="8 % n == 0"),
            rules=("8 / n > 0",),
        )
        assert "m" in divided.defaults
        zero = divided.activate({"n": 0})
        assert dict(zero) == {"n": 0}
        assert divided.violations(zero) == divided.rules

    def test_order(self) -> None:
        """Parameters come after those that their conditions refer to."""
        ordered = in_order([switch("c", "b or a"), switch("b", "a"), switch("a", "cores > 1")])
        assert [p.name for p in ordered] == ["a", "b", "c"]

    def test_circle(self) -> None:
        """Conditions that need each other are refused, and the circle is shown."""
        with pytest.raises(SpaceError) as caught:
            in_order([switch("a", "b"), switch("b", "a")])
        assert caught.value.message == (
            "the `when` conditions go round in a circle: `a` -> `b` -> `a`"
        )
        assert caught.value.hint == "remove one of these conditions"

    @settings(deadline=None)
    @given(spaces(), st.data())
    def test_activating_twice_changes_nothing(
        self, searched: SearchSpace, data: st.DataObject
    ) -> None:
        """`activate` is idempotent."""
        values = {
            p.name: data.draw(st.sampled_from(p.choices or (p.default,)))
            for p in searched.parameters
            if data.draw(st.booleans())
        }
        once = searched.activate(values)
        assert searched.activate(once) == once


class TestRules:
    def test_violations(self) -> None:
        """The rules that a configuration breaks, in their order."""
        broken = BATCHING.activate({"batching": True, "size": 8, "threads": 4})
        texts = [rule.expression.text for rule in BATCHING.violations(broken)]
        assert texts == ["threads <= cores", "threads * size <= 16"]

    def test_a_rule_about_what_is_not_there_says_nothing(self) -> None:
        """`threads * size` has no meaning without batching."""
        assert BATCHING.violations(Configuration.of({"batching": False, "threads": 3})) == ()


class TestGrid:
    def test_every_valid_configuration_once(self) -> None:
        """Conditions and rules are respected, and nothing comes twice."""
        searched = space(
            switch(),
            integer("size", when="batching", high=3, default=1),
            rules=("size < 3",),
        )
        assert [dict(each) for each in searched.grid()] == [
            {"batching": False},
            {"batching": True, "size": 1},
            {"batching": True, "size": 2},
        ]
        assert (searched.size, searched.combinations) == (3, 6)

    def test_what_has_no_step_counts_with_its_default(self) -> None:
        """A real number without a step has no grid, so the space has no size."""
        searched = space(real(), switch())
        assert [each["x"] for each in searched.grid()] == [0.5, 0.5]
        assert (searched.size, searched.combinations) == (None, 2)

    def test_a_large_space_is_not_counted(self) -> None:
        """Beyond the limit nobody enumerates."""
        searched = space(integer("n", high=COUNT_LIMIT), switch())
        assert (searched.size, searched.combinations) == (None, 2 * COUNT_LIMIT)

    @settings(deadline=None)
    @given(spaces())
    def test_configurations_are_valid_and_unique(self, searched: SearchSpace) -> None:
        """Each is active as it is, breaks no rule and comes once; the baseline is among them."""
        configurations = list(searched.grid())
        assert len(configurations) == len(set(configurations))
        assert searched.defaults in configurations
        for each in configurations:
            assert searched.activate(each) == each
            assert not searched.violations(each)
            assert all(searched[name].accepts(value) for name, value in each.items())


class TestChangedSpaces:
    def test_without(self) -> None:
        """Parameters go together with those that need them; hints lose their values."""
        hints = (
            BATCHING.activate({"batching": True, "size": 8}),
            BATCHING.activate({"batching": True}),
        )
        searched = dataclasses.replace(BATCHING, hints=hints).without({"batching"})
        assert [p.name for p in searched.parameters] == ["threads"]
        assert searched.hints == (Configuration.of({"threads": 2}),)
        assert [each["threads"] for each in searched.grid()] == [1, 2, 3]

    def test_unknown_parameter(self) -> None:
        """A space is asked for its parameters by name."""
        assert BATCHING["size"].name == "size"
        with pytest.raises(KeyError, match="workers"):
            BATCHING["workers"]

    @pytest.mark.parametrize(
        ("parameter", "value", "domain"),
        [
            (integer(), 8, "1 to 8"),
            (integer(log=True, default=3), 16, "1, 2, 3, 4, 8, 16"),
            (integer(high=2), "AUTO", "1, 2, AUTO"),
            (real(), 0.75, "0.0 to 1.0"),
            (real(), 7, "0.0 to 7.0"),
            (real(low=0.5, log=True), 0.25, "0.25 to 1.0, logarithmic"),
            (real(low=0.5, log=True), 0, "0.0 to 1.0"),
            (real(step=0.5), 0.75, "0.0, 0.5, 0.75, 1.0"),
            (choice("fast", "safe"), "quick", "fast, quick, safe"),
        ],
    )
    def test_with_default(self, parameter: Parameter, value: Value, domain: str) -> None:
        """Another default joins the domain, whatever the domain was."""
        searched = space(parameter, switch()).with_default(parameter.name, value)
        changed = searched[parameter.name]
        assert changed.default == value
        assert changed.accepts(changed.default)
        assert changed.domain == domain
        assert searched["batching"] == switch()


class TestFingerprint:
    def test_words_do_not_count(self) -> None:
        """A better description does not make another space."""
        words: dict[str, Any] = {"description": "threads", "source": "a book", "proof": "its log"}
        described = dataclasses.replace(integer(), **words)
        assert fingerprint(space(described)) == fingerprint(space(integer()))
        assert len(fingerprint(space(integer()))) == 10

    @pytest.mark.parametrize(
        "other",
        [
            space(integer(step=2)),
            space(integer(log=True)),
            space(integer(default=2)),
            space(integer("m")),
            space(integer(when="1 < 2")),
            space(integer(), switch()),
            space(integer(), rules=("n < 9",)),
            space(dataclasses.replace(integer(), sets=ServerFlag("--other"))),
            space(choice(*range(1, 9), name="n")),
            dataclasses.replace(space(integer()), server="torchserve"),
        ],
    )
    def test_everything_that_is_searched_counts(self, other: SearchSpace) -> None:
        """Another step, default, condition, rule, place or server is another space."""
        assert fingerprint(other) != fingerprint(space(integer()))

    def test_values_that_look_alike_are_different(self) -> None:
        """The choices true and `true`, or 1 and `1`, are not the same."""
        alike = [
            space(choice(*c)) for c in ((True, 1.5), ("true", 1.5), ("true, 1.5",), ("True",))
        ]
        assert len({fingerprint(each) for each in alike}) == 4

    @pytest.mark.parametrize(
        ("keys", "same"), [({}, True), ({"rules": ("n < 8 * cores",)}, False)]
    )
    def test_the_facts_that_are_referred_to_count(
        self, *, keys: dict[str, Any], same: bool
    ) -> None:
        """The same rule means another thing on another machine."""
        one, other = (space(integer(), constants={"cores": n}, **keys) for n in (2, 4))
        assert (fingerprint(one) == fingerprint(other)) is same

    @given(st.integers(-(10**15), 10**15), st.integers(1, 10**9))
    def test_changes_with_a_bound(self, low: int, more: int) -> None:
        """However little a bound changes, the fingerprint does."""
        for one, other in (
            (integer(low=low), integer(low=low + more)),
            (integer(high=low), integer(high=low + more)),
            (real(low=low / 8), real(low=(low + more) / 8)),
            (real(high=low / 8), real(high=(low + more) / 8)),
        ):
            assert fingerprint(space(one)) != fingerprint(space(other))

    def test_stays(self) -> None:
        """Studies that are stored know their space by it: no version may change this one."""
        pinned = space(
            integer("n", high=8, when="batching"),
            real("share"),
            choice("a", "b", name="kind"),
            switch("batching"),
            rules=("n <= cores",),
            constants={"cores": 4, "gpus": 0},
        )

        assert fingerprint(pinned) == "7eacf378fe"

    @given(spaces())
    def test_of_a_stored_space(self, searched: SearchSpace) -> None:
        """A space comes back from JSON as it was."""
        stored = stored_space(json.loads(json.dumps(space_document(searched))))

        assert stored == searched
        assert fingerprint(stored) == fingerprint(searched)

    def test_is_the_same_in_every_process(self) -> None:
        """A study can go on tomorrow: nothing depends on the order of a set."""
        script = (
            "import json; from tests.spaces import space, switch;"
            "from tuner.space.document import fingerprint; c = switch('c', 'b and a or d');"
            "s = space(c, switch('a'), switch('b'), switch('d'), rules=('a or b or c or not d',));"
            "print(json.dumps([fingerprint(s), [p.name for p in s.parameters]]))"
        )
        seen = {
            subprocess.check_output(
                [sys.executable, "-c", script], env={"PYTHONHASHSEED": str(seed)}, text=True
            )
            for seed in range(3)
        }
        assert len(seen) == 1
        assert json.loads(seen.pop())[1][-1] == "c"
