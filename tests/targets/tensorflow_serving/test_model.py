"""A SavedModel of TensorFlow Serving: found, adapted to, staged, and never written."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.servers.tensorflow_program import save_model
from tests.spaces import integer
from tests.targets.tensorflow_serving.tensorflow_serving_targets import built_in_space
from tuner.errors import ModelError, SpaceError
from tuner.space.settings import (
    ConfigPath,
    EnvironmentVariables,
    LauncherArgument,
    ServerFlag,
    ServerProperty,
    Setting,
    TemplateVariable,
)
from tuner.space.space import SearchSpace
from tuner.targets.base import ModelSource
from tuner.targets.system_libraries import PRELOAD
from tuner.targets.tensorflow_serving.model import (
    TensorFlowServingModel,
    allowed_sizes,
    batching_text,
    find_saved_model,
    open_model,
)


class TestFindModel:
    def test_a_model_as_text(self, tmp_path: Path) -> None:
        """A SavedModel may also be written as text."""
        graph = tmp_path / "text" / "12" / "saved_model.pbtxt"
        graph.parent.mkdir(parents=True)
        graph.touch()
        assert find_saved_model(tmp_path, None) == tmp_path / "text"

    def test_a_version_itself(self, tmp_path: Path) -> None:
        """The folder of one model is none of models."""
        with pytest.raises(ModelError, match="no SavedModel was found"):
            find_saved_model(save_model(tmp_path), None)


class TestModel:
    def test_the_newest_version(self, tmp_path: Path) -> None:
        """As the server does, the version with the largest number is taken, and no other."""
        for version in (2, 10, 9):
            save_model(tmp_path, version=version)
        model = open_model(ModelSource(folder=tmp_path))
        assert (model.name, model.space) == ("double", "tensorflow_serving")
        model.stage(tmp_path / "workspace")
        assert [each.name for each in (tmp_path / "workspace" / "double").iterdir()] == ["10"]


class TestAdapt:
    def adapted(self, folder: Path, sets: Setting) -> SearchSpace:
        space = SearchSpace("tensorflow_serving", (replace(integer(), sets=sets),))
        return TensorFlowServingModel(save_model(folder)).adapt(space, contained=False)

    def refusal(self, folder: Path, sets: Setting) -> SpaceError:
        with pytest.raises(SpaceError) as caught:
            self.adapted(folder, sets)
        return caught.value

    def test_the_shipped_space(self, tmp_path: Path) -> None:
        """In a container, all of it; as a process, without libraries that are not here."""
        model, space = TensorFlowServingModel(save_model(tmp_path)), built_in_space()
        assert model.adapt(space, contained=True) == space
        here = model.adapt(space, contained=False)
        assert {p.name for p in space.parameters} - {p.name for p in here.parameters} <= {
            "allocator"
        }
        assert here.defaults["enable_batching"] is False

    @pytest.mark.parametrize(
        "sets",
        [
            ServerProperty("pad_variable_length_inputs"),
            ServerFlag("--per_process_gpu_memory_fraction"),
            EnvironmentVariables(("OMP_NUM_THREADS",)),
        ],
    )
    def test_what_it_has(self, tmp_path: Path, sets: Setting) -> None:
        """Batching parameters, flags and variables can be set."""
        assert self.adapted(tmp_path, sets).parameters[0].sets == sets

    def test_an_unknown_batching_parameter(self, tmp_path: Path) -> None:
        """It is refused before a server is started with it."""
        refusal = self.refusal(tmp_path, ServerProperty("max_batch_sizes"))
        assert refusal.message == (
            "parameters.n.sets.property: TensorFlow Serving has no batching parameter "
            "`max_batch_sizes`"
        )
        assert refusal.hint == "did you mean `max_batch_size`?"

    def test_a_flag_of_the_tuner(self, tmp_path: Path) -> None:
        """What the tuner says itself nobody else may say."""
        refusal = self.refusal(tmp_path, ServerFlag("--model_name"))
        assert refusal.message == (
            "parameters.n.sets.flag: `--model_name` is what the tuner itself starts the server "
            "with"
        )
        assert refusal.hint == "leave the parameter out"

    @pytest.mark.parametrize(
        "sets", [ConfigPath("a"), LauncherArgument("--a"), TemplateVariable("a")]
    )
    def test_places_that_it_has_not(self, tmp_path: Path, sets: Setting) -> None:
        """Other places mean nothing to it."""
        assert f"TensorFlow Serving has no `{sets.kind}`" in self.refusal(tmp_path, sets).message


class TestSpace:
    def test_the_defaults_are_those_of_the_server(self) -> None:
        """The baseline has no batching, and parallelism is left to the server."""
        space = built_in_space()
        assert dict(space.defaults) == {
            "enable_batching": False,
            "intra_op_parallelism": 0,
            "inter_op_parallelism": 0,
            "session_parallelism": 0,
            "rest_threads": 4 * space.constants["cores"],
            "xla_cpu": False,
            "onednn": 1,
            "allocator": "default",
        }

    def test_hints_hold(self) -> None:
        """Every hint is a configuration of this machine; most of them make batches."""
        space = built_in_space()
        activated = [space.activate(hint) for hint in space.hints]
        assert len(activated) >= 4
        assert not any(space.violations(each) for each in activated)
        assert sum(each["enable_batching"] is True for each in activated) >= 2

    def test_the_preloaded_library_is_a_variable(self) -> None:
        """The allocator goes where the dynamic linker looks."""
        assert built_in_space()["allocator"].sets == EnvironmentVariables((PRELOAD,), "default")


class TestBatchingFile:
    @pytest.mark.parametrize(
        ("most", "sizes"), [(1, [1]), (2, [1, 2]), (8, [1, 2, 4, 8]), (12, [1, 2, 4, 8, 12])]
    )
    def test_allowed_sizes(self, most: int, sizes: list[int]) -> None:
        """They grow, and the last of them is the largest batch."""
        assert allowed_sizes(most) == sizes

    def test_text(self) -> None:
        """Numbers are messages of their own, but not those of a list, nor truth values."""
        assert batching_text({"max_batch_size": 2, "allowed_batch_sizes": "powers_of_two"}) == (
            "max_batch_size { value: 2 }\nallowed_batch_sizes: 1\nallowed_batch_sizes: 2\n"
        )
        assert batching_text({"pad_variable_length_inputs": True}) == (
            "pad_variable_length_inputs: true\n"
        )

    def test_what_is_left_out(self) -> None:
        """A value that says nothing is not written."""
        space = built_in_space()
        configuration = space.activate({"enable_batching": True, "max_batch_size": 8})
        assert set(space.settings(configuration).properties) == {
            "max_batch_size",
            "batch_timeout_micros",
            "num_batch_threads",
            "max_enqueued_batches",
        }
