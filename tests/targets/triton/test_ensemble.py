"""Ensembles as they are read: their parts, what may vary, and what Triton would take."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.targets.triton.ensembles import opened, write_chain, write_ensemble
from tests.targets.triton.triton_targets import built_in, parsed, write_form
from tuner.errors import InputError, ModelError, SpaceError
from tuner.goals import LatencyBudget
from tuner.space.document import fingerprint, space_document, stored_space
from tuner.space.settings import ConfigPath
from tuner.space.space import SearchSpace
from tuner.study.job import Job, prepare
from tuner.targets.base import ModelSource
from tuner.targets.triton import config as model_config
from tuner.targets.triton.ensemble import EnsembleModel
from tuner.targets.triton.model import open_model

pytestmark = pytest.mark.pure

PER_PART = (
    "instance_count",
    "dynamic_batching",
    "max_batch_size",
    "max_queue_delay_microseconds",
    "preferred_batch_size",
)


def ensemble(repository: Path, name: str) -> EnsembleModel:
    model = opened(repository, name)
    assert isinstance(model, EnsembleModel)
    return model


def adapted(repository: Path, name: str) -> SearchSpace:
    return ensemble(repository, name).adapt(built_in(), contained=True)


def names(space: SearchSpace) -> set[str]:
    return {parameter.name for parameter in space.parameters}


class TestSpace:
    def test_each_part_has_its_own(self, tmp_path: Path) -> None:
        """Instances and batching are those of the parts; the ensemble has none of its own."""
        write_chain(tmp_path)
        parts = {f"{part}.{n}" for part in ("text-encoder", "head") for n in PER_PART}
        assert names(adapted(tmp_path, "chain")) == {"threads", *parts}

    def test_defaults_are_those_of_the_part(self, tmp_path: Path) -> None:
        """What the part's configuration says is where its parameters begin."""
        write_form(tmp_path, "one", instances=2)
        write_form(tmp_path, "two")
        write_ensemble(tmp_path, "both", ["one", "two"])
        defaults = adapted(tmp_path, "both").defaults
        assert (defaults["one.instance_count"], defaults["two.instance_count"]) == (2, 1)

    def test_rules_and_conditions_are_those_of_the_part(self, tmp_path: Path) -> None:
        """A rule holds for each part, whatever its name is made of."""
        write_chain(tmp_path)
        space = adapted(tmp_path, "chain")
        condition = space["text-encoder.max_batch_size"].when
        assert condition
        assert condition.names == {"text-encoder.dynamic_batching"}
        assert [rule.expression.text for rule in space.rules] == [
            "`text-encoder.instance_count` * threads <= 2 * cores",
            "head.instance_count * threads <= 2 * cores",
            "`text-encoder.preferred_batch_size` <= `text-encoder.max_batch_size`",
            "head.preferred_batch_size <= head.max_batch_size",
        ]
        batching = {"text-encoder.dynamic_batching": True, "text-encoder.max_batch_size": 4}
        wrong = space.activate({**batching, "text-encoder.preferred_batch_size": 8})
        assert len(space.violations(wrong)) == 1
        assert not space.violations(space.activate(batching))

    def test_hints_are_for_all_parts_at_once(self, tmp_path: Path) -> None:
        """What experience says of a model is tried on all parts together first."""
        write_chain(tmp_path)
        first = adapted(tmp_path, "chain").hints[0]
        assert dict(first) == {
            "text-encoder.dynamic_batching": True,
            "head.dynamic_batching": True,
        }

    def test_a_part_without_batches(self, tmp_path: Path) -> None:
        """A part that takes no batches has its instances only."""
        write_chain(tmp_path)
        file = tmp_path / "head" / "config.pbtxt"
        file.write_text(file.read_text().replace("max_batch_size: 8", ""))
        space = adapted(tmp_path, "chain")
        assert {n for n in names(space) if n.startswith("head.")} == {"head.instance_count"}
        assert dict(space.hints[0]) == {"text-encoder.dynamic_batching": True}

    def test_an_ensemble_without_batches(self, tmp_path: Path) -> None:
        """The batches that come from outside have their own size, which parts must take."""
        write_form(tmp_path, "part")
        write_ensemble(tmp_path, "whole", ["part"], largest=0, dims="[-1, 4]")
        assert "part.max_batch_size" not in names(adapted(tmp_path, "whole"))
        assert "part.dynamic_batching" in names(adapted(tmp_path, "whole"))

    def test_nested(self, tmp_path: Path) -> None:
        """What a part that is an ensemble is made of is tuned; a part used twice, once."""
        write_chain(tmp_path)
        write_ensemble(tmp_path, "outer", ["head", "chain", "head"])
        model = ensemble(tmp_path, "outer")
        assert list(model.members) == ["head", "text-encoder", "chain", "outer"]
        assert list(model.parts) == ["head", "text-encoder"]

    def test_is_stored_as_it_is(self, tmp_path: Path) -> None:
        """A space of parts comes back from the database the same."""
        write_chain(tmp_path)
        space = adapted(tmp_path, "chain")
        stored = stored_space(space_document(space))
        assert (stored, fingerprint(stored)) == (space, fingerprint(space))


SPACE = """
extends: triton
parameters:
  text-encoder.instance_count: {high: 2}
  head.max_batch_size: {high: 16, when: head.dynamic_batching}
  head.dynamic_batching: {}
  head.priority:
    {type: int, low: 0, high: 3, default: 0, sets: {config: dynamic_batching.priority_levels}}
rules:
  - rule: "`text-encoder.instance_count` <= head.max_batch_size"
hints:
  - {head.dynamic_batching: true, head.max_batch_size: 4}
"""


def of_file(repository: Path, text: str, model: str = "chain") -> SearchSpace:
    """The space of a study with a file of one's own."""
    file = repository / "own.yaml"
    file.write_text(text)
    budget = LatencyBudget(99, 0.05)
    return prepare(Job(budget=budget, repository=repository, model=model, space_file=file)).space


class TestSpaceFile:
    def test_one_part_alone(self, tmp_path: Path) -> None:
        """What is named with its part is that part's; the rest is for all parts."""
        write_chain(tmp_path)
        space = of_file(tmp_path, SPACE)
        assert {n for n in names(space) if n.endswith("priority")} == {"head.priority"}
        assert space["text-encoder.instance_count"].choices == (1, 2)
        assert space["head.instance_count"].choices != (1, 2)
        assert space["head.max_batch_size"].choices == (2, 4, 8, 16)
        assert space["text-encoder.max_batch_size"].choices == (2, 4, 8, 16, 32, 64)
        assert space["head.max_batch_size"].sets == ConfigPath("max_batch_size", part="head")
        assert "`text-encoder.instance_count` <= head.max_batch_size" in {
            rule.expression.text for rule in space.rules
        }
        assert dict(space.hints[0]) == {"head.dynamic_batching": True, "head.max_batch_size": 4}

    @pytest.mark.parametrize(
        ("model", "name", "sets", "hint"),
        [
            ("chain", "tail.a", "config: max_batch_size", "`text-encoder`, `head`"),
            ("chain", "head.a", "environment: A", "of an ensemble, which has"),
            ("head", "head.a", "config: max_batch_size", "of one model of an ensemble"),
        ],
    )
    def test_no_part(self, tmp_path: Path, model: str, name: str, sets: str, hint: str) -> None:
        """A name with a dot that is none of a part is refused."""
        write_chain(tmp_path)
        given = f"{{type: int, low: 1, high: 2, default: 1, sets: {{{sets}}}}}"
        text = f"extends: triton\nparameters: {{{name}: {given}}}\n"
        with pytest.raises(SpaceError, match="sets nothing in the configuration of") as caught:
            of_file(tmp_path, text, model)
        assert caught.value.message.startswith(f"parameters.{name}: ")
        assert hint in caught.value.hint


class TestConfigurations:
    def test_the_largest_batch_of_the_ensemble_follows(self, tmp_path: Path) -> None:
        """It is never above that of a part, which Triton would refuse; and stays where it can."""
        write_chain(tmp_path)
        write_ensemble(tmp_path, "outer", ["chain", "head"], largest=4)
        model = ensemble(tmp_path, "outer")
        space = model.adapt(built_in(), contained=True)
        for size, chain, outer in ((2, 2, 2), (4, 4, 4), (16, 8, 4)):
            values = {"head.dynamic_batching": True, "head.max_batch_size": size}
            found = model.configurations(space.settings(space.activate(values)))
            sizes = {n: model_config.get(each, "max_batch_size") for n, each in found.items()}
            assert sizes == {"text-encoder": 8, "head": size, "chain": chain, "outer": outer}

    def test_only_what_a_parameter_sets_changes(self, tmp_path: Path) -> None:
        """All else of each configuration is what its user wrote."""
        write_chain(tmp_path)
        model = ensemble(tmp_path, "chain")
        space = model.adapt(built_in(), contained=True)
        values = {"head.instance_count": 2}
        found = model.configurations(space.settings(space.activate(values)))
        head = parsed((tmp_path / "head" / "config.pbtxt").read_text())
        head = model_config.changed(head, {"name": "head", "instance_group[0].count": 2})
        assert found["head"] == head
        assert found["chain"] == model_config.changed(model.config, {"name": "chain"})


class TestFingerprint:
    @pytest.mark.parametrize("changed", ["chain/config.pbtxt", "text-encoder/1/model.py"])
    def test_of_all_parts(self, tmp_path: Path, changed: str) -> None:
        """A study is not continued with another part."""
        write_chain(tmp_path)
        before = opened(tmp_path, "chain").fingerprint
        assert opened(tmp_path, "chain").fingerprint == before
        with (tmp_path / changed).open("a") as file:
            file.write("\n# another one\n")
        assert opened(tmp_path, "chain").fingerprint != before


def _no_part(repository: Path) -> None:
    write_form(repository, "a")
    write_ensemble(repository, "e", ["a", "b"])


def _circle(repository: Path) -> None:
    write_form(repository, "a")
    write_ensemble(repository, "e", ["a", "f"])
    write_ensemble(repository, "f", ["e"])


def _no_version(repository: Path) -> None:
    write_form(repository, "a")
    write_ensemble(repository, "e", ["a"], version=3)


def _no_steps(repository: Path) -> None:
    write_ensemble(repository, "e", [])


def _no_folder(repository: Path) -> None:
    _no_part(repository)
    write_form(repository, "b")
    (repository / "e" / "1").rmdir()


class TestRefused:
    @pytest.mark.parametrize(
        ("write", "message", "hint"),
        [
            (
                _no_part,
                "the ensemble has a step of the model `b`, which is not in {0}",
                "models there: a, e",
            ),
            (
                _circle,
                "the ensemble `f` is a part of itself: `e` -> `f` -> `e`",
                "remove one of these steps",
            ),
            (
                _no_version,
                "{0}/e/config.pbtxt: the ensemble takes version 3 of the model `a`, which is not",
                "`model_version: -1` is the newest one",
            ),
            (_no_steps, "the ensemble `e` has no steps", "add `ensemble_scheduling"),
            (_no_folder, "{0}/e: the model has no version folder", "make the folder {0}/e/1"),
        ],
    )
    def test_before_anything_starts(
        self, tmp_path: Path, write: Callable[[Path], None], message: str, hint: str
    ) -> None:
        """What no server could load is said in a sentence."""
        write(tmp_path)
        with pytest.raises(ModelError, match=re.escape(message.format(tmp_path))) as caught:
            opened(tmp_path, "e")
        assert caught.value.hint.startswith(hint.format(tmp_path))

    def test_variants(self, tmp_path: Path) -> None:
        """Forms of an ensemble would have other parameters each."""
        write_chain(tmp_path)
        with pytest.raises(InputError, match="`--variant` does not go with an ensemble"):
            open_model(ModelSource(folder=tmp_path, name="head", variants=("chain",)))
