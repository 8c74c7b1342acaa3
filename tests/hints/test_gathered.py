"""All facts of a study together: what counts of the machine, the server and the files."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.hints.demo import MACHINE, best, demo
from tuner.analysis.standings import standings
from tuner.hints import host
from tuner.hints.facts import NAMES
from tuner.hints.gathered import server_facts, study_facts
from tuner.records import StudyRecord
from tuner.targets.request_form import RequestForm
from tuner.watch.gpu_usage import Gpu

HERE = host.detect()
STORED = HERE.hardware.as_record()
OF_PROCESSES = ("tcmalloc", "jemalloc", "intel_openmp", "numactl", "quota", "usable")


def facts(study: StudyRecord) -> dict[str, Any]:
    return dict(study_facts(study, standings(study), HERE))


def test_a_whole_study() -> None:
    """Facts of all kinds, under the names that hints may ask about."""
    found = facts(demo(best(), hardware=STORED))

    kinds = {name.partition(".")[0] for name in found}
    assert kinds == {"host", "server", "model", "request", "default", "config", "result"}
    assert found.keys() <= NAMES.keys()
    assert (found["default.threads"], found["config.threads"]) == (2, 1)
    assert (found["model.backend"], found["config.cache"]) == ("python", False)


class TestTheMachine:
    def test_of_the_study(self) -> None:
        """Where the study ran here, all is known of its machine."""
        assert "host.vnni" in facts(demo(best(), hardware=STORED))

    def test_another_one(self) -> None:
        """Of another machine only what the study keeps: nothing of this one is mixed in."""
        found = facts(demo(best()))

        assert found["host.cores"] == 2
        assert {"host.vnni", "host.tcmalloc", "host.quota"}.isdisjoint(found)

    @pytest.mark.parametrize("place", [{"runner": "remote"}, None])
    def test_a_remote_server(self, place: dict[str, Any] | None) -> None:
        """What was stored is the machine of the tuner, which says nothing of the server's."""
        found = facts(demo(best(), hardware=STORED, place=place))

        assert not [name for name in found if name.startswith("host.")]

    def test_a_part_of_this_one(self) -> None:
        """Limits of a server leave it the same machine, of which it has less."""
        four = replace(
            HERE,
            hardware=replace(HERE.hardware, cores=4, threads_per_core=2),
            processor=replace(HERE.processor, physical=3),
        )
        of_all = demo(best(), hardware=four.hardware.as_record())
        of_one = demo(best(), hardware=four.hardware.limited(cores=1).as_record())

        whole, limited = (study_facts(s, standings(s), four) for s in (of_all, of_one))

        assert (whole["host.cores"], whole["host.physical_cores"]) == (4, 3)
        assert (limited["host.cores"], limited["host.physical_cores"]) == (1, 1)
        assert limited["host.vnni"] == whole["host.vnni"]

    def test_a_container(self) -> None:
        """It has the processor of its host; libraries and limits are its own, wherever it ran."""
        docker = {"runner": "docker"}
        here = facts(demo(best(), hardware=STORED, place=docker))
        elsewhere = facts(demo(best(), hardware=MACHINE, place=docker))

        assert "host.vnni" in here
        for found in (here, elsewhere):
            assert found["host.cores"]
            assert not [name for name in OF_PROCESSES if f"host.{name}" in found]

    def test_without_a_gpu(self) -> None:
        """What GPUs can do is not said of a server that got none."""
        gpu = (Gpu("NVIDIA T4", 7.5, 16 << 30),)
        with_one = replace(HERE, gpus=gpu, hardware=replace(HERE.hardware, gpus=1))
        stored = with_one.hardware.as_record()
        of_one = demo(best(), hardware=stored)
        of_none = demo(best(), hardware={**stored, "gpus": 0})

        found, not_found = (study_facts(s, standings(s), with_one) for s in (of_one, of_none))

        assert found["host.tensor_cores"] is True
        assert "host.tensor_cores" not in not_found

    def test_the_environment_of_a_study_is_not_known(self) -> None:
        """That of this terminal may be another one."""
        found = facts(demo(best(), hardware=STORED))

        assert not [name for name in found if name.startswith("environment.")]


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        (
            {"runner": "docker", "shm_size": "", "capabilities": [], "cpu_quota": 0.0},
            {"server.shared_memory_mib": 64, "server.may_bind": False},
        ),
        (
            {"runner": "docker", "shm_size": "1g", "capabilities": ["SYS_NICE"], "cpu_quota": 1.5},
            {"server.shared_memory_mib": 1024, "server.may_bind": True, "server.quota": 1.5},
        ),
        ({"runner": "docker", "shm_size": "1048576"}, {"server.shared_memory_mib": 1}),
        ({"runner": "docker", "capabilities": ["CAP_SYS_NICE"]}, {"server.may_bind": True}),
        ({"runner": "docker", "capabilities": ["all"]}, {"server.may_bind": True}),
        ({"runner": "process"}, {}),
    ],
)
def test_the_server(place: dict[str, Any], expected: dict[str, Any]) -> None:
    """What a container gets: Docker's own 64 MiB of shared memory, unless more was asked for."""
    found = server_facts(demo(place=place))

    assert {name: found.get(name) for name in expected} == expected
    assert found["server.runner"] == place["runner"]
    assert ("server.quota" in found) == ("server.quota" in expected)


def test_the_release_of_an_image() -> None:
    """Images of Triton say year and month; others do not."""
    ours = "nvcr.io/nvidia/tritonserver:23.05-py3"

    assert server_facts(demo(environment={"image": ours}))["server.release"] == 23.05
    assert "server.release" not in server_facts(demo(environment={"image": "own:1.2"}))


class TestInputData:
    def test_of_the_study(self, tmp_path: Path) -> None:
        """The files that the study was given, as long as they are the same."""
        data = tmp_path / "data.json"
        data.write_text(json.dumps({"data": [{"x": [1]}, {"x": [1]}]}))
        digest = RequestForm(files=(data,)).as_record()["files"]
        study = demo(
            best(),
            options={"input_data": [str(data)]},
            request={"batch": 1, "data": "files", "files": digest},
        )

        assert facts(study)["request.repeated"] == 0.5
        other = replace(study, request={**study.request, "files": "0123456789"})
        assert "request.repeated" not in facts(other)
        data.unlink()
        assert "request.repeated" not in facts(study)


def test_without_a_space() -> None:
    """Versions before did not keep it: then nothing is known of settings."""
    found = facts(replace(demo(best(), hardware=STORED), space=None))

    assert "default.threads" not in found
    assert "result.gain" in found
