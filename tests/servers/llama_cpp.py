"""A real llama.cpp server, out of the wheel `xllamacpp`, with a tiny model of random weights."""

import importlib.util
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from runners.base import LaunchSpec, RunningServer
from tests.servers.started import started

MODEL = "tiny"
SLOTS = 4
# Of a slot: a longer prompt is refused.
CONTEXT = 2048
_PROGRAM = "tuner.targets.llama_cpp.programs.server"


@dataclass(frozen=True)
class LlamaServer:
    """Where it listens: OpenAI's interface, its own, and metrics on one port; its model: `MODEL`.

    It has `SLOTS` slots of `CONTEXT` tokens.
    """

    url: str
    port: int
    pid: int
    model_file: Path


def missing() -> str:
    """What has to be installed first."""
    if all(importlib.util.find_spec(each) for each in ("xllamacpp", "gguf")):
        return ""
    return "llama.cpp is not installed: pip install xllamacpp gguf"


@contextmanager
def serving(*flags: str, encoder: bool = False) -> Iterator[LlamaServer]:
    """The server, ready within a second; `flags` are those of `llama-server`.

    Its model answers, unless it is an `encoder`, of vectors and ranks.
    """
    from tests.servers import tiny_encoder, tiny_gguf  # they need what may be missing

    write = tiny_encoder.write if encoder else tiny_gguf.write
    with tempfile.TemporaryDirectory(prefix="llama-") as name:
        model = write(Path(name) / "tiny.gguf")
        command = (
            *(sys.executable, "-m", _PROGRAM, "--model", str(model), "--alias", MODEL),
            *("--port", "{port:http}", "--metrics", "--threads", "1"),
            *("--parallel", str(SLOTS), "--ctx-size", str(SLOTS * CONTEXT), *flags),
        )
        launch_spec = LaunchSpec(command=command, ports=("http",))
        with started(launch_spec, logs=Path(name), is_ready=_is_ready) as server:
            port = server.ports["http"]
            url = f"http://{server.host}:{port}"
            assert server.pid is not None
            yield LlamaServer(url, port, server.pid, model)


def _is_ready(server: RunningServer) -> bool:
    return httpx.get(f"http://{server.host}:{server.ports['http']}/health").is_success
