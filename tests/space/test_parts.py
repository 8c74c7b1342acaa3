"""One space of several parts: names, conditions, rules and hints of each."""

import pytest

from tuner.errors import SpaceError
from tuner.space.expressions import Expression, written
from tuner.space.parts import joined
from tuner.space.settings import ConfigPath, EnvironmentVariables
from tuner.space.space import (
    CategoricalParameter,
    Configuration,
    IntParameter,
    Rule,
    SearchSpace,
)

pytestmark = pytest.mark.pure

COUNT = IntParameter(name="count", default=1, low=1, high=4, sets=ConfigPath("count"))
BATCHING = CategoricalParameter(
    name="batching", default=False, choices=(False, True), sets=ConfigPath("batching")
)
SIZE = IntParameter(
    name="size",
    default=2,
    low=2,
    high=8,
    sets=ConfigPath("size", omit=2),
    when=Expression.parse("batching"),
)
THREADS = IntParameter(
    name="threads",
    default=1,
    low=1,
    high=4,
    sets=EnvironmentVariables(("THREADS",)),
    when=Expression.parse("not batching"),
)
SPACE = SearchSpace(
    server="triton",
    parameters=(COUNT, BATCHING, SIZE, THREADS),
    rules=(Rule(Expression.parse("count * threads <= cores")),),
    hints=(Configuration.of({"count": 2}), Configuration.of({"count": 4, "threads": 4})),
    constants={"cores": 4},
)
JOINED = joined(SPACE, {"a": SPACE, "b-1": SPACE.without({"batching"})})


class TestJoined:
    def test_names(self) -> None:
        """What is set in a configuration is there for each part that has it; the rest, once."""
        names = {parameter.name for parameter in JOINED.parameters}
        assert names == {"threads", "a.count", "a.batching", "a.size", "b-1.count"}

    def test_what_all_share(self) -> None:
        """Its condition holds if it does for one of the parts that have what it speaks of."""
        assert JOINED.defaults["threads"] == 1
        assert "threads" not in JOINED.activate({"a.batching": True})

    def test_rules(self) -> None:
        """A rule is that of each part."""
        texts = [rule.expression.text for rule in JOINED.rules]
        assert texts == ["a.count * threads <= cores", "`b-1.count` * threads <= cores"]

    def test_hints(self) -> None:
        """A hint is given to all parts; one that breaks a rule is gone."""
        assert [dict(hint) for hint in JOINED.hints] == [{"a.count": 2, "b-1.count": 2}]

    def test_settings(self) -> None:
        """What each part is told; what is left out is taken out of its configuration."""
        values = {"a.count": 3, "a.batching": True}
        settings = JOINED.settings(JOINED.activate(values))
        assert settings.config == {}
        assert settings.parts == {
            "a": {"count": 3, "batching": True, "size": None},
            "b-1": {"count": 1},
        }
        assert settings.of_part("a").config == settings.parts["a"]
        assert settings.of_part("c").config == {}


class TestNames:
    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("encoder.count", "encoder.count"),
            ("enc.v2.count", "enc.v2.count"),
            ("text-encoder.count", "`text-encoder.count`"),
            ("2d.count", "`2d.count`"),
            ("and.count", "`and.count`"),
            ("true.count", "true.count"),
            ("größe.count", "`größe.count`"),
            ("a.__b.count", "`a.__b.count`"),
            ("a b.count", "`a b.count`"),
        ],
    )
    def test_written_and_read(self, name: str, text: str) -> None:
        """Whatever a part is called, an expression can name its parameters."""
        assert written(name) == text
        expression = Expression.parse(f"2 * {text} + {text}")
        assert expression.names == {name}
        assert expression.evaluate({name: 3}) == 9

    def test_renamed(self) -> None:
        """Names change, and nothing else: not the functions, nor the texts."""
        expression = Expression.parse("max(min, 1) == 2 and mode == 'min' and true")
        renamed = expression.renamed({"min": "a-b.min", "mode": "c.mode"})
        assert renamed.names == {"a-b.min", "c.mode"}
        assert renamed.evaluate({"a-b.min": 2, "c.mode": "min"}) is True

    @pytest.mark.parametrize("text", ["`a` `b`", "`a", "``", "a.`b`", "1.`a`"])
    def test_no_name(self, text: str) -> None:
        """A backtick that quotes no name is refused."""
        with pytest.raises(
            SpaceError, match=r"is not an expression|which expressions do not have"
        ):
            Expression.parse(text)
