"""All facts together: of a study, or of a model that was not tuned yet."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from re import search
from typing import Any

from tuner.analysis.standings import Standings
from tuner.errors import InputError
from tuner.hardware import Hardware
from tuner.hints.facts import Facts, known
from tuner.hints.host import Host, hardware_facts, host_facts
from tuner.hints.model import exported_config, model_facts
from tuner.hints.requests import data_facts, request_facts
from tuner.hints.results import result_facts
from tuner.hints.settings import setting_facts
from tuner.numbers.quantities import size_bytes
from tuner.records import StudyRecord, TrialRecord
from tuner.space.expressions import Value
from tuner.space.space import Configuration, SearchSpace
from tuner.targets.request_form import RequestForm

# What Docker gives to a container that says nothing of it (docker run, `--shm-size`).
_USUAL_SHARED_MEMORY = "64m"
# Capabilities that let numactl bind memory (capabilities(7); docker run, `--cap-add`).
_BINDING = frozenset({"SYS_NICE", "ALL"})
# What a container has of its own, whatever this process has.
_OF_CONTAINERS = frozenset(
    f"host.{name}"
    for name in ("tcmalloc", "jemalloc", "intel_openmp", "numactl", "quota", "usable")
)
# What computes the models of servers that have no backends to choose from.
_BACKENDS = {"torchserve": "pytorch", "tensorflow_serving": "tensorflow"}


def study_facts(study: StudyRecord, standings: Standings, host: Host) -> Facts:
    """Of a study that was read in full where `results.needed_trials` says so.

    `host` is this one; it counts only where the study ran here. What this terminal preloads does
    not count: the study may have been started from another one.
    """
    winner = standings.winner
    facts: dict[str, Value] = {
        **_machine_facts(study, host),
        **server_facts(study),
        **request_facts(study.server, study.request),
        **_data_facts(study),
        **result_facts(study, standings),
    }
    if trial := winner.trial if winner else study.baseline:
        facts |= _model_facts(study, trial)
    if study.space:
        facts |= {"config.allocator": False, "config.intel_openmp": False}
        facts |= configuration_facts(study.space, winner.configuration if winner else None)
    return known(facts)


def configuration_facts(space: SearchSpace, winner: Configuration | None) -> dict[str, Value]:
    """What the space's defaults say of each setting, and the winner, or the defaults again."""
    defaults = setting_facts(space, space.defaults)
    config = defaults if winner is None else setting_facts(space, winner)
    return {
        **{f"default.{name}": value for name, value in defaults.items()},
        **{f"config.{name}": value for name, value in config.items()},
    }


def kind_facts(server: str) -> dict[str, Value]:
    """What kind of server it is, and what that alone says of the model."""
    facts: dict[str, Value] = {"server.kind": server}
    if backend := _BACKENDS.get(server):
        facts["model.backend"] = backend
    return facts


def server_facts(study: StudyRecord) -> dict[str, Value]:
    """What kind of server it was, and what a container got."""
    facts = kind_facts(study.server)
    if release := search(r"tritonserver:(\d\d\.\d\d)", study.environment.get("image", "")):
        facts["server.release"] = float(release[1])
    if place := study.place:
        facts["server.runner"] = place["runner"]
        if place["runner"] == "docker":
            facts |= _container_facts(place)
    return facts


def _container_facts(place: Mapping[str, Any]) -> dict[str, Value]:
    shared_bytes = size_bytes(place.get("shm_size") or _USUAL_SHARED_MEMORY)
    added = {each.upper().removeprefix("CAP_") for each in place.get("capabilities", ())}
    facts: dict[str, Value] = {
        "server.shared_memory_mib": shared_bytes / (1 << 20),
        "server.may_bind": not _BINDING.isdisjoint(added),
    }
    if quota := place.get("cpu_quota"):
        facts["server.quota"] = quota
    return facts


def _machine_facts(study: StudyRecord, host: Host) -> dict[str, Value]:
    """Of the machine that the servers ran on: of a remote one, nothing is known."""
    if not study.place or study.place["runner"] == "remote":
        return {}
    is_here = _is_same(study.hardware, host.hardware)
    facts = host_facts(host, study.hardware) if is_here else hardware_facts(study.hardware)
    if study.place["runner"] == "docker":
        return {name: value for name, value in facts.items() if name not in _OF_CONTAINERS}
    return facts


def _is_same(stored: Mapping[str, Any], here: Hardware) -> bool:
    """By what no limit of a server's changes, unlike the fingerprint."""
    machine = (stored.get("hostname"), stored.get("processor"))
    return machine == (here.hostname, here.processor)


def _model_facts(study: StudyRecord, trial: TrialRecord) -> dict[str, Value]:
    if study.server != "triton":
        return {}
    config = exported_config(trial.export, study.model)
    return model_facts(config) if config else {}


def _data_facts(study: StudyRecord) -> dict[str, Value]:
    """Of the files with input data, where they are still the same."""
    files = tuple(map(Path, study.options.get("input_data", ())))
    with suppress(InputError):
        if "files" in study.request:
            now = RequestForm(files=files).as_record()
            if now["files"] == study.request["files"]:
                return data_facts(files)
    return {}
