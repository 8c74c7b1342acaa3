"""A real llama.cpp server as a target: started, proved, asked, and handed over."""

import shlex
import shutil
from pathlib import Path

import pytest

from tests.servers import llama_cpp
from tests.targets.llama_cpp.llama_cpp_targets import asking, limited, served
from tuner.errors import Reason
from tuner.protocols.openai_task import Task
from tuner.records import Grade
from tuner.space.expressions import Value
from tuner.space.space import Configuration, SearchSpace
from tuner.targets.llama_cpp.install import find_llama_server

# Another value than the default's for all that is set.
OTHERS: dict[str, Value] = {
    "parallel": 2,
    "kv_unified": False,
    "context": "requests",
    "batch_size": 512,
    "ubatch_size": 128,
    "threads": 1,
    "threads_batch": 1,
    "threads_http": 16,
    "cont_batching": False,
    "flash_attn": "on",
    "cache_type_k": "q8_0",
    "cache_type_v": "f32",
    "cache_prompt": False,
    "cache_ram": 0,
    "poll": 0,
    "wait_policy": "PASSIVE",
    "load_mode": "none",
    "spec_type": "ngram-mod",
}

pytestmark = pytest.mark.skipif(bool(llama_cpp.missing()), reason=llama_cpp.missing())


def confirmed(space: SearchSpace, configuration: Configuration) -> set[str]:
    """The parameters that the space says are proved under `configuration`."""
    return {
        each.name
        for each in space.parameters
        if each.name in configuration
        and each.proof.startswith("confirmed")
        and configuration[each.name] not in (each.sets.omit, "model")
    }


@pytest.mark.parametrize(
    ("task", "encoder"),
    [(Task.CHAT, False), (Task.EMBEDDINGS, False), (Task.EMBEDDINGS, True), (Task.RERANK, True)],
)
def test_each_setting_is_proved(tmp_path: Path, task: Task, *, encoder: bool) -> None:
    """What the space says is confirmed is, and nothing is refuted, whatever is set."""
    target = served(tmp_path, form=asking(task=task), encoder=encoder)
    for configuration in (target.configuration(), target.configuration(**OTHERS)):
        verdicts = target.verdicts(configuration)
        grades = {name: verdict.grade for name, verdict in verdicts.items()}
        assert verdicts.keys() == configuration.keys()
        assert Grade.REFUTED not in grades.values(), verdicts
        proved = {name for name, grade in grades.items() if grade is Grade.CONFIRMED}
        assert proved == confirmed(target.space, configuration)


def test_a_setting_that_did_nothing_is_refuted(tmp_path: Path) -> None:
    """A server with other settings than those that are asked for says so."""
    target = served(tmp_path)
    with target.deployment() as deployment:
        deployment.apply(target.configuration(**OTHERS))
        verdicts = target.target.verify(deployment.server, target.configuration())
    refuted = {name for name, verdict in verdicts.items() if verdict.grade is Grade.REFUTED}
    assert refuted >= {"parallel", "kv_unified", "batch_size", "cache_type_k", "cache_prompt"}
    assert verdicts["parallel"].found == "the server has --parallel 2"
    assert verdicts["cache_ram"].found == "the server has --cache-ram 0"


def test_a_form_of_the_model_is_served_and_proved(tmp_path: Path) -> None:
    """Of several files the one that is chosen is loaded, under the name of the model."""
    target = served(tmp_path, variants=("other",))
    with target.deployment() as deployment:
        deployment.apply(target.configuration())
        own = target.target.infer(deployment.server)
        other = target.configuration(variant="other")
        deployment.apply(other)
        verdicts = target.target.verify(deployment.server, other)
        assert target.target.infer(deployment.server) != own
    assert verdicts["variant"].grade is Grade.CONFIRMED
    with target.deployment() as deployment:
        deployment.apply(target.configuration())
        verdict = target.target.verify(deployment.server, other)["variant"]
    assert verdict.found == "the server has the form `tiny`"


def test_a_server_without_memory(tmp_path: Path) -> None:
    """A context that does not fit into memory is told as that, and not as any failure."""
    if shutil.which("prlimit") is None:
        pytest.skip("there is no `prlimit`")
    installation = limited(find_llama_server(contained=False), bytes_=1200 << 20)
    target = served(tmp_path, form=asking(2000, 2000), installation=installation)
    slots: dict[str, Value] = {
        "parallel": 64,
        "context": "requests",
        "cache_type_k": "f32",
        "cache_type_v": "f32",
    }
    failure = target.failure(target.configuration(**slots))
    assert failure.reason is Reason.OUT_OF_MEMORY
    assert "for want of memory, as its log says" in str(failure)


@pytest.mark.parametrize("encoder", [False, True])
def test_a_model_of_embeddings(tmp_path: Path, *, encoder: bool) -> None:
    """Vectors are asked for, and compared, of a model that answers and of one that does not."""
    target = served(tmp_path, form=asking(task=Task.EMBEDDINGS), encoder=encoder)
    with target.deployment() as deployment:
        deployment.apply(target.configuration())
        [[vector]] = target.target.infer(deployment.server)
        requests = target.target.requests(deployment.server)
    assert (vector.name, vector.shape) == ("embedding", (64 if encoder else 256,))
    assert b"POST /v1/embeddings" in requests.payloads[0]
    assert b'"model": "tiny"' in requests.payloads[0]


def test_a_model_that_ranks(tmp_path: Path) -> None:
    """How well documents fit to a question is asked for, and compared."""
    target = served(tmp_path, form=asking(task=Task.RERANK), encoder=True)
    with target.deployment() as deployment:
        deployment.apply(target.configuration())
        [[relevance]] = target.target.infer(deployment.server)
        requests = target.target.requests(deployment.server)
        log = deployment.server.log_head(1000)
    assert "prompt cache is disabled" in log
    assert (relevance.name, relevance.shape) == ("relevance", (3,))
    assert b"POST /v1/rerank" in requests.payloads[0]


def test_context_for_the_requests(tmp_path: Path) -> None:
    """Each slot gets what the longest request needs, in steps, and no more than the model has."""
    for name, form, slot in (("a", asking(600, 100), 1024), ("b", asking(3900, 100), 4096)):
        (tmp_path / name).mkdir()
        target = served(tmp_path / name, form=form)
        words = target.target.launch_spec(
            target.configuration(context="requests", parallel=2)
        ).command
        assert words[words.index("--ctx-size") + 1] == str(2 * slot)
        assert "--ctx-size" not in target.target.launch_spec(target.configuration()).command


def test_the_script_of_a_winner(tmp_path: Path) -> None:
    """It starts `llama-server` with the model's own file and the settings, and nothing else."""
    target = served(tmp_path)
    script = target.target.export(target.configuration(parallel=8, wait_policy="ACTIVE"))
    first, variable, start = script.splitlines()
    words = shlex.split(start)
    assert (first, variable) == ("#!/bin/sh", "export OMP_WAIT_POLICY=ACTIVE")
    assert words[:4] == ["exec", "llama-server", "--model", str(tmp_path / "models/tiny.gguf")]
    assert words[words.index("--parallel") + 1] == "8"
    assert "--log-verbosity" not in words
