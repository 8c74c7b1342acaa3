"""Studies as they are stored, of which something is deployed, and a service that is awkward."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.report import studies
from tuner.exports.service import Mount, Probes, Resources, Service, TextFile
from tuner.records import StudyRecord, TrialRecord, Usage
from tuner.space import spec
from tuner.space.expressions import Value
from tuner.space.resolution import resolve, search_space
from tuner.space.space import SearchSpace

FACTS = {
    "cores": 4,
    "memory_gib": 8,
    "numa_nodes": 1,
    "threads_per_core": 1,
    "numactl": 0,
    "gpus": 0,
}
DOCKER = {
    "runner": "docker",
    "memory": "4g",
    "shm_size": "512m",
    "cpu_quota": 1.5,
    "gpus": "0,1",
    "capabilities": ["SYS_NICE"],
    "ulimits": {"memlock": -1},
    "mounts": ["/opt/tokenizers"],
    "network": "bridge",
    "user": "1000:1000",
}
DIGEST = "sha256:" + "ab" * 32
CONFIG = 'name: "encoder"\nmax_batch_size: 16\nbackend: "onnxruntime"\n'
PROPERTIES = """# OMP_NUM_THREADS=1 torchserve --start --ncs --ts-config config.properties
job_queue_size=10000
load_models=encoder=encoder.mar
models={"encoder": {"1.0": {"defaultVersion": true, "marName": "encoder.mar", "minWorkers": 2, \
"batchSize": 8, "maxBatchDelay": 5, "maxWorkers": 2}}}
"""
LLAMA = """#!/bin/sh
export OMP_WAIT_POLICY=ACTIVE
exec llama-server --model /srv/models/m.gguf --alias m --host 127.0.0.1 --port 8080 --parallel 8
"""
SERVE = """
server: command
serve:
  command: [python, app.py, --host, "{address}", --port, "{port:http}", --admin, "{port:admin}",
            --config, "{folder}/app.toml", --workers, "{{ workers }}"]
  environment: {API_TOKEN: s3cret, GREETING: "100% of $HOME"}
  files: {app.toml: "workers = {{ workers }}"}
  reads: [app.py]
  ready: /health
  image: registry.example/app:1
  request: {path: /}
parameters:
  workers: {type: int, low: 1, high: 8, default: 1, sets: {template: workers}}
  threads: {type: int, low: 1, high: 8, default: 1, sets: {environment: [OMP_NUM_THREADS]}}
  fast: {type: boolean, default: false, sets: {flag: --fast, form: switch}}
"""

# Whatever a shell, Compose, Kubernetes or systemd would take for something else.
AWKWARD = (
    "",
    "two words",
    "100%n",
    "$HOME",
    "$(HOME)",
    "${HOME}",
    'say "no"',
    "it's",
    "a\\b",
    "a$$b",
    ";",
)


def awkward(**wishes: Any) -> Service:
    """A service that has everything, in words that need quotation marks."""
    facts: dict[str, Any] = {
        "name": "encoder",
        "image": "registry.example/server:1",
        "command": ("/usr/bin/env", *AWKWARD),
        "environment": {f"VARIABLE_{number}": text for number, text in enumerate(AWKWARD)},
        "secrets": ("API_TOKEN",),
        "mounts": (
            Mount("/srv/my models", "/models"),
            Mount("/srv/my cache", "/srv/my cache", writable=True),
        ),
        "files": (
            TextFile("server.conf", "a = $HOME\n# 100%\n\tb = 'c'\n", "/tuner-files/server.conf"),
            TextFile("config.pbtxt", 'name: "encoder"\n', "/models/encoder/config.pbtxt", True),
        ),
        "ports": {"http": 8000, "grpc_inference": 8001},
        "probes": Probes("/live", "/ready"),
        "resources": Resources(
            cpus=1.5,
            cpuset="0,2-3",
            memory="4g",
            used_bytes=(139 << 20) - 1,
            shm_size="512m",
            gpus="0,1",
            gpu_count=2,
        ),
        "directory": "/srv/my app",
        "capabilities": ("SYS_NICE",),
        "limits": {"memlock": -1},
        "user": "1000:1000",
        "notes": ("What is to be known.",),
    }
    return Service(**(facts | wishes))


def built_in(name: str) -> SearchSpace:
    return search_space(spec.built_in()[name], FACTS)


def stored(server: str, space: SearchSpace, export: str, **wishes: Any) -> StudyRecord:
    """A study of `server` in a process of its machine, without trials."""
    del export
    facts: dict[str, Any] = {
        "server": server,
        "space": space,
        "place": {"runner": "process"},
        "options": {"model_repository": "/srv/models", "budget_ms": 50.0},
        "environment": {"nvidia-pytriton": "0.7.0", "torchserve": "0.12.0", "torch": "2.13.0"},
    }
    return studies.study(**(facts | wishes))


def tried(space: SearchSpace, export: str, **values: Value) -> TrialRecord:
    """A trial with these values, which took 100 MB."""
    return studies.trial(
        3,
        250.0,
        configuration=space.activate(values),
        export=export,
        usage=Usage(memory_bytes=100e6),
    )


def of_triton(**wishes: Any) -> tuple[StudyRecord, TrialRecord]:
    space = built_in("triton")
    trial = tried(space, CONFIG, instance_count=2, threads=1)
    return stored("triton", space, CONFIG, **wishes), trial


def of_torchserve(**wishes: Any) -> tuple[StudyRecord, TrialRecord]:
    space = built_in("torchserve").without({"allocator"})
    trial = tried(space, PROPERTIES, workers=2, batch_size=8, max_batch_delay=5, threads=1)
    return stored("torchserve", space, PROPERTIES, **wishes), trial


def of_tensorflow(**wishes: Any) -> tuple[StudyRecord, TrialRecord]:
    space = built_in("tensorflow_serving")
    trial = tried(space, "", enable_batching=True, max_batch_size=8)
    return stored("tensorflow_serving", space, "", **wishes), trial


def of_llama_cpp(**wishes: Any) -> tuple[StudyRecord, TrialRecord]:
    space = built_in("llama_cpp")
    trial = tried(space, LLAMA, parallel=8, wait_policy="ACTIVE")
    facts = {
        "options": {"model_file": "/srv/models/m.gguf"},
        "request": {"prompts": {"task": "chat"}},
    }
    return stored("llama_cpp", space, LLAMA, **(facts | wishes)), trial


def of_a_command(folder: Path, **wishes: Any) -> tuple[StudyRecord, TrialRecord]:
    """A server of one's own, whose space file is in `folder`."""
    file = folder / "app.yaml"
    file.write_text(SERVE)
    space = resolve(spec.load_space(file), FACTS, file=file)
    study = stored("command", space, "", **({"options": {"space": str(file)}} | wishes))
    return study, tried(space, "#!/bin/sh\n", workers=4, threads=2, fast=True)


def in_docker(study: StudyRecord, **wishes: Any) -> StudyRecord:
    """The same study as it would be in containers."""
    repository = "registry.example/server"
    image = {"image": f"{repository}:1", "image_digest": f"{repository}@{DIGEST}"}
    return replace(study, place=DOCKER | wishes, environment={**study.environment, **image})
