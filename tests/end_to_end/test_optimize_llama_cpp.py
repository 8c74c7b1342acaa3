"""A language model on a real llama.cpp server, under limits of two parts of an answer."""

import json
import shlex
import sys
from pathlib import Path

import pytest

from tests.end_to_end.command import Finished, tuner
from tests.servers import llama_cpp

# All prompts begin with the same long text. Where a slot keeps it, it is computed once: that gain
# is one of processor time, the same on a slower machine, and larger than any noise.
# The cache of prompts in memory is off: the server becomes slower while that fills
# (docs/servers/llama_cpp.md).
SPACE = """
server: llama_cpp
parameters:
  parallel:
    type: categorical
    choices: [1, 4]
    default: 1
    sets: {flag: --parallel, form: words}
  cache_prompt:
    type: boolean
    default: false
    sets: {flag: --cache-prompt/--no-cache-prompt}
  threads:
    type: int
    low: 1
    high: 1
    default: 1
    sets: {flag: --threads, form: words}
  cache_ram:
    type: int
    low: 0
    high: 0
    default: 0
    sets: {flag: --cache-ram, form: words}
hints:
  - {parallel: 4, cache_prompt: true}
"""
STUDY = "night"
# What `--notify` is given, kept as a file.
KEEPS = shlex.join(
    [sys.executable, "-c", "import sys; open('told.json', 'w').write(sys.stdin.read())"]
)


@pytest.fixture(scope="module")
def optimized(folder: Path) -> Finished:
    if missing := llama_cpp.missing():
        pytest.skip(missing)
    from tests.servers import tiny_gguf  # it needs what may be missing

    tiny_gguf.write(folder / "tiny.gguf", tiny_gguf.Size(width=128, hidden=256, heads=2))
    (folder / "prefix.yaml").write_text(SPACE)
    return tuner(
        *("optimize", "--space", "prefix.yaml", "--model", "tiny.gguf", "--study", STUDY),
        *("--budget-ttft-ms", "100", "--budget-itl-ms", "50", "--percentile", "90"),
        *("--prompt-tokens", "400", "--prefix-share", "0.95", "--output-tokens", "4"),
        *("--seed", "3", "--trials", "2", "--finalists", "1", "--timeout", "4m", "--json"),
        *("--notify", KEEPS),
        folder=folder,
        timeout_s=600,
    )


def test_the_winner_beats_the_defaults_with_proof(optimized: Finished) -> None:
    """Three rounds of fresh starts prove a gain that chance would not give."""
    assert optimized.status == 0, optimized.err
    content = optimized.json
    purposes = [trial["purpose"] for trial in content["trials"]]
    assert purposes[:2] == ["baseline", "search"]
    assert purposes.count("final") >= 6
    assert content["winner"]["configuration"]["cache_prompt"] is True
    assert content["gain"]["proved"] is True
    assert content["gain"]["low"] > 1


def test_throughputs_are_of_requests(optimized: Finished, folder: Path) -> None:
    """The progress says so from the first trial on, and who is told of the end hears it, too."""
    progress = [line for line in optimized.err.splitlines() if line.startswith("trial ")]
    assert " requests/s, " in progress[0]
    assert "inferences/s" not in optimized.err
    told = json.loads((folder / "told.json").read_text())
    assert told["unit"] == "requests/s"
    assert told["throughput"] == pytest.approx(optimized.json["winner"]["throughput"])


def test_the_claimed_load_is_put_to_the_proof(optimized: Finished) -> None:
    """One more start carries what is claimed, or is said not to."""
    last = optimized.json["trials"][-1]
    assert last["purpose"] == "proof"
    assert last["proof"] in ("within", "undecided", "over")


def test_all_that_was_set_is_proved(optimized: Finished) -> None:
    """The server says how many slots there are, and whether it knows a prompt, at each start."""
    for trial in optimized.json["trials"]:
        assert trial["verdicts"] == dict.fromkeys(trial["configuration"], "confirmed")


def test_the_script_that_starts_the_winner(optimized: Finished, folder: Path) -> None:
    """It has the model by its whole path, and the winner's slots."""
    assert optimized.status == 0, optimized.err
    script = (folder / "reports" / STUDY / "llama-server.sh").read_text()
    words = shlex.split(script.splitlines()[-1])
    assert words[:4] == ["exec", "llama-server", "--model", str(folder / "tiny.gguf")]
    assert words[words.index("--parallel") + 1] == "4"
    assert "--cache-prompt" in words
