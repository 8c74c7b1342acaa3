"""vLLM, infinity, and TorchServe with Intel's extension: outside the usual suite.

Their environments have gigabytes. `TUNER_VLLM`, `TUNER_INFINITY` and `TUNER_IPEX` name the folders
with their programs; benchmarks/README.md says how such environments are made.
"""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.command import TUNER, tuner
from tests.targets.torchserve.torchserve_targets import archive

MODELS = Path(__file__).parents[1] / "models"
# The CPU build: its command `vllm` asks for a package of that name, and nothing is compiled. With
# a single request at a time for the default, it is known beforehand that there is a better one.
VLLM = """
extends: vllm
serve:
  command: [python, -m, vllm.entrypoints.openai.api_server, --model, "{{ model }}",
            --host, "{address}", --port, "{port:http}", --dtype, bfloat16,
            --max-model-len, "1024", --enforce-eager]
  environment: {VLLM_CPU_KVCACHE_SPACE: "1", VLLM_NO_USAGE_STATS: "1", HF_HUB_OFFLINE: "1",
                VLLM_CPU_OMP_THREADS_BIND: nobind, OMP_NUM_THREADS: "1"}
parameters:
  max_num_seqs: {choices: [0, 1, 16], default: 1}
  enforce_eager: null
  cpu_binding: null
  cpu_threads: null
hints:
  - {max_num_seqs: 16, max_num_batched_tokens: 512, block_size: 32}
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
IPEX = """
extends: torchserve_ipex
hints:
  - {workers: 1, threads: 1, ipex: true}
  - {workers: 1, threads: 1, ipex: true, cpu_launcher: true}
"""


def programs(variable: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that a variable names, before all others."""
    if not os.environ.get(variable):
        pytest.skip(f"{variable} names no folder of programs")
    found = Path(os.environ[variable])
    monkeypatch.setenv("PATH", f"{found}{os.pathsep}{os.environ['PATH']}")
    return found


def optimized(folder: Path, space: str, *options: str, program: Path = TUNER) -> Any:
    """What a short study of a space file says; all its trials must succeed."""
    (folder / "mine.yaml").write_text(space)
    finished = tuner(
        *("optimize", "--space", "mine.yaml", "--seed", "3", "--study", "tiny", "--json"),
        *options,
        folder=folder,
        timeout_s=1800,
        program=program,
    )
    assert finished.status == 0, finished.err
    assert "failed" not in {trial["state"] for trial in finished.json["trials"]}
    return finished.json


def made(python: Path, kind: str, folder: Path) -> None:
    script = MODELS / "tiny_transformers.py"
    subprocess.run([python, script, kind, folder / "tiny"], check=True, capture_output=True)


def test_vllm_beats_one_request_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Values are proved by what vLLM says, and the gain by three rounds of fresh starts."""
    made(programs("TUNER_VLLM", monkeypatch) / "python", "llama", tmp_path)

    content = optimized(
        *(tmp_path, VLLM, "--model", "./tiny", "--tolerance", "0.05", "--percentile", "90"),
        *("--prompt-tokens", "32", "--output-tokens", "16"),
        *("--budget-ttft-ms", "500", "--budget-itl-ms", "100"),
        *("--trials", "2", "--finalists", "1", "--timeout", "25m"),
    )

    # Each start of vLLM takes most of a minute.
    purposes = [trial["purpose"] for trial in content["trials"]]
    assert purposes[:2] == ["baseline", "search"]
    assert purposes.count("final") >= 6
    verdicts = content["trials"][1]["verdicts"]
    for name in ("max_num_seqs", "max_num_batched_tokens", "block_size"):
        assert verdicts[name] == "confirmed"
    assert content["baseline"]["configuration"]["max_num_seqs"] == 1
    assert content["winner"]["configuration"]["max_num_seqs"] == 16
    assert content["gain"]["proved"] is True


def test_infinity_is_tuned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server of embeddings is asked for vectors of made-up texts, which stay the same."""
    made(programs("TUNER_INFINITY", monkeypatch) / "python", "bert", tmp_path)

    content = optimized(
        *(tmp_path, INFINITY, "--model", "./tiny", "--budget-ms", "500", "--prompt-tokens", "32"),
        *("--trials", "2", "--confirmations", "0", "--timeout", "15m"),
    )

    assert content["trials"][1]["verdicts"]["batch_size"] == "confirmed"
    assert content["winner"]["throughput"] > 0


def test_intels_extension_is_tuned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TorchServe as it is, with the extension, and with its launcher: all take effect."""
    found = programs("TUNER_IPEX", monkeypatch)
    folder = MODELS / "perceptron"
    store = tmp_path / "store"
    archive(
        store, handler=folder / "handler.py", name="perceptron", definition=folder / "model.py"
    )
    (tmp_path / "request.json").write_text(json.dumps([0.5] * 256))

    content = optimized(
        *(tmp_path, IPEX, "--server", "torchserve", "--model-repository", "store"),
        *("--body", "request.json", "--content-type", "application/json"),
        *("--budget-ms", "200", "--trials", "12", "--confirmations", "0", "--timeout", "10m"),
        program=found / "tuner",
    )

    trials = [each for each in content["trials"] if each["configuration"].get("ipex")]
    launched = [each for each in trials if each["configuration"].get("cpu_launcher")]
    assert 0 < len(launched) < len(trials) < len(content["trials"])
    assert {each["verdicts"]["cpu_launcher"] for each in launched} == {"confirmed"}
    assert content["winner"]["throughput"] > 0
