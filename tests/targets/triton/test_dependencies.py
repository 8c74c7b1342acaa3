"""Models that ask others, and files beside the models, on a real Triton."""

from pathlib import Path

import numpy as np
import pytest

from tests.targets.triton.ensembles import (
    BIG_BYTES,
    opened,
    write_asking,
    write_chain,
    write_ensemble,
    write_reading,
)
from tests.targets.triton.triton_targets import infer, served, write_form
from tuner.clients.v2_http import V2Client
from tuner.errors import InputError, ModelError, Reason
from tuner.targets.base import ModelSource
from tuner.targets.request_form import RequestForm
from tuner.targets.triton.base import TritonModel
from tuner.targets.triton.model import open_model


@pytest.fixture
def asking(tmp_path: Path) -> Path:
    """A repository in which `front` asks the ensemble `chain`, and others ask `front`."""
    repository = tmp_path / "models"
    write_chain(repository)
    write_asking(repository, "front", '["chain", "head"]')
    write_form(repository, "idle")
    write_asking(repository, "hidden", '["he" + "ad"]')
    write_asking(repository, "above", '["front", "above"]')
    return repository


@pytest.mark.pure
class TestAsked:
    @pytest.mark.parametrize(
        ("name", "with_models", "before"),
        [
            ("front", (), ("chain", "head")),
            ("above", (), ("chain", "head", "front")),
            ("hidden", (), ()),
            ("hidden", ("head",), ("head",)),
            ("hidden", ("front", "head"), ("chain", "head", "front")),
            ("idle", ("*",), ("chain", "head", "front", "above", "hidden", "text-encoder")),
            ("idle", (), ()),
        ],
    )
    def test_in_the_order_of_loading(
        self, asking: Path, name: str, with_models: tuple[str, ...], before: tuple[str, ...]
    ) -> None:
        """What the Python names is loaded first, as is what that asks; so is `--with-model`."""
        model = opened(asking, name, *with_models)
        assert model.before == before
        named = ", ".join(f"`{each}`" for each in before)
        assert model.remarks(RequestForm()) == ((f"loaded first: {named}",) if before else ())

    def test_a_circle(self, tmp_path: Path) -> None:
        """Models that ask each other are loaded, but for an ensemble of the one that is tuned."""
        write_asking(tmp_path, "a", '["b"]')
        write_asking(tmp_path, "b", '["e", "a"]')
        write_ensemble(tmp_path, "e", ["a"])
        assert opened(tmp_path, "a").before == ("b",)
        assert opened(tmp_path, "b").before == ("a", "e")
        assert opened(tmp_path, "e").before == ("b",)

    @pytest.mark.parametrize(("name", "which"), [("head", "that one"), ("chain", "a part of")])
    def test_the_model_itself(self, asking: Path, name: str, which: str) -> None:
        """What is loaded with another model cannot be what is tuned."""
        with pytest.raises(
            InputError, match=f"`--with-model {name}`: the model `head` .* {which}"
        ):
            opened(asking, "head", name)

    def test_is_part_of_the_model(self, asking: Path) -> None:
        """A study is not continued where a model that is asked has changed."""
        before = opened(asking, "front").fingerprint
        other = opened(asking, "idle").fingerprint
        (asking / "head" / "1" / "model.py").write_text("# another one")
        assert opened(asking, "front").fingerprint != before
        assert opened(asking, "idle").fingerprint == other

    def test_what_is_not_there(self, asking: Path) -> None:
        """A name that the repository does not have is refused, with those that it has."""
        with pytest.raises(InputError, match="has no model `heads`, which") as caught:
            opened(asking, "front", "heads")
        assert caught.value.hint == "did you mean `head`?"

    def test_a_model_file_asks_nothing(self) -> None:
        """A file is one model."""
        with pytest.raises(InputError, match="`--with-model` means nothing to a model file"):
            open_model(ModelSource(file=Path("m.onnx"), with_models=("head",)))


@pytest.mark.pure
class TestBeside:
    def staged(self, tmp_path: Path) -> Path:
        write_reading(tmp_path / "models")
        write_form(tmp_path / "models", "other")
        opened(tmp_path / "models", "reads").stage(tmp_path / "staged")
        return tmp_path / "staged"

    def test_is_staged(self, tmp_path: Path) -> None:
        """Small files are copied, large ones and other models linked, hidden ones left out."""
        staged = self.staged(tmp_path)
        assert {path.name for path in staged.iterdir()} == {
            "README.md",
            "other",
            "reads",
            "shared",
        }
        assert [path.is_symlink() for path in (staged / "shared", staged / "other")] == [
            False,
            True,
        ]
        assert not (staged / "shared" / "factor.txt").is_symlink()
        big = staged / "shared" / "deep" / "bias.bin"
        assert big.readlink() == (tmp_path / "models" / "shared" / "deep" / "bias.bin").resolve()

    def test_links_in_a_circle(self, tmp_path: Path) -> None:
        """A folder that holds a link to itself is staged once."""
        shared = tmp_path / "models" / "shared"
        write_reading(tmp_path / "models")
        (shared / "again").symlink_to(shared)
        (shared / "nowhere").symlink_to(tmp_path / "nowhere")
        opened(tmp_path / "models", "reads").stage(tmp_path / "staged")
        assert {path.name for path in (tmp_path / "staged" / "shared").iterdir()} == {
            "deep",
            "factor.txt",
        }

    def test_what_the_model_names_is_part_of_it(self, tmp_path: Path) -> None:
        """Other weights are another model; what nothing names is not."""

        def fingerprint() -> str:
            return opened(tmp_path / "models", "reads").fingerprint

        write_reading(tmp_path / "models")
        before = fingerprint()
        (tmp_path / "models" / "README.md").write_text("otherwise")
        assert fingerprint() == before
        (tmp_path / "models" / "shared" / "factor.txt").write_text("6")
        assert fingerprint() != before

    def test_a_container_sees_where_links_lead(self, tmp_path: Path) -> None:
        """What is linked is among what a container may read, wherever it is."""
        write_reading(tmp_path / "models")
        (tmp_path / "elsewhere").write_text("weights")
        (tmp_path / "models" / "weights").symlink_to(tmp_path / "elsewhere")
        found = served(tmp_path, opened(tmp_path / "models", "reads"))
        reads = found.target.launch_spec(found.configuration()).reads
        own = found.folder / "repository"
        assert reads == (
            own,
            *(p.resolve() for p in (tmp_path / "models", tmp_path / "elsewhere")),
        )


class TestOnTriton:
    def answer(self, tmp_path: Path, model: TritonModel) -> tuple[float, list[str]]:
        """The answer to ones, and the models that are ready then."""
        found = served(tmp_path, model)
        with found.deployment() as deployment:
            for count in (1, 2):
                deployment.apply(found.configuration(instance_count=count))
            answer = infer(deployment.server, model.name, x=np.ones((1, 4), np.float32))
            with V2Client(deployment.server.url("http")) as client:
                return float(answer["y"][0, 0]), sorted(client.ready_models())

    def test_what_it_asks_is_ready_first(self, asking: Path, tmp_path: Path) -> None:
        """The model is tuned with the ensemble and the model that it asks, and with no other."""
        found = self.answer(tmp_path, opened(asking, "front"))
        assert found == (2 * 3 * 3, ["chain", "front", "head", "text-encoder"])

    def test_with_model(self, asking: Path, tmp_path: Path) -> None:
        """What only the running program knows is named."""
        found = self.answer(tmp_path, opened(asking, "hidden", "head"))
        assert found == (3, ["head", "hidden"])

    def test_without_it(self, asking: Path, tmp_path: Path) -> None:
        """A model that asks for what is not there fails with the option that brings it."""
        failure = served(tmp_path, opened(asking, "hidden")).failure()
        assert failure.reason is Reason.NOT_READY
        assert str(failure).startswith(
            "the first inference (`--with-model NAME` loads another model that it asks; there "
            "are: above, chain, front, head, idle, text-encoder) failed: "
        )

    def test_files_beside_it_are_found(self, tmp_path: Path) -> None:
        """A path that leads out of the model's folder leads to the same files."""
        write_reading(tmp_path / "models")
        found = self.answer(tmp_path, opened(tmp_path / "models", "reads"))
        assert found == (5 + BIG_BYTES, ["reads"])


@pytest.mark.pure
def test_a_broken_model_that_is_asked(asking: Path) -> None:
    """What is wrong with a model that is asked is said before the start, too."""
    (asking / "head" / "config.pbtxt").write_text("nonsense")
    with pytest.raises(ModelError, match=r"head/config\.pbtxt: is not a model configuration"):
        opened(asking, "front")
