"""A server of OpenAI's interface for tests: it is picky, and it tells what it was asked."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.load.streams import DONE, STOP, piece, usage
from tests.targets.answering import serving as in_a_thread
from tuner.load.profile import Endpoint

MODEL = "tiny"


@dataclass
class OpenAiServer:
    """Serves `models`; refuses a body that has one of the `unknown` fields, with `status`.

    `/tokenize` counts letters, if it `counts`. `answers` are others, by path; `metrics` is a page.
    `asked` has path, headers and body of each request.
    """

    models: Any = (MODEL,)
    unknown: tuple[str, ...] = ()
    status: int = 400
    counts: bool = True
    key: str = ""
    metrics: str = ""
    answers: Mapping[str, Any] = field(default_factory=dict)
    asked: list[tuple[str, Mapping[str, str], Any]] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint("127.0.0.1", self.port)

    def bodies(self, path: str) -> list[Any]:
        """Of the requests to that path, in their order."""
        return [body for where, _, body in self.asked if where == path]

    def answer(self, path: str, body: Any) -> tuple[int, bytes]:
        """Status and content."""
        return (200, _json(self.answers[path])) if path in self.answers else self._own(path, body)

    def _own(self, path: str, body: Any) -> tuple[int, bytes]:
        match path:
            case "/v1/models":
                models = self.models
                listed = {"data": [{"id": each} for each in models]}
                return 200, _json(listed if isinstance(models, tuple) else models)
            case "/tokenize" if self.counts:
                return 200, _json({"tokens": list(range(len(body["content"])))})
            case "/v1/embeddings":
                good = {"data": [{"embedding": [1.0]}], "usage": {"prompt_tokens": 3}}
                bad = {"error": {"message": "no embeddings here"}}
                refused = "input" in self.unknown
                return (self.status, _json(bad)) if refused else (200, _json(good))
            case "/v1/chat/completions" | "/v1/completions":
                for name in self.unknown:
                    if name in body or name in body.get("stream_options", {}):
                        return self.status, _json({"error": {"message": f"what is {name}?"}})
                if not body.get("stream"):
                    count = {"prompt_tokens": 5, "completion_tokens": body["max_tokens"]}
                    return 200, _json({"choices": [{"text": "abc"}], "usage": count})
                tokens = body.get("max_tokens", 2)
                said = usage(tokens, 5) if "stream_options" in body else b""
                return 200, piece() * tokens + STOP + said + DONE
            case _:
                return self._given(path)

    def _given(self, path: str) -> tuple[int, bytes]:
        if path == "/metrics" and self.metrics:
            return 200, self.metrics.encode()
        return 404, _json({"error": "nothing here"})


def _json(content: Any) -> bytes:
    return json.dumps(content).encode()


@contextmanager
def serving(**behaviour: Any) -> Iterator[OpenAiServer]:
    """The server, in threads of this process."""
    state = OpenAiServer(**behaviour)
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            self._answer(None)

        def do_POST(self) -> None:
            self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def _answer(self, body: Any) -> None:
            with lock:
                state.asked.append((self.path, dict(self.headers), body))
            status, content = state.answer(self.path, body)
            if state.key and self.headers["Authorization"] != f"Bearer {state.key}":
                status, content = 401, _json({"error": {"message": "who are you?"}})
            streamed = content.startswith(b"data:")
            self.send_response(status)
            self.send_header(
                "Content-Type", "text/event-stream" if streamed else "application/json"
            )
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server, in_a_thread(server):
        server.daemon_threads = True
        state.port = server.server_address[1]
        yield state
