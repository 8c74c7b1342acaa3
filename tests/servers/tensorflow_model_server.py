"""A program that is started and asked as `tensorflow_model_server` is; it serves y = scale * x.

No package registry has TensorFlow Serving itself. This one follows its model_servers/main.cc and
server.cc (flags, what ends it and with which words), api_rest.md (model status, metadata and
predict), batching/README.md, TensorFlow's shared_batch_scheduler.h (when a batch is full, ready or
refused) and util/prometheus_exporter.cc. It needs nothing but Python's own library.

Its models have a text of their own as saved_model.pb: JSON with some of the keys of `Model`. It
listens where LISTEN says, on 127.0.0.1 without it, and its gRPC port takes connections only.
"""

import json
import os
import re
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NoReturn

LISTEN = os.environ.get("LISTEN", "127.0.0.1")
CORES = len(os.sched_getaffinity(0))
# main.cc; the type of a value is that of the default.
DEFAULTS: dict[str, Any] = {
    "port": 8500,
    "rest_api_port": 0,
    "rest_api_num_threads": 4 * CORES,
    "model_name": "default",
    "model_base_path": "",
    "enable_batching": False,
    "batching_parameters_file": "",
    "monitoring_config_file": "",
    "platform_config_file": "",
    "max_num_load_retries": 5,
    "file_system_poll_wait_seconds": 1,
    "tensorflow_session_parallelism": 0,
    "tensorflow_intra_op_parallelism": 0,
    "tensorflow_inter_op_parallelism": 0,
    "xla_cpu_compilation_enabled": False,
}
# session_bundle_config.proto: these are messages with a `value`.
BATCHING: dict[str, Any] = {
    "max_batch_size": 1000,
    "batch_timeout_micros": 0,
    "max_enqueued_batches": 10,
    "num_batch_threads": CORES,
}
_PLAIN = ("allowed_batch_sizes", "pad_variable_length_inputs")
_WRAPPED_FIELD = re.compile(r"(\w+)\s*\{\s*value\s*:\s*(\d+)\s*\}")
_PLAIN_FIELD = re.compile(r"(\w+)\s*:\s*(\w+)")
_PATH = re.compile(r"/v1/models/([^/:]+)(?:/versions/\d+)?(/metadata|:predict|)")
FAILURE = 255  # `return -1` of main.cc


class Refused(Exception):  # noqa: N818 - an answer, not an error of the server
    """A request that gets a status other than 200, and the words for it."""

    def __init__(self, status: int, error: str) -> None:
        super().__init__(error)
        self.status = status


@dataclass(frozen=True)
class Model:
    """What saved_model.pb says."""

    scale: float = 2.0
    seconds: float = 0.001  # of an execution, however many rows it has
    sizes: tuple[int, ...] = (-1, 4)  # batches are made where the first one is open
    error: str = ""  # why it cannot be loaded; the server ends then, unless a state is given
    state: str = "AVAILABLE"
    fault: str = ""  # what each prediction is refused with

    def run(self, rows: list[Any]) -> list[Any]:
        time.sleep(self.seconds)
        return [self._scaled(row) for row in rows]

    def _scaled(self, x: Any) -> Any:
        return [self._scaled(each) for each in x] if isinstance(x, list) else self.scale * x


@dataclass
class Counters:
    """Of the page of metrics: counts and sums by name."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    totals: Counter[str] = field(default_factory=Counter)

    def add(self, **amounts: float) -> None:
        with self.lock:
            for name, amount in amounts.items():
                self.totals[name] += amount  # type: ignore[assignment]  # microseconds too

    def page(self, model: str) -> str:
        with self.lock:
            totals = dict(self.totals)
        lines = ["# TYPE :tensorflow:serving:request_count counter"]
        for status in ("OK", "INVALID_ARGUMENT", "UNAVAILABLE"):
            if status in totals:
                labels = f'model_name="{model}",status="{status}"'
                lines.append(f":tensorflow:serving:request_count{{{labels}}} {totals[status]}")
        if "runs" in totals:
            lines.append("# TYPE :tensorflow:serving:batching_session:wrapped_run_count counter")
            lines.append(
                f":tensorflow:serving:batching_session:wrapped_run_count{{}} {totals['runs']}"
            )
            lines += _histogram("queuing_latency", totals["queued"], totals["queued_us"])
            lines += _histogram("processed_batch_size", totals["runs"], totals["processed"])
            lines += _histogram("padding_size", totals["runs"], totals["padding"])
        return "\n".join([*lines, ""])


def _histogram(name: str, count: float, total: float) -> list[str]:
    full = f":tensorflow:serving:batching_session:{name}"
    return [
        f"# TYPE {full} histogram",
        f"{full}_sum{{}} {total}",
        f"{full}_count{{}} {count}",
    ]


@dataclass
class Task:  # a request in the queue
    rows: list[Any]
    since: float
    done: threading.Event = field(default_factory=threading.Event)
    answer: list[Any] = field(default_factory=list)


class Batcher:
    """The queue of one model, and the threads that take batches from it."""

    def __init__(self, parameters: Mapping[str, Any], model: Model, counters: Counters) -> None:
        self._parameters = parameters
        self._model = model
        self._counters = counters
        self._tasks: list[Task] = []
        self._change = threading.Condition()
        for _ in range(parameters["num_batch_threads"]):
            threading.Thread(target=self._work, daemon=True).start()

    def __call__(self, rows: list[Any]) -> list[Any]:
        """What a batch with these rows in it gives for them.

        Raises:
            Refused: They are too many for a batch, or too many requests wait already.
        """
        most = self._parameters["max_batch_size"]
        if len(rows) > most:
            said = f"Task size {len(rows)} is larger than maximum input batch size {most}"
            raise Refused(400, said)
        task = Task(rows, time.perf_counter())
        with self._change:
            waiting = sum(len(each.rows) for each in self._tasks) + len(rows)
            if waiting > most * self._parameters["max_enqueued_batches"]:
                raise Refused(
                    503, "The batch scheduling queue to which this task was submitted is full"
                )
            self._tasks.append(task)
            self._change.notify()
        task.done.wait()
        return task.answer

    def _work(self) -> None:
        while True:
            batch = self._next()
            now = time.perf_counter()
            rows = [row for task in batch for row in task.rows]
            allowed = self._parameters.get("allowed_batch_sizes") or [len(rows)]
            size = next(each for each in allowed if each >= len(rows))
            answers = iter(self._model.run(rows))
            self._counters.add(
                runs=1,
                queued=len(batch),
                queued_us=sum((now - task.since) * 1e6 for task in batch),
                processed=size,
                padding=size - len(rows),
            )
            for task in batch:
                task.answer = [next(answers) for _ in task.rows]
                task.done.set()

    def _next(self) -> list[Task]:
        """The oldest tasks that fit into a batch, once no other fits or the time is over."""
        timeout_s = self._parameters["batch_timeout_micros"] / 1e6
        with self._change:
            while True:
                batch, is_full = self._open_batch()
                left_s = batch[0].since + timeout_s - time.perf_counter() if batch else None
                if batch and (is_full or (left_s or 0.0) <= 0):
                    del self._tasks[: len(batch)]
                    self._change.notify()
                    return batch
                self._change.wait(left_s)

    def _open_batch(self) -> tuple[list[Task], bool]:
        most, rows = self._parameters["max_batch_size"], 0
        for number, task in enumerate(self._tasks):
            rows += len(task.rows)
            if rows > most:
                return self._tasks[:number], True
        return list(self._tasks), rows == most


@dataclass(frozen=True)
class Server:  # what a request needs
    flags: Mapping[str, Any]
    model: Model
    version: str
    counters: Counters
    run: Callable[[list[Any]], list[Any]]
    threads: threading.Semaphore

    def answer(self, method: str, path: str, body: bytes) -> str:
        """The content of an answer.

        Raises:
            Refused: The answer is another one.
        """
        if path == "/monitoring/prometheus/metrics" and self.flags["monitoring_config_file"]:
            return self.counters.page(self.flags["model_name"])
        found = _PATH.fullmatch(path)
        if found is None or (found[2] == ":predict") != (method == "POST"):
            raise Refused(404, f"Malformed request: {method} {path}")
        if found[1] != self.flags["model_name"]:
            raise Refused(404, f"Servable not found for request: Latest({found[1]})")
        if not found[2]:
            return json.dumps(self._status())
        if self.model.state != "AVAILABLE":
            raise Refused(404, f"Servable not found for request: Latest({found[1]})")
        return json.dumps(self._metadata() if found[2] == "/metadata" else self._predict(body))

    def _status(self) -> dict[str, Any]:
        code = "NOT_FOUND" if self.model.error else "OK"
        status = {"error_code": code, "error_message": self.model.error}
        version = {"version": self.version, "state": self.model.state, "status": status}
        return {"model_version_status": [version]}

    def _metadata(self) -> dict[str, Any]:
        shape = {"dim": [{"size": str(size), "name": ""} for size in self.model.sizes]}
        info = {"dtype": "DT_FLOAT", "tensor_shape": {**shape, "unknown_rank": False}}
        signature = {"inputs": {"x": info}, "outputs": {"y": info}, "method_name": "predict"}
        return {"metadata": {"signature_def": {"signature_def": {"serving_default": signature}}}}

    def _predict(self, body: bytes) -> dict[str, Any]:
        try:
            if self.model.fault:
                raise Refused(400, self.model.fault)
            x = json.loads(body)["inputs"]["x"]
            with self.threads:
                y = self.run(x) if self.model.sizes[0] == -1 else self.model.run([x])[0]
        except Refused as refusal:
            self.counters.add(
                **{"UNAVAILABLE" if refusal.status == 503 else "INVALID_ARGUMENT": 1}
            )
            raise
        self.counters.add(OK=1)
        return {"outputs": y}


class Handler(BaseHTTPRequestHandler):
    """Each connection has a thread; how many predict at a time is for the server to say."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    serving: Server

    def do_GET(self) -> None:
        self._respond(b"")

    def do_POST(self) -> None:
        self._respond(self.rfile.read(int(self.headers["Content-Length"])))

    def _respond(self, body: bytes) -> None:
        status = 200
        try:
            content = self.serving.answer(self.command, self.path, body)
        except Refused as refusal:
            status, content = refusal.status, json.dumps({"error": str(refusal)})
        encoded = content.encode()
        head = f"HTTP/1.1 {status} -\r\nContent-Type: application/json\r\n"
        self.wfile.write(f"{head}Content-Length: {len(encoded)}\r\n\r\n".encode() + encoded)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Listener(ThreadingHTTPServer):
    request_queue_size = 128


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - its log


def parsed_flags(arguments: Sequence[str]) -> dict[str, Any]:
    """The values of all flags; an unknown one is named, and that is all (main.cc)."""
    flags = dict(DEFAULTS)
    for argument in arguments:
        name, equals, text = argument.removeprefix("--").partition("=")
        if name not in flags or not argument.startswith("--"):
            say(f"unknown argument: {argument}\nusage: tensorflow_model_server")
            continue
        kind = type(DEFAULTS[name])
        valid = {bool: text in {"true", "false", ""}, int: text.lstrip("-").isdecimal()}
        if not valid.get(kind, bool(equals)):
            say(f"Couldn't interpret value {argument} for flag {name}.")
            raise SystemExit(FAILURE)
        flags[name] = text != "false" if kind is bool else kind(text)
    return flags


def parsed_batching(text: str) -> dict[str, Any]:
    """A `BatchingParameters` in protobuf's text format.

    Raises:
        ValueError: It is none.
    """
    plain = re.sub(r"#.*", "", text)
    found: dict[str, Any] = {n: int(v) for n, v in _WRAPPED_FIELD.findall(plain)}
    rest = _WRAPPED_FIELD.sub("", plain)
    for name, value in _PLAIN_FIELD.findall(rest):
        found[name] = [*found.get(name, []), int(value)] if value.isdecimal() else value
    if not found.keys() <= {*BATCHING, *_PLAIN} or _PLAIN_FIELD.sub("", rest).strip():
        raise ValueError(text)
    return {**BATCHING, **found}


def batching(flags: Mapping[str, Any]) -> dict[str, Any] | None:
    """The parameters to batch with; None without batching (server.cc)."""
    path = flags["batching_parameters_file"]
    if flags["platform_config_file"]:
        return None  # with a configuration of the platform, nobody looks at the flag
    if not flags["enable_batching"]:
        if path:
            fail(
                "INVALID_ARGUMENT: server_options.batching_parameters_file is set without setting "
                "server_options.enable_batching to true."
            )
        return None
    try:
        parameters = parsed_batching(Path(path).read_text() if path else "")
    except (OSError, ValueError):
        fail(f"INVALID_ARGUMENT: Invalid protobuf file: '{path}'")
    sizes = parameters.get("allowed_batch_sizes")
    if sizes and (sizes != sorted(set(sizes)) or sizes[-1] != parameters["max_batch_size"]):
        fail("INVALID_ARGUMENT: Last entry in allowed_batch_sizes must match max_batch_size")
    return parameters


def fail(error: str) -> NoReturn:
    say(f"Failed to start server. Error: {error}")
    raise SystemExit(FAILURE)


def main(arguments: Sequence[str]) -> None:
    flags = parsed_flags(arguments)
    parallelism = [flags[n] for n in DEFAULTS if n.startswith("tensorflow_")]
    if all(parallelism):
        fail("INVALID_ARGUMENT: Either configure server_options.tensorflow_session_parallelism")
    name = flags["model_name"]
    versions = [each for each in Path(flags["model_base_path"]).iterdir() if each.name.isdecimal()]
    version = max(versions, key=lambda each: int(each.name))
    said = json.loads((version / "saved_model.pb").read_text())
    model = Model(**{**said, "sizes": tuple(said.get("sizes", (-1, 4)))})
    parameters = batching(flags)
    servable = f"{{name: {name} version: {version.name}}}"
    if model.error:
        say(f"Servable {servable} cannot be loaded: {model.error}")
        if "state" not in said:
            due = f"{{{servable} due to error: {model.error}}}"
            fail(f"UNKNOWN: 1 servable(s) did not become available: {{{due}, }}")
    else:
        say(f"Successfully loaded servable version {servable}")
    counters = Counters()
    Handler.serving = Server(
        flags,
        model,
        version.name,
        counters,
        Batcher(parameters, model, counters) if parameters else model.run,
        threading.Semaphore(flags["rest_api_num_threads"]),
    )
    with (
        socket.create_server((LISTEN, flags["port"])),
        Listener((LISTEN, flags["rest_api_port"]), Handler) as listener,
    ):
        say(f"Running gRPC ModelServer at {LISTEN}:{flags['port']} ...")
        say(f"Exporting HTTP/REST API at:{LISTEN}:{flags['rest_api_port']} ...")
        listener.serve_forever(poll_interval=0.05)


if __name__ == "__main__":
    main(sys.argv[1:])
