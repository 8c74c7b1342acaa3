"""What the space file of a server of one's own becomes, and what is said where it cannot."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.exports.deployable import built_in, in_docker, of_a_command, stored, tried
from tests.refusals import refused
from tuner.exports import formats
from tuner.exports.forms import ExportForm
from tuner.exports.service import Mount, Probes, TextFile
from tuner.space import spec
from tuner.space.resolution import resolve
from tuner.targets import system_libraries

COMPOSE, SYSTEMD = ExportForm.COMPOSE, ExportForm.SYSTEMD
SERVICES = [ExportForm.DOCKER_RUN, COMPOSE, ExportForm.KUBERNETES, SYSTEMD]


def test_what_its_space_file_says(tmp_path: Path) -> None:
    """Templates are filled in, ports are chosen, and paths are where they were."""
    service = formats.service(*of_a_command(tmp_path), COMPOSE)

    assert service.image == "registry.example/app:1"
    assert service.command == (
        *("python", "app.py", "--host", "0.0.0.0", "--port", "8080", "--admin", "8081"),  # noqa: S104
        *("--config", "/tuner-files/app.toml", "--workers", "4", "--fast"),
    )
    assert service.environment == {"GREETING": "100% of $HOME", "OMP_NUM_THREADS": "2"}
    assert service.secrets == ("API_TOKEN",)
    assert service.mounts == (Mount(str(tmp_path), str(tmp_path)),)
    assert service.files == (TextFile("app.toml", "workers = 4", "/tuner-files/app.toml"),)
    assert service.ports == {"http": 8080, "admin": 8081}
    assert service.probes == Probes("/health", "/health")


def test_the_folder_of_a_start(tmp_path: Path) -> None:
    """Its files have a place of their own; what the server writes there goes elsewhere."""
    study, trial = of_a_command(tmp_path)
    file = tmp_path / "app.yaml"
    text = file.read_text().replace("GREETING:", 'CACHE: "{folder}/cache", GREETING:')
    file.write_text(text)
    service = formats.service(study, trial, COMPOSE)

    assert service.environment["CACHE"] == "/tmp/cache"  # noqa: S108 - of the server
    assert "/tuner-files/app.toml" in service.command
    assert f"{file} says how it is started, as it is now." in service.notes


def test_a_library_that_goes_before_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the machine it has its path; another image than the study's must have it."""
    monkeypatch.setattr(system_libraries, "path_of", lambda name: Path("/lib") / name)
    study, trial = of_a_command(tmp_path)
    file = tmp_path / "app.yaml"
    sets = "sets: {environment: [LD_PRELOAD], omit: none}"
    choices = "type: categorical, choices: [none, liba.so], default: none"
    more = f"  lib: {{{choices}, {sets}}}\n"
    file.write_text(file.read_text() + more)
    space = resolve(spec.load_space(file), {}, file=file)
    study = replace(study, space=space)
    trial = replace(trial, configuration=space.activate({"lib": "liba.so"}))
    alone = formats.service(study, trial, SYSTEMD, image="")
    within = formats.service(study, trial, COMPOSE)
    own = formats.service(in_docker(study), trial, COMPOSE)

    assert alone.environment["LD_PRELOAD"] == "/lib/liba.so"
    assert within.environment["LD_PRELOAD"] == own.environment["LD_PRELOAD"] == "liba.so"
    note = (
        "The image must have liba.so, which LD_PRELOAD names: without it, this is another "
        "configuration than the one that was measured."
    )
    assert [note in each.notes for each in (alone, within, own)] == [False, True, False]


@pytest.mark.parametrize("form", SERVICES)
def test_no_url_with_a_password_is_exported(tmp_path: Path, form: ExportForm) -> None:
    """It is a secret, whatever the variable is called."""
    study, trial = of_a_command(tmp_path)
    file = tmp_path / "app.yaml"
    url = "postgres://me:pa55@host/db"
    file.write_text(file.read_text().replace("GREETING:", f"STORE: '{url}', GREETING:"))
    text = formats.export(form, study, trial)

    assert "STORE" in text
    assert "pa55" not in text


def test_a_built_in_space_that_starts_a_server(tmp_path: Path) -> None:
    """The model is mounted where it was; nothing else of this machine is needed."""
    model = tmp_path / "tiny"
    model.mkdir()
    space = built_in("vllm")
    study = stored("command", space, "", options={"space": "vllm", "model": str(model)})
    trial = tried(space, "", max_num_seqs=8)
    service = formats.service(study, trial, COMPOSE, image="vllm/vllm-openai:latest")

    words = ("vllm", "serve", str(model), "--host", "0.0.0.0", "--port", "8080")  # noqa: S104
    assert service.command == (*words, "--max-num-seqs=8")
    assert service.mounts == (Mount(str(model), str(model)),)
    assert (service.directory, service.files) == ("", ())
    assert "VLLM_SERVER_DEV_MODE" not in service.environment


def test_what_outlives_a_start(tmp_path: Path) -> None:
    """A container may write to it at its own place, also where it lies in what is only read."""
    study, trial = of_a_command(tmp_path)
    file = tmp_path / "app.yaml"
    file.write_text(file.read_text().replace("reads: [app.py]", "keeps: [cache, /srv/cache]"))
    kept = tuple(
        Mount(path, path, writable=True) for path in (str(tmp_path / "cache"), "/srv/cache")
    )

    contained = formats.service(study, trial, COMPOSE)
    assert contained.mounts == (Mount(str(tmp_path), str(tmp_path)), *kept)
    assert formats.service(study, trial, SYSTEMD, image="").mounts == kept


@pytest.mark.parametrize(("asked", "expected_s"), [("10m", 1200), ("1h", 3600)])
def test_a_start_that_takes_long(tmp_path: Path, asked: str, expected_s: float) -> None:
    """As long as its space file says, or the study if that is more."""
    study, trial = of_a_command(tmp_path)
    file = tmp_path / "app.yaml"
    file.write_text(file.read_text().replace("ready:", "start_timeout: 20m\n  ready:"))
    study = replace(study, options={**study.options, "start_timeout": asked})

    assert formats.service(study, trial, COMPOSE).start_timeout_s == expected_s


def test_a_launch_that_cannot_be(tmp_path: Path) -> None:
    """The space file may have become such."""
    study, trial = of_a_command(tmp_path)
    file = tmp_path / "app.yaml"
    file.write_text(file.read_text().replace("files: {app.toml:", "files: {a/app.toml:"))
    with refused(
        f"{file}: this configuration cannot be started: a name in `files` must be that of a "
        "file, but got 'a/app.toml'",
        "take the script of `--format file`",
    ):
        formats.service(study, trial, COMPOSE)


@pytest.mark.parametrize("form", SERVICES)
def test_no_secret_is_exported(tmp_path: Path, form: ExportForm) -> None:
    """The variable is asked for, and its value stands nowhere."""
    text = formats.export(form, *of_a_command(tmp_path))

    assert "API_TOKEN" in text
    assert "s3cret" not in text


def test_the_space_file_is_gone(tmp_path: Path) -> None:
    """Another machine may not have it."""
    study, trial = of_a_command(tmp_path)
    (tmp_path / "app.yaml").unlink()
    with refused(
        f"{tmp_path}/app.yaml: the space file of the study says how its server is started, "
        "and is not here",
        "put it there, or take the script of `--format file`",
    ):
        formats.service(study, trial, COMPOSE)


def test_the_space_file_is_another_one(tmp_path: Path) -> None:
    """It may have been changed since."""
    study, trial = of_a_command(tmp_path)
    (tmp_path / "app.yaml").write_text(
        "server: triton\nparameters: {n: {type: int, low: 1, high: 2, default: 1, "
        "sets: {flag: --n}}}\n"
    )
    with refused(
        f"{tmp_path}/app.yaml: the space file of the study says no more how its server is started",
        "give it its section `serve` again, or take the script of `--format file`",
    ):
        formats.service(study, trial, COMPOSE)
