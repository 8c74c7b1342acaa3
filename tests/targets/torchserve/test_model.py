"""A model archive of TorchServe: found, read, adapted to, staged, and never written."""

import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from subprocess import run

import pytest
import yaml

from tests.spaces import choice, integer
from tests.targets.torchserve.torchserve_archives import (
    MANIFEST,
    OWN,
    YAML,
    manifest,
    refusal,
    write_archive,
)
from tuner.errors import ModelError, SpaceError
from tuner.hardware import detect
from tuner.space import spec
from tuner.space.resolution import search_space
from tuner.space.settings import (
    ConfigPath,
    EnvironmentVariables,
    LauncherArgument,
    ServerProperty,
    Setting,
)
from tuner.space.space import SearchSpace
from tuner.targets.base import ModelSource
from tuner.targets.system_libraries import PRELOAD
from tuner.targets.torchserve.model import ArchiveModel, TorchServeModel, open_model

HANDLER = Path(__file__).parents[2] / "models" / "totals" / "handler.py"


def opened(folder: Path, config: object = None) -> TorchServeModel:
    return ArchiveModel(write_archive(folder, config))


def content_of(archive: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(archive) as content:
        assert content.testzip() is None
        return {name: content.read(name) for name in content.namelist()}


def staged(model: TorchServeModel, folder: Path) -> Path:
    model.stage(folder)
    [archive] = folder.iterdir()
    return archive


def built_in_space() -> SearchSpace:
    """The shipped space, on a machine of this size."""
    hardware = replace(detect(), cores=4, numa_nodes=2, threads_per_core=2, numactl=True)
    return search_space(spec.built_in()["torchserve"], hardware.bounds)


class TestOpen:
    def test_a_store(self, tmp_path: Path) -> None:
        """The model is called what its file is called; its version is the manifest's."""
        archive = write_archive(tmp_path)
        model = open_model(ModelSource(folder=tmp_path, name=None))
        assert (model.archive, model.name, model.version) == (archive, "m", "2.1")

    def test_a_name_that_no_model_has(self, tmp_path: Path) -> None:
        """A name becomes a part of addresses: one that cannot is refused."""
        archive = write_archive(tmp_path, name="my model")
        assert refusal(archive) == (
            f"{archive}: a name of letters, digits, `.`, `_` and `-` was expected",
            "rename the file; TorchServe calls the model what its file is called",
        )


class TestSettings:
    def test_of_the_archive(self, tmp_path: Path) -> None:
        """Of its own YAML, what can be searched counts."""
        assert opened(tmp_path, OWN).settings == {
            "minWorkers": 3,
            "batchSize": 24,
            "maxBatchDelay": 30,
        }

    @pytest.mark.parametrize(
        "config", [None, "", "# nothing\n", "[]", "text", {"responseTimeout": 60}]
    )
    def test_none(self, tmp_path: Path, config: object) -> None:
        """An archive may have no YAML, or one that says nothing of it."""
        assert opened(tmp_path, config).settings == {}

    @pytest.mark.parametrize("value", [0, -1, True, 2.5, "2", None, [2]])
    def test_what_torchserve_ignores(self, tmp_path: Path, value: object) -> None:
        """TorchServe takes whole numbers above 0 from it, and leaves the rest."""
        assert opened(tmp_path, {**OWN, "maxBatchDelay": value}).settings == {
            "minWorkers": 3,
            "batchSize": 24,
        }

    @pytest.mark.parametrize("name", [None, 1, ["model-config.yaml"]])
    def test_a_manifest_that_names_no_file(self, tmp_path: Path, name: object) -> None:
        """A YAML that the manifest does not name is not read, by TorchServe neither."""
        archive = write_archive(tmp_path, OWN, files={MANIFEST: manifest(configFile=name)})
        assert ArchiveModel(archive).settings == {}

    @pytest.mark.parametrize("config", [None, OWN])
    def test_of_an_archive_of_the_real_archiver(self, tmp_path: Path, config: object) -> None:
        """What torch-model-archiver makes is read, whatever its YAML is called."""
        archiver = Path(sys.executable).with_name("torch-model-archiver")
        if not archiver.is_file():
            pytest.skip("needs torch-model-archiver: pip install '.[torchserve]'")
        options = ["--model-name", "totals", "--version", "1.5", "--handler", str(HANDLER)]
        if config:
            (tmp_path / "mine.yaml").write_text(yaml.safe_dump(config))
            options += ["--config-file", str(tmp_path / "mine.yaml")]
        run([archiver, *options, "--export-path", tmp_path], check=True)

        model = open_model(ModelSource(folder=tmp_path, name="totals"))
        assert model.version == "1.5"
        assert model.settings == (opened(tmp_path, OWN).settings if config else {})
        kept = content_of(staged(model, tmp_path / "store")).keys()
        assert kept == content_of(model.archive).keys()


class TestFingerprint:
    def test_fingerprint(self, tmp_path: Path) -> None:
        """It is that of the archive's bytes, wherever it lies and whatever it is called."""
        first = opened(tmp_path, OWN)
        fingerprint = first.fingerprint
        assert len(fingerprint) == 10
        assert int(fingerprint, 16) >= 0

        (tmp_path / "n.mar").write_bytes(first.archive.read_bytes())
        assert ArchiveModel(tmp_path / "n.mar").fingerprint == fingerprint

        write_archive(tmp_path, OWN, files={"m.pt": "other weights"})
        assert first.fingerprint != fingerprint


class TestAdapt:
    def test_own_settings_become_defaults(self, tmp_path: Path) -> None:
        """The baseline is the model as its user left it; values outside a domain join it."""
        space = opened(tmp_path, OWN).adapt(built_in_space(), contained=True)

        assert space["workers"].default == 3
        assert space["batch_size"].default == 24
        assert space["max_batch_delay"].default == 30
        assert space["max_batch_delay"].choices == (1, 2, 5, 10, 20, 30, 50, 100)
        assert all(p.accepts(p.default) for p in space.parameters)

    def test_without_settings(self, tmp_path: Path) -> None:
        """Where the archive says nothing, and the libraries are the image's, nothing changes."""
        assert opened(tmp_path).adapt(built_in_space(), contained=True) == built_in_space()

    @pytest.mark.parametrize("contained", [True, False])
    def test_libraries(self, tmp_path: Path, *, contained: bool) -> None:
        """Of the libraries, those of this machine are left; an image may have others."""
        sets = EnvironmentVariables((PRELOAD,), "none")
        allocator = replace(choice("none", "libc.so.6", "libno-such.so.9"), sets=sets)
        space = opened(tmp_path).adapt(
            SearchSpace("torchserve", (allocator,)), contained=contained
        )

        missing = ("libno-such.so.9",) if contained else ()
        assert space["mode"].choices == ("none", "libc.so.6", *missing)

    @pytest.mark.parametrize(
        "sets",
        [
            ConfigPath("minWorkers"),
            ConfigPath("batchSize"),
            ConfigPath("maxBatchDelay"),
            ServerProperty("number_of_netty_threads", 0),
            ServerProperty("cpu_launcher_enable"),
            EnvironmentVariables(("ANY",)),
            LauncherArgument("--node-id", -1),
        ],
    )
    def test_what_can_be_set(self, tmp_path: Path, sets: Setting) -> None:
        """Settings of the model, of the server and its launcher, and any variable."""
        space = SearchSpace("torchserve", (replace(integer(), sets=sets),))
        assert opened(tmp_path).adapt(space, contained=False) == space

    def test_a_flag(self, tmp_path: Path) -> None:
        """TorchServe has a configuration file instead of flags."""
        assert "TorchServe has no `flag`" in self.refused(tmp_path, integer().sets)[0]

    @pytest.mark.parametrize(
        ("name", "hint"),
        [
            ("number_of_nety_threads", "did you mean `number_of_netty_threads`?"),
            ("job_queue_siz", "did you mean `job_queue_size`?"),
        ],
    )
    def test_a_property_that_is_none(self, tmp_path: Path, name: str, hint: str) -> None:
        """A key that TorchServe does not know would change nothing: refused."""
        assert self.refused(tmp_path, ServerProperty(name)) == (
            f"parameters.n.sets.property: TorchServe would silently ignore `{name}`",
            hint,
        )

    @pytest.mark.parametrize("name", ["model_store", "inference_address", "cpu_launcher_args"])
    def test_a_property_that_is_ours(self, tmp_path: Path, name: str) -> None:
        """What says where the server listens and what it loads is not for a search to change."""
        with pytest.raises(SpaceError):
            self.adapted(tmp_path, ServerProperty(name))

    @pytest.mark.parametrize("path", ["responseTimeout", "maxWorkers", "minworkers"])
    def test_a_path_that_is_none(self, tmp_path: Path, path: str) -> None:
        """Only what the management API can change is a setting of the model."""
        message, hint = self.refused(tmp_path, ConfigPath(path))
        assert message == (
            f"parameters.n.sets.config: TorchServe lets nobody set `{path}` of a model while it "
            "runs"
        )
        assert hint == "it knows `minWorkers`, `batchSize`, `maxBatchDelay`"

    def adapted(self, folder: Path, sets: Setting) -> SearchSpace:
        good = replace(choice("a", "b"), sets=EnvironmentVariables(("A",)))
        space = SearchSpace("torchserve", (good, replace(integer(), sets=sets)))
        return opened(folder).adapt(space, contained=True)

    def refused(self, folder: Path, sets: Setting) -> tuple[str, str]:
        with pytest.raises(SpaceError) as caught:
            self.adapted(folder, sets)
        return caught.value.message, caught.value.hint


class TestStage:
    @pytest.mark.parametrize("config", [None, {"responseTimeout": 60}, "# nothing\n", "[]"])
    def test_nothing_to_take_out(self, tmp_path: Path, config: object) -> None:
        """An archive that overrules nothing is copied byte by byte."""
        model = opened(tmp_path, config)
        before = model.archive.read_bytes()
        assert staged(model, tmp_path / "work" / "store").read_bytes() == before

    def test_own_settings_are_taken_out(self, tmp_path: Path) -> None:
        """What would overrule the search is gone; the rest, and all other files, stay."""
        model = opened(tmp_path, OWN)
        bytes_before, before = model.archive.read_bytes(), content_of(model.archive)
        archive = staged(model, tmp_path / "store")

        assert archive.name == "m.mar"
        after = content_of(archive)
        assert list(after) == list(before)
        assert {name for name in after if after[name] != before[name]} == {YAML}
        assert yaml.safe_load(after[YAML]) == {
            "responseTimeout": 60,
            "handler": {"labels": ["a", "b"]},
        }
        assert model.archive.read_bytes() == bytes_before
        assert ArchiveModel(archive).settings == {}

    @pytest.mark.parametrize("config", [{"minWorkers": 0, "maxWorkers": 4}, {"maxWorkers": 4}])
    def test_what_overrules_without_being_a_default(
        self, tmp_path: Path, config: dict[str, int]
    ) -> None:
        """TorchServe reads fewer than one worker as one: taken out though it is no default."""
        archive = staged(opened(tmp_path, config), tmp_path / "store")
        assert yaml.safe_load(content_of(archive)[YAML]) == {}

    def test_twice(self, tmp_path: Path) -> None:
        """A copy that is there already is replaced."""
        model = opened(tmp_path, OWN)
        before = content_of(staged(model, tmp_path / "store"))
        assert content_of(staged(model, tmp_path / "store")) == before

    def test_damaged_weights(self, tmp_path: Path) -> None:
        """Damage in a file that is read only now is told as well."""
        archive = write_archive(tmp_path, OWN)
        archive.write_bytes(archive.read_bytes().replace(b"PK\3\4", b"PK\0\0", 1))
        model = ArchiveModel(archive)
        with pytest.raises(ModelError) as caught:
            model.stage(tmp_path / "store")
        assert caught.value.message == (
            f"{archive}: cannot be copied to {tmp_path}/store: Bad magic number for file header"
        )
