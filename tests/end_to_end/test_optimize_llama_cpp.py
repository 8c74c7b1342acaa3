"""A language model on a real llama.cpp server, under limits of two parts of an answer."""

import shlex
from pathlib import Path

import pytest

from tests.end_to_end.command import Finished, tuner
from tests.servers import llama_cpp

SPACE = """
server: llama_cpp
parameters:
  parallel:
    type: categorical
    choices: [1, 16]
    default: 1
    sets: {flag: --parallel, form: words}
  threads:
    type: int
    low: 1
    high: 1
    default: 1
    sets: {flag: --threads, form: words}
"""
STUDY = "night"


@pytest.fixture(scope="module")
def optimized(folder: Path) -> Finished:
    if missing := llama_cpp.missing():
        pytest.skip(missing)
    from tests.servers import tiny_gguf  # it needs what may be missing

    tiny_gguf.write(folder / "tiny.gguf")
    (folder / "slots.yaml").write_text(SPACE)
    return tuner(
        *("optimize", "--space", "slots.yaml", "--model", "tiny.gguf", "--study", STUDY),
        *("--budget-ttft-ms", "200", "--budget-itl-ms", "100", "--percentile", "90"),
        *("--prompt-tokens", "24", "--output-tokens", "16", "--seed", "3", "--timeout", "5m"),
        *("--trials", "2", "--confirmations", "0", "--json"),
        folder=folder,
    )


def test_from_start_to_winner(optimized: Finished) -> None:
    """The defaults and another number of slots are measured, within both limits."""
    assert optimized.status == 0, optimized.err
    content = optimized.json
    defaults, other = content["trials"]
    assert (defaults["purpose"], other["purpose"]) == ("baseline", "search")
    assert (defaults["state"], other["configuration"]["parallel"]) == ("feasible", 16)
    assert content["winner"]["throughput"] >= defaults["throughput"]


def test_all_that_was_set_is_proved(optimized: Finished) -> None:
    """The server and its log say how many slots and threads there were, at each start."""
    verdicts = [trial["verdicts"] for trial in optimized.json["trials"]]
    assert verdicts == [dict.fromkeys(("parallel", "threads"), "confirmed")] * len(verdicts)


def test_the_script_that_starts_the_winner(optimized: Finished, folder: Path) -> None:
    """It has the model by its whole path, and the winner's slots."""
    slots = str(optimized.json["winner"]["configuration"]["parallel"])
    script = (folder / "reports" / STUDY / "llama-server.sh").read_text()
    words = shlex.split(script.splitlines()[-1])
    assert words[:4] == ["exec", "llama-server", "--model", str(folder / "tiny.gguf")]
    assert words[-4:] == ["--parallel", slots, "--threads", "1"]
