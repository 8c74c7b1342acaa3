"""The files in deploy/ are read by what reads them, and start a service that takes their words."""

import fnmatch
import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.command_line import commands

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
DOCKERFILE = DEPLOY / "Dockerfile"
KUBERNETES = "1.30"
# Those of the reference of Dockerfiles that may stand in one of ours.
INSTRUCTIONS = {
    *("ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "RUN"),
    *("STOPSIGNAL", "USER", "VOLUME", "WORKDIR"),
}
SECRETS = ("tokens", "pgpass", "database_password")


def options_of(words: list[str]) -> dict[str, Any]:
    """What `tuner serve` is asked for by these words after it."""
    found: dict[str, Any] = commands()["serve",].make_context("tuner serve", list(words)).params
    return found


def instructions() -> Iterator[tuple[str, str]]:
    """Those of the Dockerfile, with what stands after each."""
    text = re.sub(r"^\s*#.*\n", "", DOCKERFILE.read_text(), flags=re.MULTILINE)
    for line in text.replace("\\\n", " ").splitlines():
        if line.strip():
            name, _, rest = line.strip().partition(" ")
            yield name, rest.strip()


def manifests() -> dict[str, Any]:
    return {
        each["kind"]: each for each in yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text())
    }


def compose() -> Any:
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text())


class TestDockerfile:
    def test_its_instructions(self) -> None:
        """All are known, and commands are words: no shell reads them when the service starts."""
        found = list(instructions())
        assert {name for name, _ in found} <= INSTRUCTIONS
        assert [name for name, _ in found[:2]] == ["ARG", "FROM"]
        for name, rest in found:
            if name in ("CMD", "ENTRYPOINT"):
                assert all(isinstance(word, str) for word in json.loads(rest))
        [healthcheck] = [rest for name, rest in found if name == "HEALTHCHECK"]
        program = json.loads(healthcheck.partition("CMD ")[2])
        assert program[:2] == ["python3", "-c"]
        assert "/healthz" in program[2]
        compile(program[2], "healthcheck", "exec")

    def test_what_it_starts(self) -> None:
        """A service that others reach, with tokens, as a user who is not root."""
        found = dict(instructions())
        words = json.loads(found["ENTRYPOINT"]) + json.loads(found["CMD"])
        assert words[:2] == ["tuner", "serve"]
        options = options_of(words[2:])
        assert (options["host"], str(options["port"])) == ("0.0.0.0", found["EXPOSE"])  # noqa: S104
        assert options["token_file"] == Path("/run/secrets/tokens.json")
        assert found["USER"] == "1000:1000"
        assert found["VOLUME"] == found["WORKDIR"]

    def test_what_is_sent_to_the_engine(self) -> None:
        """Whatever the package is built of is there, and nothing that only a developer has."""
        lines = (ROOT / ".dockerignore").read_text().splitlines()
        kept = [line[1:] for line in lines if line.startswith("!")]
        assert "*" in lines
        assert all((ROOT / each).exists() for each in kept)
        project = (ROOT / "pyproject.toml").read_text()
        wheel = project.partition("[tool.hatch.build.targets.wheel]")[2].partition("[tool.ruff]")[
            0
        ]
        needed = {"pyproject.toml", "README.md", "LICENSE", "constraints.txt"}
        needed |= {"tuner", "runners", "search_spaces"}
        assert set(kept) == needed
        assert '"search_spaces" = ' in wheel
        assert 'packages = ["tuner", "runners"]' in wheel
        for name in (".git", ".venv", "studies.db", "deploy", "tests"):
            assert not any(fnmatch.fnmatch(name, each) for each in kept)


class TestCompose:
    def test_compose_takes_it(self, tmp_path: Path) -> None:
        """Where Compose is installed, it is asked; what it names is there in any case."""
        found = compose()
        if _has_compose():
            found = self.configured(tmp_path)
        assert set(found["services"]) == {"service", "database"}
        for service in found["services"].values():
            used = {
                each["source"] if isinstance(each, dict) else each for each in service["secrets"]
            }
            assert used <= set(found["secrets"]) == set(SECRETS)

    def configured(self, folder: Path) -> Any:
        """What `docker compose config` makes of it."""
        shutil.copy(DEPLOY / "compose.yaml", folder)
        (folder / "secrets").mkdir()
        for name in ("tokens.json", "pgpass", "database_password"):
            (folder / "secrets" / name).touch()
        command = ["docker", "compose", "config"]
        ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
        return yaml.safe_load(ended.stdout.replace("$$", "$"))

    def test_the_service(self) -> None:
        """It waits for its database, is reached from here alone, and no secret is a word."""
        service = compose()["services"]["service"]
        options = options_of(["--host", "0.0.0.0", *service["command"]])  # noqa: S104
        assert options["db"] == "postgresql+psycopg://tuner@database/tuner"
        assert options["token_file"] == Path("/run/secrets/tokens.json")
        assert service["ports"] == ["127.0.0.1:8900:8900"]
        assert service["depends_on"]["database"]["condition"] == "service_healthy"
        assert service["environment"] == {"PGPASSFILE": "/run/secrets/pgpass"}
        assert (ROOT / "deploy" / service["build"]["context"]).resolve() == ROOT
        assert (ROOT / service["build"]["dockerfile"]) == DOCKERFILE

    def test_the_database(self) -> None:
        """It is asked whether it is ready, and its password is a file."""
        database = compose()["services"]["database"]
        assert database["image"] == "postgres:17"
        assert "/run/secrets/database_password" in database["environment"].values()
        assert database["healthcheck"]["test"][1] == "pg_isready"


class TestSystemd:
    def test_systemd_takes_it(self, tmp_path: Path) -> None:
        """It finds nothing to complain of but the program, which is not installed here."""
        if shutil.which("systemd-analyze") is None:
            pytest.skip("systemd-analyze is not installed: apt-get install systemd")
        unit = (DEPLOY / "tuner.service").read_text()
        file = tmp_path / "tuner.service"
        file.write_text(unit.replace("/opt/tuner/bin/tuner", "/usr/bin/env"))
        ended = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", file],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "SYSTEMD_LOG_LEVEL": "warning"},
        )
        assert [line for line in ended.stderr.splitlines() if file.name in line] == []

    def test_a_job_outlives_the_service(self) -> None:
        """Nothing of the unit ends a job, or takes its files or its memory, when it stops."""
        unit = dict(
            line.split("=", 1)
            for line in (DEPLOY / "tuner.service").read_text().splitlines()
            if "=" in line and not line.startswith("#")
        )
        assert (unit["KillMode"], unit["OOMPolicy"]) == ("process", "continue")
        assert not {"PrivateTmp", "RuntimeDirectory", "DynamicUser"} & unit.keys()
        assert "/tmp" in unit["ReadWritePaths"].split()  # noqa: S108 - where servers write
        words = shlex.split(unit["ExecStart"])
        assert words[1] == "serve"
        assert options_of(words[2:])["folder"] == Path("service")
        assert unit["User"] == "tuner"
        assert f"/var/lib/{unit['StateDirectory']}" == unit["WorkingDirectory"]


class TestKubernetes:
    def test_the_schema_of_kubernetes_takes_it(self) -> None:
        """Each object is one that its API knows, without a field that it does not."""
        for each in manifests().values():
            kubernetes_validate.validate(each, KUBERNETES, strict=True)
        assert manifests().keys() == {"Service", "StatefulSet"}

    def test_the_service_leads_to_the_pod(self) -> None:
        """By its labels and the name of its port."""
        service, pods = manifests()["Service"]["spec"], manifests()["StatefulSet"]["spec"]
        labels = pods["template"]["metadata"]["labels"]
        assert service["selector"] == pods["selector"]["matchLabels"] == labels
        [container] = pods["template"]["spec"]["containers"]
        assert [each["name"] for each in container["ports"]] == [service["ports"][0]["targetPort"]]

    def test_what_it_starts(self) -> None:
        """One pod, with words that the service takes."""
        pods = manifests()["StatefulSet"]["spec"]
        [container] = pods["template"]["spec"]["containers"]
        options = options_of(["--host", "0.0.0.0", *container["args"]])  # noqa: S104
        assert options["token_file"] == Path("/run/secrets/tokens.json")
        assert list(options["allowed_host"]) == [manifests()["Service"]["metadata"]["name"]]
        assert pods["replicas"] == 1

    def test_its_class_is_guaranteed(self) -> None:
        """All containers ask for what their limits are: a measurement shares nothing."""
        pod = manifests()["StatefulSet"]["spec"]["template"]["spec"]
        for each in pod["containers"]:
            assert each["resources"]["requests"] == each["resources"]["limits"]
            assert each["resources"]["limits"].keys() == {"cpu", "memory"}

    def test_it_may_do_little(self) -> None:
        """Not root, no capabilities, a root file system that it cannot write, no API token."""
        pod = manifests()["StatefulSet"]["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["automountServiceAccountToken"] is False
        for each in pod["containers"]:
            assert each["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
        names = {each["name"] for each in pod["volumes"]} | {"state"}
        mounts = [mount for each in pod["containers"] for mount in each["volumeMounts"]]
        assert {each["name"] for each in mounts} == names


def _has_compose() -> bool:
    ended = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
    return ended.returncode == 0
