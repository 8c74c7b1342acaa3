"""Any server at all: what a space file describes is started, asked, proved and exported."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from runners.ports import choose_free_ports
from tests.runner_tests.contract import SCRIPT
from tests.runner_tests.waiting import wait_until
from tests.targets.served import Served
from tuner.errors import (
    InputError,
    ModelError,
    Reason,
    ServerTimeoutError,
    SpaceError,
    TrialFailure,
)
from tuner.load.requests import Tensor
from tuner.records import Applied, Grade, SettingVerdict
from tuner.space import spec
from tuner.space.resolution import resolve
from tuner.space.settings import ConfigPath, ServerFlag
from tuner.space.space import SearchSpace
from tuner.targets.base import ModelSource, TargetSetup
from tuner.targets.catalog import server_kind
from tuner.targets.command.model import CommandModel, open_model
from tuner.targets.command.target import CommandTarget
from tuner.targets.process_proofs import ACCEPTED, CONFIRMED, refuted
from tuner.targets.request_form import RequestForm

FACTS = {"cores": 2}
WISHES = {"address": "{address}", "ports": ["{port:http}"], "say": "threads={{ threads }}\n"}
SERVE: Mapping[str, Any] = {
    "command": [sys.executable, "-I", "-S", str(SCRIPT), json.dumps(WISHES), "{folder}/a.conf"],
    "environment": {"MODEL": "m{{ threads }}"},
    "files": {"a.conf": "port {port:http}\nthreads {{ threads }}\nfast {{ fast }}\n"},
    "ready": "/health",
    "request": {"path": "/predict", "body": "[1]"},
}
PARAMETERS = {
    "threads": {"type": "int", "low": 1, "high": 4, "default": 1, "sets": {"template": "threads"}},
    "fast": {"type": "boolean", "default": False, "sets": {"template": "fast"}},
    "level": {"type": "int", "low": 1, "high": 3, "default": 1, "sets": {"flag": "--level"}},
    "omp": {
        "type": "int",
        "low": 1,
        "high": 2,
        "default": 1,
        "sets": {"environment": ["OMP_NUM_THREADS"]},
    },
}


def opened(folder: Path, **changes: Any) -> tuple[CommandModel, SearchSpace]:
    """The model that a space file in `folder` describes, and its space."""
    file = folder / "mine.yaml"
    serve = {**SERVE, **changes}
    content = {"server": "command", "serve": serve, "parameters": PARAMETERS}
    file.write_text(json.dumps(content))  # JSON is YAML
    read = spec.load_space(file)
    model = open_model(ModelSource(serve=read.serve, space_file=file))
    return model, model.adapt(resolve(read, FACTS), contained=False)


def served(folder: Path, *, start_timeout_s: float = 5.0, **changes: Any) -> Served[CommandTarget]:
    """The same as a target."""
    model, space = opened(folder, **changes)
    setup = TargetSetup(workspace=folder, form=RequestForm(), start_timeout_s=5.0)
    return Served(CommandTarget.of(model, space, setup), space, folder)


class TestLaunch:
    def test_of_a_configuration(self, tmp_path: Path) -> None:
        """Values go into templates, variables and flags; placeholders stay for the runner."""
        mine = served(tmp_path)
        launch = mine.target.launch_spec(mine.configuration(threads=3, level=2))
        assert launch.command[-1] == "--level=2"
        assert '"say": "threads=3\\n"' in launch.command[4]
        assert launch.environment == {"MODEL": "m3", "OMP_NUM_THREADS": "1"}
        assert launch.files == {"a.conf": "port {port:http}\nthreads 3\nfast false\n"}
        assert launch.ports == ("http",)
        assert launch.working_directory == tmp_path
        assert launch.reads == (tmp_path,)

    def test_a_flag_that_is_left_out(self, tmp_path: Path) -> None:
        """At `omit`, the server gets no flag at all."""
        mine = served(tmp_path)
        omit = replace(mine.space["level"], sets=ServerFlag("--level", omit=1))
        others = (p for p in mine.space.parameters if p.name != "level")
        space = replace(mine.space, parameters=(*others, omit))
        setup = TargetSetup(workspace=tmp_path, form=RequestForm())
        target = CommandTarget.of(mine.target._model, space, setup)
        without, with_flag = (
            target.launch_spec(space.activate({"level": level})).command for level in (1, 2)
        )
        assert with_flag == (*without, "--level=2")

    def test_further_ports(self, tmp_path: Path) -> None:
        """Every port that is named gets a number."""
        mine = served(tmp_path, environment={"METRICS": "{port:metrics}"})
        assert mine.target.launch_spec(mine.space.defaults).ports == ("http", "metrics")


class TestApply:
    def test_every_configuration_is_a_start(self, tmp_path: Path) -> None:
        """The server answers once it was applied; another configuration is another server."""
        mine = served(tmp_path)
        with mine.deployment() as deployment:
            deployment.apply(mine.space.defaults)
            first = deployment.server.pid
            [outputs] = mine.target.infer(deployment.server)
            assert outputs[0].data.endswith(b"ready")
            other = mine.configuration(threads=2)
            assert deployment.apply(other) is Applied.RESTART
            assert deployment.server.pid != first

    def test_never_ready(self, tmp_path: Path) -> None:
        """A server without success at its path is given up, with what it answered."""
        mine = served(tmp_path, command=[sys.executable, "-m", "http.server", "{port:http}"])
        # --level is no flag of that server.
        assert mine.failure().reason is Reason.START_FAILED
        server = [sys.executable, "-m", "http.server", "{port:http}", "--bind", "{address}", "--"]
        plain = served(tmp_path, command=[sys.executable, "-c", _ONLY_404, *server])
        failure = plain.failure()
        assert failure.reason is Reason.START_TIMEOUT
        assert "GET /health must answer with success, but: status 404" in str(failure)

    def test_echoes_of_the_request(self, tmp_path: Path) -> None:
        """The port in an answer is another one at each start, and means nothing."""
        mine = served(tmp_path, command=[sys.executable, "-c", _SLOW, "{port:http}"])
        answers: list[tuple[Tensor, ...]] = []
        for _ in range(2):
            with mine.deployment() as deployment:
                deployment.apply(mine.space.defaults)
                answers += mine.target.infer(deployment.server)
        assert answers[0] == answers[1]
        assert b"http://ADDRESS/predict late" in answers[0][0].data

    def test_a_first_answer_that_takes_too_long(self, tmp_path: Path) -> None:
        """The message names the option that gives it more time."""
        mine = served(tmp_path, command=[sys.executable, "-c", _SLOW, "{port:http}"])
        with mine.deployment() as deployment:
            deployment.apply(mine.space.defaults)
            client = mine.target._client(deployment.server, timeout_s=0.1)
            with client, pytest.raises(TrialFailure) as caught:
                mine.target._first_outputs(client, asked="request")
        assert caught.value.reason is Reason.NOT_READY
        assert str(caught.value) == (
            "the first request failed: POST /predict: no answer within 0.1 s; a longer "
            "`--start-timeout` gives it more time"
        )

    def test_slow_answers(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The first answer shows how long the others may take."""
        monkeypatch.setattr("tuner.targets.base.ANSWER_TIMEOUT_S", 0.1)
        server = [sys.executable, "-c", _SLOW, "{port:http}"]
        mine = served(tmp_path, command=server)
        with mine.deployment() as deployment:
            deployment.apply(mine.space.defaults)
            [outputs] = mine.target.infer(deployment.server)
            assert outputs[0].data.endswith(b"late")
            mine.target._answer_s = 0.0
            with pytest.raises(ServerTimeoutError, match=r"no answer within 0\.1 s"):
                mine.target.infer(deployment.server)


_SLOW = """
import sys, time, http.server as h
class Handler(h.BaseHTTPRequestHandler):
    def do_GET(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        time.sleep(0.3 * (self.command == "POST"))
        answer = f"http://{self.headers['Host']}{self.path} late".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
    do_POST = do_GET
h.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
_ONLY_404 = (
    "import sys, http.server as h\n"
    "h.HTTPServer(('127.0.0.1', int(sys.argv[4])), h.SimpleHTTPRequestHandler).serve_forever()\n"
)


class TestVerify:
    def test_without_a_proof(self, tmp_path: Path) -> None:
        """What nobody can look up is accepted; variables are compared in the processes."""
        mine = served(tmp_path)
        assert set(mine.verdicts(mine.configuration()).values()) == {ACCEPTED}

    @pytest.mark.parametrize(
        ("proof", "verdict"),
        [
            ("threads={{ threads }}", CONFIRMED),
            ("workers={{ threads }}", refuted("the log does not say `workers=2`")),
        ],
    )
    def test_what_the_log_must_say(
        self, tmp_path: Path, proof: str, verdict: SettingVerdict
    ) -> None:
        """A proof is a text with the value in it, which the server's log has or has not."""
        mine = served(tmp_path, proofs={"threads": proof})
        assert mine.verdicts(mine.configuration(threads=2))["threads"] == verdict

    def test_a_proof_is_a_whole_word(self, tmp_path: Path) -> None:
        """A part of a word proves nothing, and neither does no text at all."""
        mine = served(tmp_path, proofs={"threads": "hreads={{ threads }}", "fast": " "})
        verdicts = mine.verdicts(mine.configuration(threads=2))
        assert verdicts["threads"].grade is Grade.REFUTED
        assert verdicts["fast"].grade is Grade.ACCEPTED

    def test_a_value_that_no_template_takes(self, tmp_path: Path) -> None:
        """A template that fails for one configuration fails that trial, not the study."""
        mine = served(tmp_path, environment={"SHARE": "{{ 4 // (2 - threads) }}"})
        configuration = mine.configuration(threads=2)
        failure = mine.failure(configuration)
        assert failure.reason is Reason.INVALID_CONFIGURATION
        assert "serve.environment.SHARE: cannot be filled in: integer division" in str(failure)
        exported = mine.target.export(configuration)
        assert exported.startswith("# this configuration cannot be started: serve.environment")


class TestExport:
    def test_started_by_hand(self, tmp_path: Path) -> None:
        """The exported script writes the files and starts the same server."""
        mine = served(tmp_path)
        script = tmp_path / "serve.sh"
        script.write_text(mine.target.export(mine.configuration(threads=3)))
        [port] = choose_free_ports(["http"]).values()
        environment = {**os.environ, "PORT_HTTP": str(port), "FOLDER": str(tmp_path)}
        command = ["sh", str(script)]
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        with subprocess.Popen(
            command, env=environment, stderr=subprocess.PIPE, cwd=elsewhere
        ) as process:
            try:
                wait_until(lambda: _answers(port))
            finally:
                process.terminate()
            assert process.stderr is not None
            assert process.stderr.read() == b"threads=3\n"
        assert (tmp_path / "a.conf").read_text() == f"port {port}\nthreads 3\nfast false\n"

    def test_a_port_must_be_given(self, tmp_path: Path) -> None:
        """Without a port the script says what it needs."""
        mine = served(tmp_path)
        script = tmp_path / "serve.sh"
        script.write_text(mine.target.export(mine.space.defaults))
        ended = subprocess.run(["sh", str(script)], capture_output=True, check=False)
        assert ended.returncode != 0
        assert b"PORT_HTTP" in ended.stderr


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/", trust_env=False).is_success
    except httpx.HTTPError:
        return False


class TestRefusals:
    @pytest.mark.parametrize(
        ("changes", "error", "message"),
        [
            (
                {"environment": {"A": "{{ treads }}"}},
                SpaceError,
                "serve.environment.A: cannot be filled in: 'treads' is undefined",
            ),
            (
                {"files": {"a": "{% if %}"}},
                SpaceError,
                "serve.files.a: cannot be filled in: Expected an expression, got 'end",
            ),
            (
                {"command": ["{{ threads.__class__ }}"]},
                SpaceError,
                "serve.command[0]: cannot be filled in: access to attribute '__class__' of",
            ),
            (
                {"proofs": {"treads": "a"}},
                SpaceError,
                "serve.proofs.treads: there is no such parameter",
            ),
            (
                {"files": {"a": "{{ threads // 0 }}"}},
                SpaceError,
                "serve.files.a: cannot be filled in: integer division or modulo by zero",
            ),
            (
                {"files": {"a/b": ""}},
                SpaceError,
                "serve: a name in `files` must be that of a file, but got 'a/b'",
            ),
            ({"command": [""]}, SpaceError, "serve: `command` must name a program, but got ('',)"),
            (
                {"environment": {"A-B": ""}},
                SpaceError,
                "serve.environment: `A-B` is no name of a variable",
            ),
            (
                {"request": {"path": "predict"}},
                InputError,
                "requests cannot have the path `predict`",
            ),
            ({"reads": ["model.bin"]}, ModelError, "model.bin: is named in `serve`, but is not"),
            (
                {"request": {"path": "/", "body_files": ["a.json"]}},
                InputError,
                "serve.request.body_files: a.json cannot be read: No such file or directory",
            ),
        ],
    )
    def test_what_cannot_be_used(
        self, tmp_path: Path, changes: dict[str, Any], error: type[InputError], message: str
    ) -> None:
        """A description that does not hold together is refused before anything starts."""
        with pytest.raises(error) as caught:
            opened(tmp_path, **changes)
        assert message in str(caught.value)

    def test_other_settings(self, tmp_path: Path) -> None:
        """A field of a model's configuration means nothing here."""
        model, space = opened(tmp_path)
        other = replace(space["threads"], sets=ConfigPath("instance_group[0].count"))
        with pytest.raises(SpaceError, match="a server of your own has no `config`"):
            model.adapt(replace(space, parameters=(other,)), contained=False)

    def test_no_description(self, tmp_path: Path) -> None:
        """Without a space file there is nothing to start; a folder of models has no meaning."""
        with pytest.raises(InputError, match="described by the section `serve` of a space file"):
            open_model(ModelSource())
        model, _ = opened(tmp_path)
        source = ModelSource(serve=model.serve, space_file=tmp_path / "mine.yaml", folder=tmp_path)
        with pytest.raises(InputError, match="`--model-repository` means nothing"):
            open_model(source)

    def test_requests_elsewhere(self, tmp_path: Path) -> None:
        """What is sent is said in the space file, and only there."""
        model, _ = opened(tmp_path)
        model.fit_form(server_kind("command").fit_form(RequestForm()))
        with pytest.raises(InputError, match="means nothing to a server that a space file"):
            model.fit_form(RequestForm(bodies=(b"a",)))


def test_the_fingerprint_follows_the_files(tmp_path: Path) -> None:
    """Another description, another body or another model file is another model."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights").write_text("1")
    seen = {opened(tmp_path, reads=["model"])[0].fingerprint for _ in range(2)}
    assert len(seen) == 1
    (tmp_path / "model" / "weights").write_text("2")
    seen.add(opened(tmp_path, reads=["model"])[0].fingerprint)
    seen.add(opened(tmp_path, reads=["model"], request={"path": "/"})[0].fingerprint)
    assert len(seen) == 3
