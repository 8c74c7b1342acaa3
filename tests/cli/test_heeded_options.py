"""Each option of `optimize`, for each kind of server, load and input: heeded or refused.

An option that would change nothing is refused, so that nobody believes that it did.
"""

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from tests.servers.tensorflow_program import save_model
from tests.targets.llama_cpp.test_model import gguf
from tests.targets.model_files import three_forms
from tests.targets.torchserve.torchserve_archives import write_archive
from tuner.cli import job
from tuner.cli.optimize_options import OptimizeOptions
from tuner.cli.runner_options import RunnerChoice, RunnerOptions
from tuner.errors import InputError
from tuner.goals import Loop, Objective
from tuner.protocols.openai_task import Task
from tuner.protocols.v2 import V2Protocol
from tuner.search.samplers import Sampler
from tuner.study.job import prepare

CONFIG = """
backend: "python" max_batch_size: 8
input [{{ name: "x" data_type: TYPE_{type} dims: [4] }}]
output [{{ name: "y" data_type: TYPE_FP32 dims: [4] }}] {more}
"""
STATEFUL = 'sequence_batching { control_input [{ name: "go" control [{ kind: CONTROL_SEQUENCE_START fp32_false_true: [0, 1] }] }] }'  # noqa: E501 - one line of a file
MODELS = {
    "numbers": {"type": "FP32", "more": ""},
    "others": {"type": "FP32", "more": ""},
    "texts": {"type": "STRING", "more": ""},
    "sums": {"type": "FP32", "more": STATEFUL},
    "parts": {"type": "FP32", "more": "model_transaction_policy { decoupled: true }"},
}
SPACE = {"type": "int", "low": 1, "high": 2, "default": 1, "sets": {"environment": "N"}}
SERVE = {"command": ["server", "{port:http}"], "ready": "/", "request": {"path": "/", "body": "1"}}


@pytest.fixture(autouse=True)
def files(folder: Path) -> None:
    """Models of all kinds, and data, in the folder that the test is in."""
    for name, said in MODELS.items():
        (folder / "repository" / name / "1").mkdir(parents=True)
        (folder / "repository" / name / "1" / "model.py").touch()
        (folder / "repository" / name / "config.pbtxt").write_text(CONFIG.format(**said))
    for name in ("numbers", "others"):
        write_archive(folder / "store", name=name)
        save_model(folder / "saved", name=name)
    for name in ("m", "n"):
        gguf(folder / f"{name}.gguf")
    three_forms(folder)
    (folder / "prompts.jsonl").write_text('{"prompt": "Say yes.", "output_tokens": 4}')
    (folder / "tokenizer.json").write_text("{}")
    (folder / "data.json").write_text('{"data": [{"x": [1, 2, 3, 4]}]}')
    (folder / "body").write_text("[1]")
    own = {"server": "command", "serve": SERVE, "parameters": {"n": SPACE}}
    (folder / "own.yaml").write_text(json.dumps(own))
    for server in ("triton", "torchserve", "tensorflow_serving"):
        (folder / f"{server}.yaml").write_text(f"extends: {server}\nhints: []\n")


TRITON = {"model_repository": Path("repository"), "model": "numbers"}
TORCHSERVE = {
    "server": "torchserve",
    "model_repository": Path("store"),
    "model": "numbers",
    "body": [Path("body")],
}
TENSORFLOW = {
    "server": "tensorflow_serving",
    "model_repository": Path("saved"),
    "model": "numbers",
}
LLAMA = {"server": "llama_cpp", "model": "m.gguf"}
DOCKER = {"runner": RunnerChoice.DOCKER, "image": "server:1"}
FILE = {"input_data": ["data.json"]}
GRPC = {"protocol": V2Protocol.GRPC}

# What is asked for, and the options that it has no use for.
OF_CONTAINERS = {each.name for each in fields(RunnerOptions)} - {"runner", "url", "port"}
OF_REMOTE = {"url", "port"}
PROCESS = OF_CONTAINERS | OF_REMOTE
OF_SEQUENCES = {
    "num_of_sequences",
    "sequence_length",
    "sequence_length_variation",
    "sequence_id_range",
}
OF_STRINGS = {"string_length", "string_data"}
OF_BODIES = {"body", "content_type"}
OF_V2 = {"request_parameter"}
OF_MADE_UP_PROMPTS = {"prompt_tokens", "output_tokens", "prefix_share"}
OF_PROMPTS = OF_MADE_UP_PROMPTS | {
    *("task", "prompts", "dataset", "tokenizer", "whole_answers", "heed_eos", "extra")
}
OF_TENSORS = {"batch", "shape", "protocol", "input_data", *OF_V2, *OF_STRINGS}
OF_REPOSITORY = {"model_file", "input", *PROCESS, *OF_PROMPTS}
OF_LLAMA = (OF_TENSORS - {"batch"}) | OF_SEQUENCES | OF_BODIES | PROCESS | {"input", "with_model"}
CASES: dict[str, tuple[dict[str, Any], set[str]]] = {
    "triton": (TRITON, OF_REPOSITORY | OF_BODIES | OF_SEQUENCES | OF_STRINGS),
    "triton, texts": (TRITON | {"model": "texts"}, OF_REPOSITORY | OF_BODIES | OF_SEQUENCES),
    "triton, texts that are given": (
        TRITON | {"model": "texts", "string_data": "{}"},
        OF_REPOSITORY | OF_BODIES | OF_SEQUENCES | {"string_length", "model"},
    ),
    "triton, empty texts": (
        TRITON | {"model": "texts", "input_data": ["zero"]},
        OF_REPOSITORY | OF_BODIES | OF_SEQUENCES | {"string_length"},
    ),
    "triton, data": (TRITON | FILE, OF_REPOSITORY | OF_BODIES | OF_SEQUENCES | OF_STRINGS),
    "triton, sequences": (TRITON | {"model": "sums"}, OF_REPOSITORY | OF_BODIES | OF_STRINGS),
    "triton, sequences in a closed loop": (
        TRITON | {"model": "sums", "arrivals": Loop.CLOSED},
        OF_REPOSITORY | OF_BODIES | OF_STRINGS | {"num_of_sequences", "objective"},
    ),
    "triton, sequences that are given": (
        TRITON | FILE | {"model": "sums"},
        OF_REPOSITORY | OF_BODIES | OF_STRINGS | {"sequence_length", "sequence_length_variation"},
    ),
    "triton, decoupled": (
        TRITON | GRPC | {"model": "parts"},
        OF_REPOSITORY | OF_BODIES | OF_SEQUENCES | OF_STRINGS | {"protocol"},
    ),
    "triton, gRPC": (TRITON | GRPC, OF_REPOSITORY | OF_BODIES | OF_SEQUENCES | OF_STRINGS),
    "triton, a file": (
        {"model_file": Path("mlp.onnx")},
        {"input", "model", "with_model", *PROCESS, *OF_BODIES, *OF_SEQUENCES}
        | OF_STRINGS
        | OF_PROMPTS,
    ),
    "triton in a container": (
        TRITON | DOCKER,
        {"model_file", "input", *OF_REMOTE, *OF_BODIES, *OF_SEQUENCES, *OF_STRINGS} | OF_PROMPTS,
    ),
    "no confirmations": (
        TRITON | {"confirmations": 0},
        OF_REPOSITORY | OF_BODIES | OF_SEQUENCES | OF_STRINGS | {"finalists"},
    ),
    "triton on a fleet": (
        TRITON | {"fleet": "auto"},
        OF_REPOSITORY | OF_BODIES | OF_SEQUENCES | OF_STRINGS,
    ),
    "torchserve": (
        TORCHSERVE,
        OF_REPOSITORY | {"with_model"} | OF_TENSORS | OF_SEQUENCES,
    ),
    "tensorflow_serving": (
        TENSORFLOW,
        OF_REPOSITORY | {"with_model"} | OF_V2 | OF_SEQUENCES | OF_BODIES,
    ),
    "llama_cpp": (LLAMA, OF_LLAMA | {"batch"}),
    "llama_cpp, embeddings": (
        LLAMA | {"task": Task.EMBEDDINGS},
        OF_LLAMA | {"output_tokens", "whole_answers", "heed_eos"},
    ),
    "llama_cpp, prompts that are given": (
        LLAMA | {"dataset": Path("prompts.jsonl")},
        OF_LLAMA | OF_MADE_UP_PROMPTS | {"batch"},
    ),
    "command": (
        {"space": Path("own.yaml")},
        {"variant", "with_model", "header", *OF_REPOSITORY, *OF_BODIES}
        | OF_TENSORS
        | OF_SEQUENCES,
    ),
}
# Of each option a value that says something; where a case has that already, another one.
SAYS: dict[str, tuple[Any, ...]] = {
    "model_file": (Path("mlp.onnx"), Path("int8.onnx")),
    "percentile": (95.0,),
    "timeout": ("5m",),
    "until": ("07:00",),
    "model": ("others",),
    "input": (["x:FP32:-1,16"], ["y:FP32:-1,16"]),
    "variant": (["others"],),
    "with_model": (["others"],),
    "tolerance": (0.05,),
    "trials": (7,),
    "finalists": (2,),
    "confirmations": (2,),
    "objective": ([Objective.LATENCY],),
    "sampler": (Sampler.RANDOM,),
    "arrivals": (Loop.CLOSED, Loop.OPEN),
    "batch": (2,),
    "shape": (["x:4"],),
    "input_data": (["zero"], ["random"]),
    "string_length": (5,),
    "string_data": ("x", "y"),
    "request_parameter": (["a:1:int"],),
    "header": (["A: b"],),
    "protocol": (V2Protocol.GRPC, V2Protocol.HTTP),
    "num_of_sequences": (5,),
    "sequence_length": (5,),
    "sequence_length_variation": (5.0,),
    "sequence_id_range": ("5",),
    "body": ([Path("data.json")],),
    "task": (Task.COMPLETIONS, Task.CHAT),
    "prompt_tokens": ("64",),
    "output_tokens": ("32",),
    "prefix_share": (0.5,),
    "prompts": (8,),
    "dataset": (Path("prompts.jsonl"), Path("data.json")),
    "tokenizer": (Path("tokenizer.json"),),
    "whole_answers": (True,),
    "heed_eos": (True,),
    "extra": (["temperature=0"],),
    "content_type": ("text/plain",),
    "url": ("http://127.0.0.1:9",),
    "port": (["http=9"],),
    "image": ("server:1", "server:2"),
    "pull": (True,),
    "memory": ("1g",),
    "shm_size": ("1g",),
    "cpu_quota": (1.0,),
    "gpus": ("all",),
    "cap_add": (["SYS_NICE"],),
    "ulimit": (["memlock=-1"],),
    "mount": ([Path("body")],),
    "network": ("host",),
    "user": ("1000",),
    "engine_cpus": ("0",),
    "server_cpus": ("0",),
    "start_timeout": ("3m",),
    "fleet": ("auto", "ray://head:10001"),
    "group": ("gpu-1",),
    "warm_start": (["earlier"],),
    "study": ("mine",),
    "db": ("other.db",),
    "seed": (5,),
}
# The values that fit one case alone.
OF_CASE: dict[str, dict[str, Any]] = {
    "triton, a file": {"variant": ["int8.onnx"]},
    **{
        name: {"variant": ["n.gguf"], "model": "n.gguf", "model_file": Path("n.gguf")}
        for name in ("llama_cpp", "llama_cpp, embeddings", "llama_cpp, prompts that are given")
    },
}
# What is done with the answer, and what makes the cases.
ELSEWHERE = {"as_json", "detach", "notify", "notify_url", "output", "retry", "service"} | {
    "wait",
    *("budget_ms", "budget_ttft_ms", "budget_itl_ms"),
    *("server", "runner", "space", "model_repository"),
}


def asked(options: dict[str, Any]) -> tuple[object, ...]:
    """All that a study of these options depends on."""
    prepared = prepare(job.job(OptimizeOptions(budget_ms=50, **options)))
    study = prepared.study
    named = study.name if "study" in options else ""
    facts = study.request, study.model, study.model_fingerprint, prepared.space, named
    return replace(prepared.job, options={}), *facts


def test_every_option_is_walked() -> None:
    """An option that is new has its place here."""
    assert SAYS.keys() | ELSEWHERE == {each.name for each in fields(OptimizeOptions)}


@pytest.mark.parametrize("case", CASES)
def test_every_option_is_heeded_or_refused(case: str) -> None:
    """What is refused is called by its name; everything else changes the study."""
    base, useless = CASES[case]
    without = asked(base)
    refused = {}
    for option, values in SAYS.items():
        new = next((each for each in values if each != base.get(option)), values[0])
        value = OF_CASE.get(case, {}).get(option, new)
        try:
            assert asked({**base, option: value}) != without, f"{option} changes nothing"
        except InputError as error:
            refused[option] = error.message
    assert refused.keys() == (useless if "fleet" in base else useless | {"group"})
    for option, message in refused.items():
        assert option.partition("_")[0] in message
