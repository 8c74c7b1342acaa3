"""Every format is read by what reads it, in words that need quotation marks; nothing is lost."""

import itertools
import os
import re
import socket
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from tests.exports.deployable import (
    AWKWARD,
    PROPERTIES,
    awkward,
    of_llama_cpp,
    of_tensorflow,
    of_torchserve,
    of_triton,
)
from tests.refusals import refused
from tuner.exports import compose, docker_run, env_file, formats, kubernetes
from tuner.exports.forms import ExportForm
from tuner.exports.service import Resources, Service, probing
from tuner.exports.yaml_text import yaml_text
from tuner.targets.triton import config as model_config

KUBERNETES = "1.30"
# An engine that keeps the words that it is called with.
DOCKER = '#!/bin/sh\nprintf "%s\\0" "$@" > words\nprintf "%s" "$API_TOKEN" > token\n'
TOKEN = {"API_TOKEN": "s3cret"}
SERVICES = [
    pytest.param(awkward(), id="awkward"),
    *(
        pytest.param(formats.service(*found, ExportForm.COMPOSE), id=found[0].server)
        for found in (of_triton(), of_torchserve(), of_tensorflow(), of_llama_cpp())
    ),
]


class TestDockerRun:
    def ran(self, service: Service, folder: Path, **environment: str) -> list[str]:
        """The words that the script calls `docker` with."""
        program = folder / "docker"
        program.write_text(DOCKER)
        program.chmod(0o755)
        path = f"{folder}{os.pathsep}{os.environ['PATH']}"
        subprocess.run(
            ["sh", "-c", docker_run.script(service)],
            check=True,
            cwd=folder,
            env={"PATH": path, **environment},
        )
        return (folder / "words").read_text().split("\0")[:-1]

    def test_a_shell_calls_docker_with_its_words(self, tmp_path: Path) -> None:
        """Whatever the words have in them, and in a folder of any name."""
        folder = tmp_path / "my $files"
        folder.mkdir()
        words = self.ran(awkward(), folder, **TOKEN)

        assert words[:3] == ["run", "--detach", "--name"]
        place = words.index("registry.example/server:1")
        assert words[place + 1 :] == list(AWKWARD)
        options = list(itertools.pairwise(words))
        for number, text in enumerate(AWKWARD):
            assert ("--env", f"VARIABLE_{number}={text}") in options
        for option in (
            ("--entrypoint", "/usr/bin/env"),
            ("--env", "API_TOKEN"),
            ("--publish", "127.0.0.1:8000:8000"),
            ("--mount", "type=bind,source=/srv/my models,target=/models,readonly"),
            ("--mount", "type=bind,source=/srv/my cache,target=/srv/my cache"),
            (
                "--mount",
                f"type=bind,source={folder}/server.conf,target=/tuner-files/server.conf,readonly",
            ),
            *(("--cpus", "1.5"), ("--cpuset-cpus", "0,2-3"), ("--memory", "4g")),
            *(("--memory-reservation", "139m"), ("--shm-size", "512m")),
            *(("--gpus", '"device=0,1"'), ("--cap-add", "SYS_NICE"), ("--ulimit", "memlock=-1")),
            *(("--user", "1000:1000"), ("--workdir", "/srv/my app")),
            ("--restart", "unless-stopped"),
        ):
            assert option in options
        assert (folder / "token").read_text() == "s3cret"

    def test_files_are_written(self, tmp_path: Path) -> None:
        """As they are: no shell reads them."""
        self.ran(awkward(), tmp_path, **TOKEN)

        for file in awkward().files:
            assert (tmp_path / file.name).read_text() == file.text

    def test_a_secret_that_is_missing(self, tmp_path: Path) -> None:
        """The script says which, and starts nothing."""
        with pytest.raises(subprocess.CalledProcessError):
            self.ran(awkward(), tmp_path)
        assert not (tmp_path / "words").exists()

    def test_the_network_of_the_machine(self, tmp_path: Path) -> None:
        """Nothing is published there."""
        words = self.ran(awkward(host_network=True, secrets=()), tmp_path)

        assert "host" in words
        assert "--publish" not in words


class TestCompose:
    @pytest.mark.parametrize("service", SERVICES)
    def test_compose_takes_it(self, service: Service, tmp_path: Path) -> None:
        """Where Compose is installed, it is asked; its own words come out again in any case."""
        text = compose.document(service)
        document = yaml.safe_load(text)
        if _has_compose():
            document = self.configured(text, service, tmp_path)
        [(name, found)] = document["services"].items()
        assert name == service.name
        assert found["image"] == service.image
        words = [*found["entrypoint"], *found.get("command", [])]
        undone = words if _has_compose() else [_interpolated(word) for word in words]
        assert undone == list(service.command)

    def configured(self, text: str, service: Service, folder: Path) -> Any:
        """What `docker compose config` makes of it."""
        (folder / "compose.yaml").write_text(text)
        for file in service.files:
            (folder / file.name).write_text(file.text)
        ended = subprocess.run(
            ["docker", "compose", "config"],
            cwd=folder,
            env={**os.environ, **dict.fromkeys(service.secrets, "s3cret")},
            capture_output=True,
            text=True,
            check=True,
        )
        return yaml.safe_load(ended.stdout.replace("$$", "$"))

    def test_everything_is_in_it(self) -> None:
        """What a container of the study had, with values that Compose leaves alone."""
        document = yaml.safe_load(compose.document(awkward()))
        found = document["services"]["encoder"]
        environment = dict(found["environment"])
        assert environment.pop("API_TOKEN") == "${API_TOKEN:?a secret, which is not stored}"
        assert [_interpolated(text) for text in environment.values()] == list(AWKWARD)
        assert found["volumes"] == [
            {"type": "bind", "source": "/srv/my models", "target": "/models", "read_only": True},
            {
                "type": "bind",
                "source": "/srv/my cache",
                "target": "/srv/my cache",
                "read_only": False,
            },
        ]
        assert found["ports"] == ["127.0.0.1:8000:8000", "127.0.0.1:8001:8001"]
        assert (found["cpus"], found["cpuset"], found["shm_size"]) == (1.5, "0,2-3", "512m")
        reservations = found["deploy"]["resources"]["reservations"]
        assert (found["mem_limit"], reservations["memory"]) == ("4g", "139m")
        assert "mem_reservation" not in found  # Compose refuses it beside others
        [gpus] = reservations["devices"]
        assert gpus == {"driver": "nvidia", "capabilities": ["gpu"], "device_ids": ["0", "1"]}
        assert (found["user"], found["working_dir"]) == ("1000:1000", "/srv/my app")
        assert (found["cap_add"], found["ulimits"]) == (["SYS_NICE"], {"memlock": -1})
        assert found["restart"] == "unless-stopped"
        assert found["healthcheck"]["test"][:3] == ["CMD", "bash", "-c"]

    def test_files(self) -> None:
        """Compose writes their texts, but for what lies in a mount: that must be beside it."""
        text = compose.document(awkward())
        configs = yaml.safe_load(text)["configs"]
        [plain, covering] = awkward().files

        assert _interpolated(configs["server.conf"]["content"]) == plain.text
        assert configs["config.pbtxt"] == {"file": f"./{covering.name}"}
        assert "# ./config.pbtxt must lie beside this file" in text

    @pytest.mark.parametrize(("gpus", "count"), [("all", "all"), ("", 2)])
    def test_graphics_processors(self, gpus: str, count: str | int) -> None:
        """All that there are, or as many as were measured."""
        resources = replace(awkward().resources, gpus=gpus)
        document = yaml.safe_load(compose.document(awkward(resources=resources)))

        deploy = document["services"]["encoder"]["deploy"]
        assert deploy["resources"]["reservations"]["devices"][0]["count"] == count

    def test_without_graphics_processors(self) -> None:
        """Memory is reserved all the same."""
        document = yaml.safe_load(compose.document(awkward(resources=Resources(used_bytes=1))))

        assert document["services"]["encoder"]["mem_reservation"] == "1m"
        assert "deploy" not in document["services"]["encoder"]

    def test_the_network_of_the_machine(self) -> None:
        """Nothing is published there."""
        found = yaml.safe_load(compose.document(awkward(host_network=True)))["services"]["encoder"]

        assert found["network_mode"] == "host"
        assert "ports" not in found


class TestKubernetes:
    @pytest.mark.parametrize("service", SERVICES)
    def test_the_schema_of_kubernetes_takes_it(self, service: Service) -> None:
        """Each object is one that its API knows, without a field that it does not."""
        objects = list(yaml.safe_load_all(kubernetes.document(service)))
        for each in objects:
            kubernetes_validate.validate(each, KUBERNETES, strict=True)

        assert [each["kind"] for each in objects[-2:]] == ["Deployment", "Service"]

    def test_the_schema_refuses_others(self) -> None:
        """Else the test above proved nothing."""
        *_, wrong = yaml.safe_load_all(kubernetes.document(awkward()))
        wrong["spec"]["prots"] = []
        with pytest.raises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(wrong, KUBERNETES, strict=True)

    def test_everything_is_in_it(self) -> None:
        """What a container of the study had, with values that Kubernetes leaves alone."""
        files, deployment, service = yaml.safe_load_all(kubernetes.document(awkward()))
        pod = deployment["spec"]["template"]["spec"]
        [container] = pod["containers"]

        assert files["data"] == {file.name: file.text for file in awkward().files}
        expanded = [_interpolated(text) for text in container["args"]]
        assert [*container["command"], *expanded] == list(awkward().command)
        *plain, secret = container["env"]
        assert [_interpolated(each["value"]) for each in plain] == list(AWKWARD)
        reference = {"secretKeyRef": {"name": "encoder", "key": "API_TOKEN"}}
        assert secret == {"name": "API_TOKEN", "valueFrom": reference}
        assert container["resources"] == {
            "requests": {"cpu": "1.5", "memory": "139Mi"},
            "limits": {"cpu": "1.5", "memory": "4Gi", "nvidia.com/gpu": "2"},
        }
        places = {e["mountPath"]: e.get("readOnly", False) for e in container["volumeMounts"]}
        assert places == {
            "/models": True,
            "/srv/my cache": False,
            "/models/encoder/config.pbtxt": True,
            "/tuner-files/server.conf": True,
            "/dev/shm": False,  # noqa: S108 - of the container
        }
        assert container["readinessProbe"]["httpGet"] == {"path": "/ready", "port": "http"}
        assert container["livenessProbe"]["httpGet"] == {"path": "/live", "port": "http"}
        assert container["startupProbe"]["failureThreshold"] == 24
        assert container["startupProbe"]["timeoutSeconds"] == 5
        assert pod["securityContext"] == {"runAsUser": 1000, "runAsGroup": 1000}
        assert pod["enableServiceLinks"] is False
        assert service["spec"]["ports"][1]["name"] == "grpc-inference"

    def test_what_it_cannot_say(self) -> None:
        """It is said in comments."""
        text = kubernetes.document(awkward(user="triton:1000"))

        for said in (
            "# First: kubectl create secret generic encoder --from-literal=API_TOKEN=VALUE",
            "# Pods know users and groups by number alone; it was measured as triton:1000.",
            "# It was measured on the processors 0,2-3.",
            "# Pods have no ulimits; it was measured with memlock=-1.",
        ):
            assert said in text
        _, deployment, _ = yaml.safe_load_all(text)
        assert deployment["spec"]["template"]["spec"]["securityContext"] == {"runAsGroup": 1000}

    def test_names_of_ports(self) -> None:
        """A space file may give them any names; Kubernetes takes few."""
        ports = {"HTTP_main": 1, "a-name-of-much-length": 2, "a_name of-much+else": 3, "80": 4}
        *_, service = yaml.safe_load_all(kubernetes.document(awkward(ports=ports)))

        names = [each["name"] for each in service["spec"]["ports"]]
        assert names == ["http-main", "a-name-of-much", "port-3", "port-4"]


class TestYaml:
    @pytest.mark.parametrize("text", ["1e-05", "1e3", "0o17", "08", "1_0.e3", ".5E+1", "y", "N"])
    def test_what_others_read_otherwise(self, text: str) -> None:
        """Numbers of YAML 1.2 and of Go, and booleans of YAML 1.1, are in quotation marks."""
        assert yaml_text([{text: text}]) == f"'{text}': '{text}'\n"

    @pytest.mark.parametrize("text", ["4g", "127.0.0.1:8000:8000", "10s", "yes-no", "1.2.3"])
    def test_what_nobody_does(self, text: str) -> None:
        """It stays bare."""
        assert yaml_text([text]).splitlines()[0] == text


class TestProbing:
    @pytest.mark.parametrize(
        ("status", "path", "succeeds"),
        [("200 OK", "/ready", True), ("204 No", "/100%25s it's", True), ("302 Moved", "/", False)],
    )
    def test_bash_asks(self, status: str, path: str, succeeds: bool) -> None:  # noqa: FBT001 - a parameter
        """Any success is one, as in the study, and the path is taken as it is."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            command = ["bash", "-c", probing(path, server.getsockname()[1])]
            with subprocess.Popen(command) as asking:
                connection, _ = server.accept()
                with connection, connection.makefile() as asked:
                    lines = [line.rstrip() for line in iter(asked.readline, "\n")]
                    connection.sendall(f"HTTP/1.1 {status}\r\n\r\n".encode())
        assert lines[0] == f"GET {path} HTTP/1.1"
        assert (asking.returncode == 0) == succeeds


class TestEnv:
    def test_its_lines(self) -> None:
        """A name alone is a secret, which Docker takes from whoever starts the container."""
        service = awkward(environment={"OMP_NUM_THREADS": "1", "KMP_AFFINITY": "fine,compact 1"})

        assert env_file.text(service) == (
            "# Names without a value are secrets, which are not stored.\n"
            "OMP_NUM_THREADS=1\nKMP_AFFINITY=fine,compact 1\nAPI_TOKEN\n"
        )

    def test_without_variables(self) -> None:
        """A file of comments can be taken all the same."""
        text = env_file.text(awkward(environment={}, secrets=()))

        assert text == "# The configuration sets no variable.\n"

    @pytest.mark.parametrize("value", ["$HOME", "it's", 'say "no"', " x", "a #b", "a\nb", "\\"])
    def test_what_readers_disagree_on(self, value: str) -> None:
        """Docker hands on quotation marks, others take them away: it is refused."""
        with refused(
            "the value of NAME has what env files disagree on: quotation marks, `$`, `#`, "
            "backslashes, blanks at its ends or several lines",
            "`--format compose` and `--format systemd` can say it",
        ):
            env_file.text(awkward(environment={"NAME": value}))


class TestFilesOfServers:
    def test_config_pbtxt(self) -> None:
        """It is what Triton reads."""
        text = formats.export(ExportForm.CONFIG_PBTXT, *of_triton())
        message = text_format.Parse(text, model_config_pb2.ModelConfig())

        assert model_config.get(message, "max_batch_size") == 16

    def test_config_properties(self) -> None:
        """It is the server's own file."""
        assert formats.export(ExportForm.CONFIG_PROPERTIES, *of_torchserve()) == PROPERTIES

    def test_model_config(self) -> None:
        """What an archive says of its workers and batches."""
        text = formats.export(ExportForm.MODEL_CONFIG, *of_torchserve())

        assert yaml.safe_load(text) == {
            "minWorkers": 2,
            "batchSize": 8,
            "maxBatchDelay": 5,
            "maxWorkers": 2,
        }


def _has_compose() -> bool:
    ended = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
    return ended.returncode == 0


def _interpolated(text: str) -> str:
    """As Compose does it: `$$` is a dollar, and any other one names a variable."""
    assert not re.search(r"\$", text.replace("$$", ""))
    return text.replace("$$", "$")
