"""Load generators for language models as commands: ours, GuideLLM and AIPerf.

Sources: `guidellm run --help` of GuideLLM 0.8, `aiperf profile --help` of AIPerf 0.13.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

PROMPT_TOKENS = 32
# Seconds until a command that does not end is killed, with all that it started.
_LONGEST_S = 300.0
# Nothing is sent to anybody.
_QUIET = {
    "TOKENIZERS_PARALLELISM": "false",
    "DO_NOT_TRACK": "1",
    "PYTHONWARNINGS": "ignore",
}


@dataclass(frozen=True)
class Load:
    """A closed loop of `streams`, until so many requests are answered, each with `tokens`."""

    streams: int
    requests: int
    tokens: int


@dataclass(frozen=True)
class Seen:
    """What a tool says: milliseconds, the output tokens that it counted."""

    ttft_p50_ms: float
    ttft_p99_ms: float
    itl_p50_ms: float
    itl_p99_ms: float
    output: float


class Tool(Protocol):
    """A command that puts load on a server, from start to end."""

    @property
    def name(self) -> str: ...

    def send(self, url: str, model: str, load: Load, folder: Path) -> Seen | None:
        """Put the load on the server; None, and a word on the error output, without an answer.

        `folder` is empty, and takes what the tool writes.
        """


@dataclass(frozen=True)
class Tuner:
    """Implements Tool with `tuner measure`."""

    name: str = "tuner"

    def send(self, url: str, model: str, load: Load, folder: Path) -> Seen | None:
        command = [sys.executable, "-m", "tuner", "measure", url, "--service-kind", "openai"]
        command += ["--model", model, "--concurrency", str(load.streams), "--json"]
        command += ["--request-count", str(load.requests), "--duration", "1h"]
        command += ["--warm-up", "0.05s"]
        command += ["--prompt-tokens", str(PROMPT_TOKENS), "--output-tokens", str(load.tokens)]
        output = _output(self.name, command, folder)
        if output is None:
            return None
        tokens = json.loads(output)[0]["tokens"]
        ttft, itl = tokens["ttft"], tokens["itl"]
        return Seen(ttft["p50_ms"], ttft["p99_ms"], itl["p50_ms"], itl["p99_ms"], tokens["output"])


@dataclass(frozen=True)
class GuideLlm:
    """Implements Tool."""

    program: Path
    tokenizer: Path
    name: str = "GuideLLM"

    def send(self, url: str, model: str, load: Load, folder: Path) -> Seen | None:
        report = folder / "benchmarks.json"
        # Else it looks for the tokenizer in the net first; AIPerf takes a folder only without it.
        command = ["env", "HF_HUB_OFFLINE=1", str(self.program), "run"]
        command += ["--backend", f"kind=openai_http,target={url},model={model}"]
        command += ["--profile", f"kind=concurrent,streams={load.streams}"]
        command += ["--constraint", f"kind=max_requests,count={load.requests}"]
        lengths = f"prompt_tokens={PROMPT_TOKENS},output_tokens={load.tokens}"
        command += ["--data", f"kind=synthetic_text,{lengths}"]
        command += ["--tokenizer", f"kind=huggingface_auto,model={self.tokenizer}"]
        command += ["--output", f"kind=json,path={report}"]
        if _output(self.name, command, folder) is None:
            return None
        metrics = json.loads(report.read_text())["benchmarks"][0]["metrics"]
        ttft, itl = (
            metrics[name]["successful"]["percentiles"]
            for name in ("time_to_first_token_ms", "inter_token_latency_ms")
        )
        output = metrics["output_token_count"]["successful"]["total_sum"]
        return Seen(ttft["p50"], ttft["p99"], itl["p50"], itl["p99"], output)


@dataclass(frozen=True)
class AiPerf:
    """Implements Tool."""

    program: Path
    tokenizer: Path
    name: str = "AIPerf"

    def send(self, url: str, model: str, load: Load, folder: Path) -> Seen | None:
        command = [str(self.program), "profile", "--model", model, "--url", url]
        command += ["--endpoint-type", "chat", "--streaming", "--ui", "none"]
        command += ["--concurrency", str(load.streams), "--request-count", str(load.requests)]
        command += ["--synthetic-input-tokens-mean", str(PROMPT_TOKENS)]
        command += ["--output-tokens-mean", str(load.tokens)]
        command += ["--extra-inputs", "ignore_eos:true", "--use-server-token-count"]
        command += ["--no-gpu-telemetry", "--no-server-metrics"]
        command += ["--tokenizer", str(self.tokenizer), "--output-artifact-dir", str(folder)]
        if _output(self.name, command, folder) is None:
            return None
        report = next(folder.rglob("profile_export_aiperf.json"))
        metrics: Mapping[str, Any] = json.loads(report.read_text())
        ttft, itl = metrics["time_to_first_token"], metrics["inter_token_latency"]
        output = metrics["total_output_tokens"]["avg"]
        return Seen(ttft["p50"], ttft["p99"], itl["p50"], itl["p99"], output)


def _output(name: str, command: Sequence[str], folder: Path) -> str | None:
    """What the command prints; None if it fails, or does not end."""
    process = subprocess.Popen(
        command,
        env=os.environ | _QUIET,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if name != "tuner" else subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=_LONGEST_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        print(f"{name} did not end within {_LONGEST_S:g} s", file=sys.stderr)
        return None
    if process.returncode:
        print(f"{name} gave no answer:", *output.splitlines()[-5:], sep="\n  ", file=sys.stderr)
        return None
    return output
