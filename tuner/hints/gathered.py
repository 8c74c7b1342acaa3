"""All facts together: of a study, or of a model that was not tuned yet."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from re import search
from typing import Any

from tuner.analysis.standings import Standings
from tuner.errors import InputError
from tuner.hints.facts import Facts, known
from tuner.hints.host import Host, hardware_facts, host_facts
from tuner.hints.model import exported_config, model_facts
from tuner.hints.requests import data_facts, request_facts
from tuner.hints.results import result_facts
from tuner.hints.settings import setting_facts
from tuner.records import StudyRecord, TrialRecord
from tuner.space.expressions import Value
from tuner.space.space import Configuration, SearchSpace
from tuner.targets.request_form import RequestForm

# What Docker gives to a container that says nothing of it (docker run, `--shm-size`), in MiB.
_USUAL_SHARED_MEMORY = 64
_UNITS = {"b": 2.0**-20, "k": 2.0**-10, "m": 1.0, "g": 2.0**10}
# What a container has of its own, whatever its host has.
_OF_LIBRARIES = frozenset({"host.tcmalloc", "host.jemalloc", "host.intel_openmp", "host.numactl"})


def study_facts(study: StudyRecord, standings: Standings, host: Host) -> Facts:
    """Of a study that was read in full where `results.needed_trials` says so.

    `host` is this one; it counts only where the study ran here.
    """
    winner = standings.winner
    facts = {
        **_machine_facts(study, host),
        **server_facts(study),
        **request_facts(study.server, study.request),
        **_data_facts(study),
        **result_facts(study, standings),
    }
    if trial := winner.trial if winner else study.baseline:
        facts |= _model_facts(study, trial)
    if study.space:
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


def server_facts(study: StudyRecord) -> dict[str, Value]:
    """What kind of server it was, and what a container got."""
    facts: dict[str, Value] = {"server.kind": study.server}
    if release := search(r"tritonserver:(\d\d\.\d\d)", study.environment.get("image", "")):
        facts["server.release"] = float(release[1])
    if place := study.place:
        facts["server.runner"] = place["runner"]
        if place["runner"] == "docker":
            facts |= _container_facts(place)
    if folder := study.options.get("model_repository"):
        facts |= folder_facts(Path(folder))
    return facts


def folder_facts(folder: Path) -> dict[str, Value]:
    """How many models are in a folder of models, if it is still there."""
    if not folder.is_dir():
        return {}
    archives = [each for each in folder.glob("*.mar") if each.is_file()]
    versions = [each for each in folder.glob("*/*") if each.name.isdecimal() and each.is_dir()]
    models = len(archives) or len({each.parent for each in versions})
    return {"server.models": models} if models else {}


def _container_facts(place: Mapping[str, Any]) -> dict[str, Value]:
    facts: dict[str, Value] = {
        "server.shared_memory_mib": _mebibytes(place.get("shm_size") or ""),
        "server.may_bind": "SYS_NICE" in place.get("capabilities", ()),
    }
    if quota := place.get("cpu_quota"):
        facts["server.quota"] = quota
    return facts


def _mebibytes(size: str) -> float:
    """A size as Docker writes it."""
    if not size:
        return _USUAL_SHARED_MEMORY
    number = size.rstrip("bkmgBKMG")
    return float(number) * _UNITS[size[len(number) :].lower() or "b"]


def _machine_facts(study: StudyRecord, host: Host) -> dict[str, Value]:
    """Of the machine that the servers ran on: of a remote one, nothing is known."""
    if not study.place or study.place["runner"] == "remote":
        return {}
    stored = hardware_facts(study.hardware)
    if study.hardware.get("fingerprint") != host.hardware.fingerprint:
        return stored
    here = {**host_facts(host), **stored}
    if study.place["runner"] == "docker":
        return {name: value for name, value in here.items() if name not in _OF_LIBRARIES}
    return here


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
