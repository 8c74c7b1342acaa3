"""A model in its repository: found, read, adapted to, and never written."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.spaces import integer
from tests.targets.moody import MODELS
from tests.targets.triton.triton_targets import built_in, write_model
from tests.targets.unprivileged import open_place, unprivileged
from tuner.errors import ModelError, SpaceError
from tuner.space.expressions import Value
from tuner.space.settings import ConfigPath
from tuner.space.space import CategoricalParameter, IntParameter, SearchSpace
from tuner.targets.base import ModelSource
from tuner.targets.triton import config as model_config
from tuner.targets.triton.model import open_model
from tuner.targets.triton.repository import RepositoryModel

__all__ = ["open_place"]

BATCHING = {
    "dynamic_batching",
    "max_batch_size",
    "max_queue_delay_microseconds",
    "preferred_batch_size",
}


def adapted(repository: Path, config: str, space: SearchSpace | None = None) -> SearchSpace:
    write_model(repository, config=config)
    return RepositoryModel(repository, "m").adapt(space or built_in())


class TestTritonModel:
    def test_without_a_version(self, tmp_path: Path) -> None:
        """A model without a version folder is refused before any server is."""
        folder = write_model(tmp_path)
        (folder / "1").rename(folder / "first")
        with pytest.raises(ModelError) as caught:
            RepositoryModel(tmp_path, "m")
        assert str(caught.value) == f"{folder}: the model has no version folder"
        assert caught.value.hint == f"put the model's files into {folder}/1"


@pytest.mark.parametrize(
    ("name", "called"), [("two words", "two%20words"), ("100%", "100%25"), ("a#b", "a%23b")]
)
def test_names_that_triton_does_not_decode(tmp_path: Path, name: str, called: str) -> None:
    """Such a model is refused before any server is started: no client could ask for it."""
    write_model(tmp_path, name)
    message = (
        f"`{name}`: Triton has no model of that name for whoever asks over HTTP, where it is "
        f"called `{called}`"
    )
    with pytest.raises(ModelError) as caught:
        open_model(ModelSource(folder=tmp_path, name=name))
    assert str(caught.value) == message
    assert caught.value.hint == "give its folder a name of letters, digits and -._~!$&'()*+,;=@:"


def test_a_repository_that_cannot_be_read(open_place: Path) -> None:
    """It is named, and no traceback is shown."""
    repository = open_place / "models"
    write_model(repository)
    repository.chmod(0)
    with unprivileged(open_place), pytest.raises(ModelError) as caught:
        open_model(ModelSource(folder=repository))
    assert str(caught.value) == f"{repository}: cannot be read: Permission denied"


def test_a_repository_of_links(tmp_path: Path) -> None:
    """Models, versions and files that are links elsewhere are models like any other."""
    store = write_model(tmp_path / "store", "stored", "max_batch_size: 4").parent
    (store / "version").mkdir()
    (store / "version" / "model.py").symlink_to(store / "stored" / "1" / "model.py")
    (store / "linked").mkdir()
    (store / "linked" / "1").symlink_to("../version")
    (store / "linked" / "config.pbtxt").symlink_to("../stored/config.pbtxt")
    repository = tmp_path / "models"
    repository.mkdir()
    (repository / "m").symlink_to(store / "linked")
    model = open_model(ModelSource(folder=repository))
    assert (model.name, model_config.get(model.config, "max_batch_size")) == ("m", 4)
    before = model.fingerprint
    (store / "stored" / "1" / "model.py").write_text("weights = 2\n")
    assert model.fingerprint != before
    model.stage(tmp_path / "staged")
    staged = sorted(path for path in (tmp_path / "staged").rglob("*"))
    assert not any(path.is_symlink() for path in staged)
    assert (tmp_path / "staged/m/1/model.py").read_text() == "weights = 2\n"


class TestAdapt:
    def test_own_settings_become_defaults(self, tmp_path: Path) -> None:
        """The baseline is the model as its user left it; values outside a domain join it."""
        space = adapted(
            tmp_path,
            "max_batch_size: 24 instance_group { count: 3 } "
            "dynamic_batching { max_queue_delay_microseconds: 300 preferred_batch_size: 8 }",
        )

        assert dict(space.defaults) == {
            "instance_count": 3,
            "dynamic_batching": True,
            "max_batch_size": 24,
            "max_queue_delay_microseconds": 300,
            "preferred_batch_size": 8,
            "threads": 2,
        }
        assert space["max_queue_delay_microseconds"].choices == (
            *(0, 100, 300, 500, 1000),
            *(2000, 5000, 10000),
        )
        assert 24 in (space["max_batch_size"].choices or ())
        assert all(p.accepts(p.default) for p in space.parameters)

    def test_without_settings(self, tmp_path: Path) -> None:
        """Where the model says nothing, the space's defaults hold."""
        space = built_in().with_default("max_batch_size", 8)
        assert adapted(tmp_path, "max_batch_size: 8").defaults == space.defaults
        assert adapted(tmp_path / "same", "max_batch_size: 8") == space

    def test_without_a_batch_dimension(self, tmp_path: Path) -> None:
        """A model for single requests gets no batching parameter, nor what depends on one."""
        space = adapted(tmp_path, "max_batch_size: 0")
        names = {p.name for p in built_in().parameters}
        assert {p.name for p in space.parameters} == names - BATCHING

    @pytest.mark.parametrize("scheduler", ["sequence_batching { }", "ensemble_scheduling { }"])
    def test_with_another_scheduler(self, tmp_path: Path, scheduler: str) -> None:
        """A model has one scheduler: dynamic batching would silently take the other's place."""
        space = adapted(tmp_path, f"max_batch_size: 8 {scheduler}")
        assert not {p.name for p in space.parameters} & BATCHING

    def test_what_the_model_cannot_hold(self, tmp_path: Path) -> None:
        """A path that does not exist is refused before anything is started."""
        wrong = replace(integer("count"), sets=ConfigPath("instance_group[0].counts"))
        with pytest.raises(SpaceError, match="did you mean `count`"):
            adapted(tmp_path, "max_batch_size: 8", SearchSpace("triton", (wrong,)))

    def test_what_sets_no_field(self, tmp_path: Path) -> None:
        """Flags and environment variables stay as they are."""
        space = SearchSpace("triton", (integer("http-thread-count", default=4),))
        assert adapted(tmp_path, "max_batch_size: 8", space) == space

    def test_domain_that_is_stretched(self, tmp_path: Path) -> None:
        """An own value outside the bounds turns the domain into a list that has it."""
        space = adapted(tmp_path, "max_batch_size: 8 instance_group { count: 3 }")
        assert isinstance(built_in()["instance_count"], IntParameter)
        assert isinstance(space["instance_count"], CategoricalParameter)
        assert space["instance_count"].choices == (1, 2, 3, 4)


class TestConfigured:
    def test_values(self) -> None:
        """Values go where `sets` says, left out ones vanish, the rest of the model stays."""
        model = RepositoryModel(MODELS, "moody")
        space = model.adapt(built_in())
        values = {"dynamic_batching": True, "max_batch_size": 4, "instance_count": 2}
        message = model.configured(space.settings(space.activate(values)))

        assert model_config.get(message, "name") == "moody"
        assert model_config.get(message, "backend") == "python"
        assert model_config.get(message, "max_batch_size") == 4
        assert model_config.get(message, "instance_group[0].count") == 2
        assert model_config.get(message, "instance_group[0].kind") == "KIND_CPU"
        assert model_config.get(message, "dynamic_batching") is True
        assert model_config.get(message, "dynamic_batching.preferred_batch_size[0]") is None

    def test_off(self) -> None:
        """A switch that is off takes its message out."""
        model = RepositoryModel(MODELS, "moody")
        space = model.adapt(built_in())
        message = model.configured(space.settings(space.activate({"dynamic_batching": False})))
        assert model_config.get(message, "dynamic_batching") is None


@pytest.mark.parametrize(
    ("name", "text", "default"),
    [
        ("inference_mode", "true", True),
        ("inference_mode", "false", False),
        ("intra_op_threads", "2", 2),
        ("intra_op_threads", "5", 5),
        ("jit_executor", "true", True),
    ],
)
def test_parameters_of_a_backend_are_texts(
    tmp_path: Path, name: str, text: str, default: Value
) -> None:
    """What the model says of one is the same value that the space has, and no second one."""
    space = built_in("triton_pytorch")
    before = space[name]
    assert isinstance(before.sets, ConfigPath)
    key = before.sets.path.partition("[")[2].partition("]")[0]
    config = f'backend: "pytorch" parameters {{ key: "{key}" value {{ string_value: "{text}" }} }}'
    found = adapted(tmp_path, config, space)[name]
    assert found.default == default
    assert type(found.default) is type(default)
    known = set(before.choices or ())
    assert set(found.choices or ()) == known | ({default} if default not in known else set())
