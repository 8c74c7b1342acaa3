"""What a stored study and a trial become: image, command, environment, files, ports, resources."""

from dataclasses import replace
from typing import Any

import pytest

from tests.exports.deployable import (
    CONFIG,
    DIGEST,
    PROPERTIES,
    in_docker,
    of_llama_cpp,
    of_tensorflow,
    of_torchserve,
    of_triton,
)
from tests.report import studies
from tuner import demo
from tuner.exports import formats, torchserve
from tuner.exports.forms import ExportForm
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
            (
                "It was measured without Docker: 24.10 is the Triton of nvidia-pytriton 0.7.0, "
                "which is used where no `tritonserver` is on PATH."
            ),
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
            cpus=1.5, memory="4g", used_bytes=100_000_000, shm_size="512m", gpus="0,1", gpu_count=2
        )
        assert service.capabilities == ("SYS_NICE",)
        assert service.limits == {"memlock": -1}
        assert service.user == "1000:1000"
        assert service.start_timeout_s == 120

    @pytest.mark.parametrize(
        ("name", "digest", "image"),
        [
            ("a:5000/b:1", f"a:5000/b@{DIGEST}", f"a:5000/b:1@{DIGEST}"),
            ("mine:1", f"a:5000/b@{DIGEST}", f"a:5000/b@{DIGEST}"),
            ("mine:1", DIGEST, "mine:1"),
            (DIGEST, f"a:5000/b@{DIGEST}", f"a:5000/b@{DIGEST}"),
            (f"b@{DIGEST}", f"a/b@{DIGEST}", f"b@{DIGEST}"),
        ],
    )
    def test_the_digest_of_its_image(self, name: str, digest: str, image: str) -> None:
        """A digest holds for its own repository alone."""
        study, trial = of_triton()
        environment = {"image": name, "image_digest": digest}
        study = replace(in_docker(study), environment=environment)

        assert formats.service(study, trial, COMPOSE).image == image

    def test_in_the_network_of_the_machine(self) -> None:
        """It listens on the loopback interface then."""
        study, trial = of_triton()
        service = formats.service(in_docker(study, network="host"), trial, COMPOSE)

        assert service.host_network
        assert "--http-address=127.0.0.1" in service.command

    def test_a_pod_has_a_network_of_its_own(self) -> None:
        """The probes and the Service ask it from outside of the pod."""
        study, trial = of_triton()
        study = in_docker(study, network="host")
        service = formats.service(study, trial, ExportForm.KUBERNETES)

        assert not service.host_network
        assert "--http-address=0.0.0.0" in service.command
        note = "It was measured in the network of its machine; a pod has one of its own."
        assert note in service.notes

    def test_the_program_of_the_machine(self) -> None:
        """It need not be what was measured, least of all where that was the wheel's."""
        assert formats.service(*of_triton(), SYSTEMD).notes[-1] == (
            "Replace /opt/tritonserver/bin/tritonserver by that of the machine; it was measured "
            "with `tritonserver` on PATH, or else with that of nvidia-pytriton 0.7.0, which no "
            "unit can start: an image of its release can be named with `--image`."
        )

    def test_how_long_a_start_may_take(self) -> None:
        """As long as in the study."""
        options = {"model_repository": "/srv/models", "start_timeout": "10m"}

        assert formats.service(*of_triton(options=options), COMPOSE).start_timeout_s == 600

    def test_no_more_memory_than_its_limit(self) -> None:
        """The processes of a server share pages, which count for each of them."""
        service = formats.service(*of_triton(), COMPOSE)
        limited = replace(service.resources, memory="64m")

        assert (service.resources.reserved_mib, limited.reserved_mib) == (96, 64)

    def test_of_a_remote_server(self) -> None:
        """What the tuner's own machine has says nothing of it; nor does its bundled model."""
        hardware = {**studies.study().hardware, "gpus": 2}
        wishes = {"place": {"runner": "remote", "host": "far"}, "options": {}}
        service = formats.service(*of_triton(hardware=hardware, **wishes), COMPOSE)

        assert service.resources == Resources(shm_size="1g")
        assert service.mounts == (Mount("/MODEL_REPOSITORY", "/models"),)
        assert service.notes[-1] == (
            "It was measured on a remote server: what that has of processors, memory and GPUs is "
            "not known."
        )

    def test_a_name_that_begins_with_a_digit(self) -> None:
        """Kubernetes takes none for a Service."""
        assert formats.service(*of_triton(model="7B_chat"), COMPOSE).name == "model-7b-chat"

    def test_a_configuration_that_names_its_folder(self) -> None:
        """Then a container has the folder at the same place."""
        study, trial = of_triton()
        export = CONFIG + 'parameters { key: "w" value { string_value: "/srv/models/w.bin" } }\n'
        service = formats.service(study, replace(trial, export=export), COMPOSE)

        assert service.mounts == (Mount("/srv/models", "/srv/models"),)
        assert "--model-repository=/srv/models" in service.command
        assert service.files[0].target == "/srv/models/encoder/config.pbtxt"

    def test_all_other_models(self) -> None:
        """Triton refuses `*` beside names."""
        options = {"model_repository": "/srv", "with_model": ["*"]}
        service = formats.service(*of_triton(options=options), COMPOSE)

        assert [w for w in service.command if "load-model" in w] == ["--load-model=*"]

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
            (
                {"model_file": "/my m.pt", "variant": ["/b.onnx"], "input": ["x:FP32:-1,4"]},
                "/MODEL_REPOSITORY",
                (
                    f"{MADE} tuner repository '/my m.pt' --input x:FP32:-1,4 --output FOLDER; "
                    "tuner repository /b.onnx --output FOLDER"
                ),
            ),
        ],
    )
    def test_that_are_to_be_replaced(
        self, options: dict[str, Any], folder: str, note: str
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
        """The image for them, and as many of them."""
        hardware = {**studies.study().hardware, "gpus": 2}
        service = formats.service(*of_torchserve(hardware=hardware), COMPOSE)

        assert service.image == "pytorch/torchserve:0.12.0-gpu"
        assert (service.resources.gpus, service.resources.gpu_count) == ("", 2)

    def test_an_archive_with_settings_of_its_own(self) -> None:
        """They win over what is exported: every format says so at its head."""
        study, trial = of_torchserve()
        said = "The archive's own model-config.yaml sets batchSize, which wins: take it out"
        first, rest = PROPERTIES.split("\n", 1)
        trial = replace(trial, export=f"{first}\n# {said}\n{rest}")

        for form in (COMPOSE, SYSTEMD):
            assert said in formats.service(study, trial, form).notes


class TestLlamaCpp:
    def test_in_its_image(self) -> None:
        """The public image has the program at a place of its own, and the file where it was."""
        service = formats.service(*of_llama_cpp(), COMPOSE)

        assert service.image == "ghcr.io/ggml-org/llama.cpp:server-bVERSION"
        assert service.command == (
            *("/app/llama-server", "--model", "/srv/models/m.gguf", "--alias", "m"),
            *("--host", "0.0.0.0", "--port", "8080", "--parallel", "8"),  # noqa: S104
        )
        assert service.mounts == (Mount("/srv/models", "/srv/models"),)
        assert service.environment == {"OMP_WAIT_POLICY": "ACTIVE"}
        assert service.probes == Probes("/health", "/health")
        assert "replace VERSION by that of its llama.cpp" in service.notes[1]

    def test_on_the_machine_itself(self) -> None:
        """Nobody else can reach it, and its program is to be named."""
        service = formats.service(*of_llama_cpp(), SYSTEMD)

        assert service.command[0] == "/usr/local/bin/llama-server"
        assert service.command[5:7] == ("--host", "127.0.0.1")
        assert any("Replace /usr/local/bin/llama-server" in note for note in service.notes)

    def test_that_makes_vectors(self) -> None:
        """It keeps no texts, as in the trials: the script's variables go with its flags."""
        study, trial = of_llama_cpp(request={"prompts": {"task": "embeddings"}})
        service = formats.service(study, trial, COMPOSE)

        kept = {"LLAMA_ARG_CACHE_RAM": "0", "OMP_WAIT_POLICY": "ACTIVE"}
        assert service.environment == kept


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
