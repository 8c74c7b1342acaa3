"""A server with OpenAI's interface that only a space file describes, on a real llama.cpp."""

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runners.remote import RemoteServer
from tests.servers import llama_cpp, openai_server
from tests.targets.served import Served
from tuner.cli.prompt_forms import openai_form
from tuner.cli.prompt_options import PromptOptions
from tuner.errors import InputError, ServerError
from tuner.load.client import LoadEngine
from tuner.load.profile import ClosedLoop, LoadRun
from tuner.protocols.openai_task import Task
from tuner.space import spec
from tuner.space.resolution import resolve
from tuner.study.outputs import check_outputs
from tuner.targets.base import ModelSource, TargetSetup
from tuner.targets.command.model import CommandModel, open_model
from tuner.targets.command.prompted import target_of
from tuner.targets.command.target import CommandTarget
from tuner.targets.process_proofs import ACCEPTED, CONFIRMED, refuted
from tuner.targets.request_form import RequestForm
from tuner.workload.lengths import Constant
from tuner.workload.synthetic import SyntheticForm

FACTS = {"cores": 2}
SERVE: Mapping[str, Any] = {
    "command": [
        *(
            sys.executable,
            "-m",
            "tuner.targets.llama_cpp.programs.server",
            "--model",
            "{{ model }}",
        ),
        *("--host", "{address}", "--port", "{port:http}", "--metrics", "--threads", "1"),
        *("--ctx-size", "4096"),
    ],
    "openai": {"task": "chat"},
    "ready": "/health",
    "proofs_at": {"/props": {"slots": '"total_slots":{{ slots }}'}},
}
PARAMETERS = {
    "slots": {
        "type": "int",
        "low": 1,
        "high": 4,
        "default": 1,
        "sets": {"flag": "--parallel", "form": "words"},
    },
}
# Short prompts and answers: what is asked is the point, not how fast it is answered.
OUTPUT_TOKENS = 4
MADE_UP = SyntheticForm(prompt=Constant(24), output=Constant(OUTPUT_TOKENS), count=2)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model."""
    if missing := llama_cpp.missing():
        pytest.skip(missing)
    from tests.servers import tiny_gguf  # it needs what may be missing

    return tiny_gguf.write(tmp_path_factory.mktemp("weights") / "tiny.gguf")


def opened(folder: Path, weights: Path | str, **changes: Any) -> tuple[CommandModel, Any]:
    """The model that a space file in `folder` describes, and its space."""
    file = folder / "mine.yaml"
    content = {"server": "command", "serve": {**SERVE, **changes}, "parameters": PARAMETERS}
    file.write_text(json.dumps(content))  # JSON is YAML
    read = spec.load_space(file)
    source = ModelSource(serve=read.serve, space_file=file, name=str(weights))
    model = open_model(source)
    return model, model.adapt(resolve(read, FACTS), contained=False)


def served(folder: Path, weights: Path, **changes: Any) -> Served[CommandTarget]:
    """The same as a target."""
    model, space = opened(folder, weights, **changes)
    asked = RequestForm()
    asked = replace(asked, prompts=replace(asked.prompts, synthetic=MADE_UP))
    setup = TargetSetup(workspace=folder, form=model.fit_form(asked), start_timeout_s=20.0)
    return Served(target_of(model, space, setup), space, folder)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, weights: Path) -> Iterator[Any]:
    """A target with a server that has two slots."""
    mine = served(tmp_path_factory.mktemp("prompted"), weights)
    with mine.deployment() as deployment:
        deployment.apply(mine.configuration(slots=2))
        yield mine, deployment.server


def test_prompts_are_asked(running: Any) -> None:
    """Requests are those of the options, counted by the server, and answered with tokens."""
    mine, server = running
    requests = mine.target.requests(server)
    assert len(requests.payloads) == MADE_UP.count
    assert requests.serials
    with LoadEngine() as engine:
        engine.prepare(requests)
        run = LoadRun(
            endpoint=mine.target.endpoint(server),
            profile=ClosedLoop(1),
            duration_s=20.0,
            max_requests=3,
        )
        measurement = engine.measure(run)
    assert measurement.errors == {}
    assert measurement.tokens
    assert measurement.tokens.output == 3 * OUTPUT_TOKENS


def test_what_is_not_counted(running: Any) -> None:
    """A page of metrics without preemptions says nothing of them."""
    mine, server = running
    assert mine.target.statistics(server).preemptions is None


def test_what_the_server_did_not_take(tmp_path: Path) -> None:
    """It is told once its requests were made."""
    model, space = opened(tmp_path, "tiny")
    asked = RequestForm()
    asked = replace(asked, prompts=replace(asked.prompts, synthetic=MADE_UP))
    setup = TargetSetup(workspace=tmp_path, form=model.fit_form(asked))
    target = target_of(model, space, setup)
    assert target.remarks == ()
    with openai_server.serving(unknown=("ignore_eos",), counts=False) as server:
        target.requests(RemoteServer("127.0.0.1", {"http": server.port}))
    remarks: tuple[str, ...] = target.remarks
    estimated, eos = remarks
    assert eos.startswith("the server does not know `ignore_eos`")
    assert estimated.startswith("the tokens of prompts are counted by an estimate")


def test_what_is_compared(running: Any) -> None:
    """Log probabilities after each of the texts, the same each time."""
    mine, server = running
    first, second = mine.target.infer(server, count=2)
    assert [tensor.name for tensor in first] == [f"logprobs after text {n}" for n in range(1, 5)]
    check_outputs(first, second)


def test_a_value_that_an_answer_proves(running: Any) -> None:
    """What the server says at a path confirms a value, or refutes it."""
    mine, server = running
    assert mine.target.verify(server, mine.configuration(slots=2)) == {"slots": CONFIRMED}
    said = refuted('the answer to GET /props does not say `"total_slots":3`')
    assert mine.target.verify(server, mine.configuration(slots=3)) == {"slots": said}


def test_a_path_that_is_not_there(tmp_path: Path, weights: Path, running: Any) -> None:
    """No proof can be had of it: that is said."""
    _, server = running
    other = served(tmp_path, weights, proofs_at={"/nowhere": {"slots": "{{ slots }}"}})
    with pytest.raises(ServerError, match="GET /nowhere was answered with 404"):
        other.target.verify(server, other.configuration(slots=2))


def test_what_nobody_set_is_not_proved(tmp_path: Path, weights: Path, running: Any) -> None:
    """Where a value is left out, the server decides: there is nothing to compare."""
    mine, server = running
    slots = mine.space["slots"]
    omit = replace(slots, sets=replace(slots.sets, omit=2))
    space = replace(mine.space, parameters=(omit,))
    target = target_of(mine.target._model, space, mine.target._setup)
    assert target.verify(server, space.activate({"slots": 2})) == {"slots": ACCEPTED}


class TestModel:
    def test_a_folder_or_file_is_given_in_full(self, tmp_path: Path) -> None:
        """The server finds it wherever it starts, and a container sees it."""
        (tmp_path / "tiny").mkdir()
        model, space = opened(tmp_path, tmp_path / "tiny")
        target = target_of(model, space, TargetSetup(workspace=tmp_path, form=RequestForm()))
        launch = target.launch_spec(space.defaults)
        assert launch.command[4] == str(tmp_path / "tiny")
        assert launch.reads == (tmp_path, tmp_path / "tiny")
        assert model.name == "tiny"

    def test_a_name_stays_one(self, tmp_path: Path) -> None:
        """What is no path is what the server knows the model by."""
        model, space = opened(tmp_path, "org/tiny")
        assert model.filled(space, space.defaults).command[4] == "org/tiny"
        assert model.reads == ()

    def test_none_is_named(self, tmp_path: Path) -> None:
        """A file that serves what is named needs a name."""
        with pytest.raises(InputError, match="serves the model that `--model` names"):
            opened(tmp_path, "")

    def test_another_model_is_another_study(self, tmp_path: Path) -> None:
        """The fingerprint has the whole name of a model that only the server finds."""
        names = ("a/b", "a/c", "c/b")
        assert len({opened(tmp_path, name)[0].fingerprint for name in names}) == 3


class TestForm:
    @pytest.mark.parametrize(
        ("task", "said", "expected"),
        [
            ("completions", None, Task.COMPLETIONS),
            ("chat", Task.COMPLETIONS, Task.COMPLETIONS),
            ("embeddings", None, Task.EMBEDDINGS),
            ("embeddings", Task.CHAT, Task.CHAT),
        ],
    )
    def test_the_task(self, tmp_path: Path, task: str, said: Task | None, expected: Task) -> None:
        """It is what the option says; without it, what the file says."""
        model, _ = opened(tmp_path, "tiny", openai={"task": task})
        form = RequestForm()
        prompts = openai_form(PromptOptions(task=said))
        fitted = model.fit_form(replace(form, prompts=prompts))
        assert fitted.asks
        assert fitted.prompts.options.task is expected
        assert fitted.prompts.options.streaming is expected.generates

    def test_bodies_mean_nothing(self, tmp_path: Path) -> None:
        """Who asks prompts sends no bodies of one's own."""
        model, _ = opened(tmp_path, "tiny")
        with pytest.raises(
            InputError, match="a server of language models, which is asked prompts"
        ):
            model.fit_form(RequestForm(bodies=(b"a",)))


def test_what_only_proofs_need_is_not_deployed(tmp_path: Path) -> None:
    """Variables that make a server show its settings are no part of what is handed over."""
    model, space = opened(tmp_path, "tiny", proof_environment={"DEV_MODE": "1"})
    target = target_of(model, space, TargetSetup(workspace=tmp_path, form=RequestForm()))
    assert target.launch_spec(space.defaults).environment == {"DEV_MODE": "1"}
    assert "DEV_MODE" not in target.export(space.defaults)


def test_a_start_that_takes_long(tmp_path: Path) -> None:
    """What the file says of a start counts where the option says less."""
    model, space = opened(tmp_path, "tiny", start_timeout="15m")
    for allowed_s, expected_s in ((120.0, 900.0), (3600.0, 3600.0)):
        setup = TargetSetup(workspace=tmp_path, form=RequestForm(), start_timeout_s=allowed_s)
        assert target_of(model, space, setup).start_timeout_s == expected_s
