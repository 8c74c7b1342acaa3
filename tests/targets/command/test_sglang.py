"""The space of SGLang against what SGLang was seen to answer; recorded_sglang.json says where."""

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from runners.base import RunningServer
from tests.targets.served import HastyRunner
from tuner.errors import ServerError
from tuner.records import Grade, SettingVerdict
from tuner.space import spec
from tuner.space.expressions import Value
from tuner.space.resolution import resolve
from tuner.space.space import Configuration, SearchSpace
from tuner.targets.base import ModelSource, TargetSetup
from tuner.targets.command.model import open_model
from tuner.targets.command.prompted import target_of
from tuner.targets.command.target import CommandTarget
from tuner.targets.request_form import RequestForm

HERE = Path(__file__).parent
RECORDED: Mapping[str, Any] = json.loads((HERE / "recorded_sglang.json").read_text())
FACTS = {"cores": 2, "gpus": 8}


@dataclass(frozen=True)
class Answering:
    """A server that gives a recorded answer, and the target that looks into it."""

    target: CommandTarget
    space: SearchSpace
    server: RunningServer

    def verdicts(self, configuration: Configuration) -> Mapping[str, SettingVerdict]:
        return self.target.verify(self.server, configuration)


@contextmanager
def answering(folder: Path, answer: Mapping[str, Any]) -> Iterator[Answering]:
    # As SGLang writes it: without spaces.
    said = json.dumps(answer, separators=(",", ":"))
    (folder / "pages.json").write_text(json.dumps({"/server_info": said}))
    read = spec.load_space(spec.built_in()["sglang"])
    assert read.serve
    words = [sys.executable, "-I", "-S", str(HERE / "pages.py"), str(folder / "pages.json")]
    serve = read.serve.model_copy(update={"command": [*words, "{address}", "{port:http}"]})
    model = open_model(ModelSource(serve=serve, space_file=Path("sglang")))
    space = model.adapt(resolve(read, FACTS), contained=False)
    target = target_of(model, space, TargetSetup(workspace=folder, form=RequestForm()))
    with HastyRunner(folder / "logs").start(target.launch_spec(space.defaults)) as server:
        yield Answering(target, space, server)


def each_value(space: SearchSpace) -> Iterator[Configuration]:
    """Configurations that have every value of every parameter, whatever the rules say."""
    choices = {p.name: p.choices or () for p in space.parameters}
    for number in range(max(map(len, choices.values()))):
        yield space.activate({name: c[number % len(c)] for name, c in choices.items()})


@pytest.mark.parametrize("name", RECORDED)
def test_what_was_recorded(tmp_path: Path, name: str) -> None:
    """What the server ran with is confirmed, and each other value is contradicted."""
    recorded = RECORDED[name]
    ran: Mapping[str, Value] = recorded["ran"]
    found: dict[tuple[str, Value], Grade] = {}
    with answering(tmp_path, recorded["answer"]) as server:
        for configuration in each_value(server.space):
            verdicts = server.verdicts(configuration)
            found |= {(n, value): verdicts[n].grade for n, value in configuration.items()}

    def expected(name: str, value: Value) -> Grade:
        if value == server.space[name].sets.omit:
            return Grade.ACCEPTED
        return Grade.CONFIRMED if ran.get(name) == value else Grade.REFUTED

    assert found == {each: expected(*each) for each in found}
    assert found.keys() == {(p.name, c) for p in server.space.parameters for c in p.choices or ()}


def test_fewer_requests_than_were_asked_for(tmp_path: Path) -> None:
    """What the scheduler took counts, not what is shown of the flag: sgl-project/sglang#38846."""
    asked = {"max_running_requests": 32}
    state = {**asked, "effective_max_running_requests_per_dp": 9}
    with answering(tmp_path, {**asked, "internal_states": [state]}) as server:
        verdict = server.verdicts(server.space.activate(asked))["max_running_requests"]
    assert verdict.grade is Grade.REFUTED
    assert verdict.found == (
        "the answer to GET /server_info#/internal_states does not say "
        '`"effective_max_running_requests_per_dp":32`'
    )


def test_an_answer_without_states(tmp_path: Path) -> None:
    """What was asked for proves nothing where no scheduler says what it runs with."""
    with answering(tmp_path, {"chunked_prefill_size": 2048}) as server:
        configuration = server.space.activate({"chunked_prefill_size": 2048})
        said = "GET /server_info: there is no `/internal_states` in the answer"
        with pytest.raises(ServerError, match=said):
            server.verdicts(configuration)


@pytest.mark.parametrize(("policy", "rules"), [("lpm", 1), ("dfs-weight", 1), ("lof", 0)])
def test_a_policy_that_needs_the_cache(policy: str, rules: int) -> None:
    """Without its cache, SGLang would serve by arrival, and show the policy all the same."""
    space = resolve(spec.load_space(spec.built_in()["sglang"]), FACTS)
    configuration = space.activate({"schedule_policy": policy, "radix_cache": False})
    assert len(space.violations(configuration)) == rules
