"""The files in deploy/ for fleets are read by what reads them, and Ray takes their words."""

import json
import os
import shlex
import stat
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from ray.autoscaler._private.util import (  # noqa: TID251 - asks Ray for its schema
    prepare_config,
    validate_config,
)
from ray.scripts.scripts import start  # noqa: TID251 - and for its options

from tests.command_line import commands

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
SLURM = DEPLOY / "fleet_slurm.sh"
KUBERNETES = "1.30"
# Ray's own least, in bytes.
LEAST_STORE = 75 * 2**20


def started(words: Sequence[str]) -> dict[str, Any]:
    """What `ray start` is asked for by these words after it."""
    found: dict[str, Any] = start.make_context("ray start", list(words)).params
    return found


def is_host(options: Mapping[str, Any]) -> bool:
    """A node of Ray that measures, and takes nothing else of the machine."""
    assert options["num_cpus"] == 0
    assert LEAST_STORE <= options["object_store_memory"] < 2 * LEAST_STORE
    return bool(json.loads(options["resources"] or "{}") == {"tuner_host": 1})


def is_head(options: Mapping[str, Any]) -> bool:
    """One that measures nothing, and has no dashboard."""
    return bool(options["head"] and options["include_dashboard"] is False and not is_host(options))


def manifests() -> dict[str, Any]:
    text = (DEPLOY / "fleet_kuberay.yaml").read_text()
    return {each["kind"]: each for each in yaml.safe_load_all(text)}


def groups() -> list[dict[str, Any]]:
    """The head, then the hosts."""
    spec = manifests()["RayCluster"]["spec"]
    return [spec["headGroupSpec"], *spec["workerGroupSpecs"]]


def ray_up() -> Any:
    return yaml.safe_load((DEPLOY / "fleet_ray_up.yaml").read_text())


class TestKubeRay:
    def test_the_schema_of_kubernetes_takes_it(self) -> None:
        """Each object of its own API, and each template of a pod."""
        own = [each for kind, each in manifests().items() if kind != "RayCluster"]
        assert manifests().keys() == {
            "RayCluster",
            "Job",
            "PersistentVolumeClaim",
            "NetworkPolicy",
        }
        pods = [
            {"apiVersion": "v1", "kind": "PodTemplate", "template": group["template"]}
            for group in groups()
        ]
        for each in (*own, *pods):
            kubernetes_validate.validate(each, KUBERNETES, strict=True)

    def test_what_ray_is_started_with(self) -> None:
        """A head that measures nothing, and hosts; the operator puts the words together so."""
        head, hosts = (
            started(
                shlex.split(
                    " ".join(
                        f"--{name}={value}" for name, value in group["rayStartParams"].items()
                    )
                )
            )
            for group in groups()
        )
        assert is_head({**head, "head": True})
        assert is_host(hosts)

    def test_versions(self) -> None:
        """Of Ray it is the one that the image is built with, and asks for a token."""
        cluster = manifests()["RayCluster"]["spec"]
        lines = (ROOT / "constraints.txt").read_text().splitlines()
        assert f"ray=={cluster['rayVersion']}" in lines
        assert cluster["authOptions"] == {"mode": "token"}

    def test_the_driver(self) -> None:
        """It finds the head by the operator's name for it, with the operator's token."""
        name = manifests()["RayCluster"]["metadata"]["name"]
        [container] = manifests()["Job"]["spec"]["template"]["spec"]["containers"]
        words = container["command"]
        assert words[:2] == ["tuner", "optimize"]
        options = commands()["optimize",].make_context("tuner optimize", words[2:]).params
        assert options["fleet"] == f"ray://{name}-head-svc:10001"
        [token] = [each for each in container["env"] if each["name"] == "RAY_AUTH_TOKEN"]
        assert token["valueFrom"]["secretKeyRef"] == {"name": name, "key": "auth_token"}
        assert manifests()["Job"]["spec"]["backoffLimit"] == 0

    def test_who_reaches_ray(self) -> None:
        """Hosts and head each other on all ports, the driver the client's port alone."""
        policy = manifests()["NetworkPolicy"]["spec"]
        fleet, driver = policy["ingress"]
        chosen = policy["podSelector"]["matchLabels"]
        for group in groups():
            assert chosen.items() <= group["template"]["metadata"]["labels"].items()
        assert fleet == {"from": [{"podSelector": {"matchLabels": chosen}}]}
        labels = manifests()["Job"]["spec"]["template"]["metadata"]["labels"]
        assert driver["from"] == [{"podSelector": {"matchLabels": labels}}]
        assert driver["ports"] == [{"protocol": "TCP", "port": 10001}]

    def test_hosts_share_nothing(self) -> None:
        """One to a node, with processors of its own, and probes that start no program there."""
        head, hosts = groups()
        pod = hosts["template"]["spec"]
        [term] = pod["affinity"]["podAntiAffinity"][
            "requiredDuringSchedulingIgnoredDuringExecution"
        ]
        assert term["topologyKey"] == "kubernetes.io/hostname"
        labels = hosts["template"]["metadata"]["labels"]
        assert term["labelSelector"]["matchLabels"].items() <= labels.items()
        assert not labels.items() <= head["template"]["metadata"]["labels"].items()
        [container] = pod["containers"]
        assert container["resources"]["requests"] == container["resources"]["limits"]
        port = int(hosts["rayStartParams"]["node-manager-port"])
        for probe in ("readinessProbe", "livenessProbe"):
            assert container[probe]["tcpSocket"] == {"port": port}

    def test_they_may_do_little(self) -> None:
        """Not root, no capabilities, a root file system that nobody can write, no API token."""
        for template in (
            *(group["template"] for group in groups()),
            manifests()["Job"]["spec"]["template"],
        ):
            pod = template["spec"]
            assert pod["securityContext"]["runAsNonRoot"]
            assert pod["automountServiceAccountToken"] is False
            volumes = {each["name"] for each in pod["volumes"]}
            for each in pod["containers"]:
                assert each["securityContext"] == {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                }
                assert {mount["name"] for mount in each["volumeMounts"]} == volumes


class TestRayUp:
    def test_ray_takes_it(self) -> None:
        """By its own schema, which refuses what it does not know."""
        whole = prepare_config(ray_up())
        validate_config(whole)
        with pytest.raises(Exception, match="hosts_of_a_fleet"):
            validate_config({**whole, "hosts_of_a_fleet": 3})

    def test_what_ray_is_started_with(self) -> None:
        """A head and hosts, all with the token's file, and no host left out."""
        assert ray_up()["file_mounts"] == {"~/.ray/auth_token": "~/.ray/auth_token"}
        for kind, check in (("head", is_head), ("worker", is_host)):
            words = shlex.split(ray_up()[f"{kind}_start_ray_commands"][-1])
            variables, words = _split(words, "ray")
            assert "RAY_AUTH_MODE=token" in variables
            assert ("RAY_enable_autoscaler_v2=0" in variables) == (kind == "head")
            assert check(started(words[2:]))


def _split(words: list[str], at: str) -> tuple[list[str], list[str]]:
    return words[: words.index(at)], words[words.index(at) :]


class TestSlurm:
    """Its script runs with programs that write down what they are asked for."""

    # Each a line in one piece: some of them run at the same time.
    WRITES = """asked=$(printf '%s\\t' {0} "$RAY_ADDRESS" "$@")
printf '%s\\n' "$asked" >> {1}/asked"""
    NODES = ("alpha", "beta", "gamma")

    @pytest.fixture
    def programs(self, tmp_path: Path) -> Path:
        folder = tmp_path / "programs"
        folder.mkdir()
        for name in ("srun", "ray", "tuner"):
            self.write(folder / name, self.WRITES.format(name, tmp_path))
        self.write(folder / "scontrol", f"printf '%s\\n' {' '.join(self.NODES)}")
        (folder / "python").symlink_to(sys.executable)
        return folder

    def write(self, path: Path, line: str) -> None:
        path.write_text(f"#!/bin/sh\n{line}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def asked(self, programs: Path, *words: str) -> list[list[str]]:
        """The commands of a job of that number."""
        slurm = {"SLURM_JOB_ID": "1234567", "SLURM_JOB_NODELIST": "any"}
        paths = {"PATH": f"{programs}:{os.environ['PATH']}", "TUNER_PROGRAMS": str(programs)}
        environment = {**os.environ, **paths, **slurm}
        subprocess.run([SLURM, *words], env=environment, check=True, timeout=60)
        lines = (programs.parent / "asked").read_text().splitlines()
        return [line.split("\t")[:-1] for line in lines]

    def test_a_study(self, programs: Path) -> None:
        """The first node has the head and the driver, all others measure."""
        asked = self.asked(programs, "optimize", "--budget-ms", "50")
        address = f"alpha:{20000 + 1234567 % 10000}"
        assert ["tuner", address, "optimize", "--fleet", "auto", "--budget-ms", "50"] in asked
        head, hosts = sorted(each for each in asked if each[0] == "srun")
        assert head[2:6] == ["--nodes", "1", "--ntasks", "1"]
        assert head[head.index("--nodelist") + 1] == "alpha"
        assert hosts[2:6] == ["--nodes", "2", "--ntasks", "2"]
        assert hosts[hosts.index("--exclude") + 1] == "alpha"
        for words, check in ((head, is_head), (hosts, self.is_host)):
            assert check(started(_split(words, str(programs / "ray"))[1][2:]))

    def is_host(self, options: Mapping[str, Any]) -> bool:
        return is_host(options) and bool(options["address"])

    def test_a_study_that_goes_on(self, programs: Path) -> None:
        """It knows its fleet."""
        asked = self.asked(programs, "resume", "night")
        assert ["resume", "night"] in [each[2:] for each in asked if each[0] == "tuner"]
