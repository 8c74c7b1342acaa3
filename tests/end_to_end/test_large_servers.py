"""vLLM and infinity from their own wheels, tuned by the built-in spaces: outside the usual suite.

Their environments have gigabytes. `TUNER_VLLM` and `TUNER_INFINITY` name the folders with their
programs; benchmarks/README.md says how such environments are made.
"""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.command import tuner

MODELS = Path(__file__).parents[1] / "models" / "tiny_transformers.py"
# The CPU build: its command `vllm` asks for a package of that name, and nothing is compiled.
VLLM = """
extends: vllm
serve:
  command: [python, -m, vllm.entrypoints.openai.api_server, --model, "{{ model }}",
            --host, "{address}", --port, "{port:http}", --dtype, bfloat16,
            --max-model-len, "1024", --enforce-eager]
  environment: {VLLM_CPU_KVCACHE_SPACE: "1", VLLM_NO_USAGE_STATS: "1", HF_HUB_OFFLINE: "1",
                VLLM_CPU_OMP_THREADS_BIND: nobind, OMP_NUM_THREADS: "1"}
parameters:
  enforce_eager: null
  cpu_binding: null
  cpu_threads: null
hints:
  - {max_num_seqs: 8, max_num_batched_tokens: 512, block_size: 32}
"""
INFINITY = """
extends: infinity
serve:
  environment: {HF_HUB_OFFLINE: "1"}
parameters:
  bettertransformer: null
  engine: null
  compile: null
hints:
  - {batch_size: 8, lengths_via_tokenize: true, threads: 1}
"""


def programs(variable: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that a variable names, before all others."""
    if not os.environ.get(variable):
        pytest.skip(f"{variable} names no folder of programs")
    found = Path(os.environ[variable])
    monkeypatch.setenv("PATH", f"{found}{os.pathsep}{os.environ['PATH']}")
    return found


def optimized(folder: Path, space: str, *options: str) -> Any:
    """What a short study says of the model `tiny` in `folder`."""
    (folder / "mine.yaml").write_text(space)
    finished = tuner(
        *("optimize", "--space", "mine.yaml", "--model", "./tiny", *options),
        *("--trials", "2", "--timeout", "15m", "--confirmations", "0", "--seed", "3"),
        *("--study", "tiny", "--json"),
        folder=folder,
        timeout_s=1800,
    )
    assert finished.status == 0, finished.err
    return finished.json


def made(python: Path, kind: str, folder: Path) -> None:
    command = [str(python), str(MODELS), kind, str(folder / "tiny")]
    subprocess.run(command, check=True, capture_output=True)


def test_vllm_is_tuned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A configuration of vLLM is proved by what it says of itself, and measured token by token."""
    made(programs("TUNER_VLLM", monkeypatch) / "python", "llama", tmp_path)

    lengths = ("--prompt-tokens", "32", "--output-tokens", "16")
    limits = ("--budget-ttft-ms", "2000", "--budget-itl-ms", "400")
    content = optimized(tmp_path, VLLM, *lengths, *limits, "--tolerance", "0.05")

    states = [trial["state"] for trial in content["trials"]]
    assert states.count("failed") == 0
    verdicts = content["trials"][1]["verdicts"]
    for name in ("max_num_seqs", "max_num_batched_tokens", "block_size"):
        assert verdicts[name] == "confirmed"
    assert content["winner"]["throughput"] > 0


def test_infinity_is_tuned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server of embeddings is asked for vectors of made-up texts, which stay the same."""
    made(programs("TUNER_INFINITY", monkeypatch) / "python", "bert", tmp_path)

    content = optimized(tmp_path, INFINITY, "--budget-ms", "500", "--prompt-tokens", "32")

    assert [trial["state"] for trial in content["trials"]].count("failed") == 0
    assert content["trials"][1]["verdicts"]["batch_size"] == "confirmed"
    assert content["winner"]["throughput"] > 0
