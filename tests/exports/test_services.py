"""What a stored study and a trial become: image, command, environment, files, ports, resources."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.exports.deployable import (
    CONFIG,
    DIGEST,
    PROPERTIES,
    in_docker,
    of_a_command,
    of_tensorflow,
    of_torchserve,
    of_triton,
)
from tests.refusals import refused
from tests.report import studies
from tuner import demo
from tuner.exports import formats, torchserve
from tuner.exports.formats import ExportForm
from tuner.exports.service import Mount, Probes, Resources, TextFile

MADE = "Replace /MODEL_REPOSITORY by the folder that this makes:"
COMPOSE, SYSTEMD = ExportForm.COMPOSE, ExportForm.SYSTEMD


class TestTriton:
    def test_in_the_image_of_its_release(self) -> None:
        """The public image of what was measured, which loads the one model with its file."""
        service = formats.service(*of_triton(), COMPOSE)

        assert service.image == "nvcr.io/nvidia/tritonserver:24.10-py3"
        assert service.command[:4] == (
            *("tritonserver", "--model-repository=/models", "--model-control-mode=explicit"),
            "--load-model=encoder",
        )
        assert "--http-address=0.0.0.0" in service.command
        assert service.environment["OMP_NUM_THREADS"] == "1"
        assert service.mounts == (Mount("/srv/models", "/models"),)
        target = "/models/encoder/config.pbtxt"
        assert service.files == (TextFile("config.pbtxt", CONFIG, target, covers=True),)
        assert service.ports == {"http": 8000, "grpc": 8001, "metrics": 8002}
        assert service.probes == Probes("/v2/health/live", "/v2/models/encoder/ready")
        assert service.resources == Resources(cpus=2.0, used_bytes=100_000_000, shm_size="1g")
        assert service.notes[1:3] == (
            "It was measured without Docker: 24.10 is the Triton of nvidia-pytriton 0.7.0.",
            "/srv/models is the folder of models as the study had it.",
        )

    def test_of_another_release(self) -> None:
        """What nobody knows has a name that stands out."""
        service = formats.service(*of_triton(environment={}), COMPOSE)

        assert service.image == "nvcr.io/nvidia/tritonserver:YY.MM-py3"
        assert "replace YY.MM by the release" in service.notes[1]

    def test_on_the_machine_itself(self) -> None:
        """Files and folders are at their own places, and nobody else can reach it."""
        service = formats.service(*of_triton(), SYSTEMD)

        assert service.image == ""
        assert service.command[:2] == (
            "/opt/tritonserver/bin/tritonserver",
            "--model-repository=/srv/models",
        )
        assert "--http-address=127.0.0.1" in service.command
        assert service.mounts == ()
        assert service.files[0].target == "/srv/models/encoder/config.pbtxt"

    def test_as_it_was_in_containers(self) -> None:
        """What the containers of the study had; its image by the digest that was measured."""
        study, trial = of_triton()
        service = formats.service(in_docker(study), trial, SYSTEMD)

        assert service.image == f"registry.example/server:1@{DIGEST}"
        assert service.mounts[1:] == (Mount("/opt/tokenizers", "/opt/tokenizers"),)
        assert service.resources == Resources(
            cpus=1.5, memory="4g", used_bytes=100_000_000, shm_size="512m", gpus="0,1"
        )
        assert service.capabilities == ("SYS_NICE",)
        assert service.limits == {"memlock": -1}
        assert service.user == "1000:1000"

    def test_in_the_network_of_the_machine(self) -> None:
        """It listens on the loopback interface then."""
        study, trial = of_triton()
        service = formats.service(in_docker(study, network="host"), trial, COMPOSE)

        assert service.host_network
        assert "--http-address=127.0.0.1" in service.command

    def test_another_image(self) -> None:
        """What was asked for is taken as it is, also where there was none."""
        for form in (COMPOSE, SYSTEMD):
            service = formats.service(*of_triton(), form, image="mine:2")
            assert service.image == "mine:2"
            assert not any("without Docker" in note for note in service.notes)

    def test_processors_that_it_was_bound_to(self) -> None:
        """Those of `--server-cpus`."""
        options = {"model_repository": "/srv/models", "server_cpus": "0,2-3"}
        service = formats.service(*of_triton(options=options), COMPOSE)

        assert service.resources.cpuset == "0,2-3"

    def test_an_ensemble(self) -> None:
        """Each of its models has a file of its own; what it asks is loaded first."""
        study, trial = of_triton(options={"model_repository": "/srv", "with_model": ["words"]})
        parts = '# file: encoder/config.pbtxt\nplatform: "ensemble"\n\n# file: part/config.pbtxt\n'
        export = parts + 'backend: "python"\n'
        service = formats.service(study, replace(trial, export=export), COMPOSE)

        assert [(each.name, each.target) for each in service.files] == [
            ("encoder/config.pbtxt", "/models/encoder/config.pbtxt"),
            ("part/config.pbtxt", "/models/part/config.pbtxt"),
        ]
        assert service.command[3:5] == ("--load-model=words", "--load-model=encoder")
        assert service.notes[-1].startswith("Models that its program asks")


class TestFolders:
    @pytest.mark.parametrize(
        ("options", "folder", "note"),
        [
            (
                {"model_repository": "models"},
                "/MODEL_REPOSITORY/models",
                "Replace /MODEL_REPOSITORY/models by the path of `models`.",
            ),
            (
                {"model_file": "/srv/m.onnx"},
                "/MODEL_REPOSITORY",
                f"{MADE} tuner repository /srv/m.onnx --output FOLDER",
            ),
        ],
    )
    def test_that_are_to_be_replaced(
        self, options: dict[str, str], folder: str, note: str
    ) -> None:
        """A folder that nobody can know has a name that stands out, and is told of."""
        service = formats.service(*of_triton(options=options), COMPOSE)

        assert service.mounts[0].source == folder
        assert note in service.notes

    def test_a_file_that_a_program_serves(self) -> None:
        """The Triton of the wheel has no other backend; an image may lack what that needs."""
        study, trial = of_triton(options={"model_file": "/srv/m.onnx"})
        program = replace(trial, export='backend: "python"\n')

        assert formats.service(study, program, COMPOSE).notes[-1] == (
            "A program on the Python backend serves the file: the server needs ONNX Runtime or "
            "PyTorch beside it."
        )

    def test_of_the_bundled_model(self) -> None:
        """It lies in the package, wherever that is."""
        service = formats.service(*of_triton(options={}), COMPOSE)

        assert service.mounts[0].source == str(demo.REPOSITORY)

    def test_of_another_model(self) -> None:
        """The database of an older version may say nothing of it."""
        service = formats.service(*of_triton(options={}, model="other"), COMPOSE)

        assert service.mounts[0].source == "/MODEL_REPOSITORY"


class TestTorchServe:
    def test_in_its_public_image(self) -> None:
        """Requests may come from the engine; management stays within the container."""
        service = formats.service(*of_torchserve(), COMPOSE)

        assert service.image == "pytorch/torchserve:0.12.0-cpu"
        assert service.command[-2:] == ("--model-store", "/models")
        [file] = service.files
        assert file.text.endswith(PROPERTIES)
        said = torchserve.properties(file.text)
        assert said["inference_address"] == "http://0.0.0.0:8080"
        assert said["management_address"] == "http://127.0.0.1:8081"
        assert "management" not in service.ports
        assert service.notes[1] == (
            "It was measured without Docker, with TorchServe 0.12.0 and PyTorch 2.13.0; "
            "the image may have another PyTorch."
        )

    def test_on_graphics_processors(self) -> None:
        """The image for them, and all of them."""
        hardware = {**studies.study().hardware, "gpus": 2}
        service = formats.service(*of_torchserve(hardware=hardware), COMPOSE)

        assert service.image == "pytorch/torchserve:0.12.0-gpu"
        assert service.resources.gpus == "all"


class TestTensorFlowServing:
    def test_with_batches(self) -> None:
        """The parameters are a file of their own; no study knows the server's version."""
        service = formats.service(*of_tensorflow(), COMPOSE)

        assert service.image == "tensorflow/serving:VERSION"
        assert "--model_base_path=/models/encoder" in service.command
        [file] = service.files
        assert f"--batching_parameters_file={file.target}" in service.command
        assert "max_batch_size { value: 8 }" in file.text

    def test_without(self) -> None:
        """Then there is no such file."""
        study, trial = of_tensorflow()
        assert study.space is not None
        plain = replace(trial, configuration=study.space.defaults)

        assert formats.service(study, plain, COMPOSE).files == ()


class TestCommand:
    def test_what_its_space_file_says(self, tmp_path: Path) -> None:
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

    @pytest.mark.parametrize("form", list(ExportForm)[4:])
    def test_no_secret_is_exported(self, tmp_path: Path, form: ExportForm) -> None:
        """The variable is asked for, and its value stands nowhere."""
        text = formats.export(form, *of_a_command(tmp_path))

        assert "API_TOKEN" in text
        assert "s3cret" not in text

    def test_the_space_file_is_gone(self, tmp_path: Path) -> None:
        """Another machine may not have it."""
        study, trial = of_a_command(tmp_path)
        (tmp_path / "app.yaml").unlink()
        with refused(
            f"{tmp_path}/app.yaml: the space file of the study says how its server is started, "
            "and is not here",
            "put it there, or take the script of `--format file`",
        ):
            formats.service(study, trial, COMPOSE)

    def test_the_space_file_is_another_one(self, tmp_path: Path) -> None:
        """It may have been changed since."""
        study, trial = of_a_command(tmp_path)
        (tmp_path / "app.yaml").write_text(
            "server: triton\nparameters: {n: {type: int, low: 1, high: 2, default: 1, "
            "sets: {flag: --n}}}\n"
        )
        with refused(
            f"{tmp_path}/app.yaml: the space file of the study says no more how its server is "
            "started",
            "give it its section `serve` again, or take the script of `--format file`",
        ):
            formats.service(study, trial, COMPOSE)
