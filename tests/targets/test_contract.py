"""The contract of all targets, kept by each of them on a server of its own."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from runners.base import PLACEHOLDER
from tests.servers import llama_cpp as llama_server
from tests.servers import torchserve as torchserve_server
from tests.targets.command.test_target import served as command_served
from tests.targets.llama_cpp import llama_cpp_targets
from tests.targets.moody import moody
from tests.targets.served import Served
from tests.targets.tensorflow_serving import tensorflow_serving_targets
from tests.targets.torchserve import torchserve_targets
from tuner.load.client import LoadEngine
from tuner.load.profile import ClosedLoop, LoadRun
from tuner.records import Applied, Grade
from tuner.space.expressions import Value
from tuner.space.space import Configuration, SearchSpace
from tuner.study.deployment import Deployment
from tuner.study.outputs import check_outputs
from tuner.targets.base import Target

_IN_FLIGHT, _REQUESTS = 2, 20

Kept = tuple[Served[Any], Mapping[str, Value]]
"""Who keeps the contract, and what another configuration than the defaults has."""


def triton(folder: Path) -> Kept:
    return moody(folder), {"instance_count": 2, "dynamic_batching": True}


def torchserve(folder: Path) -> Kept:
    if missing := torchserve_server.missing():
        pytest.skip(missing)
    mar = torchserve_targets.archive(folder / "mar")
    return torchserve_targets.served(folder / "served", mar), {"workers": 2, "batch_size": 2}


def tensorflow_serving(folder: Path) -> Kept:
    batching = {"enable_batching": True, "max_batch_size": 8, "batch_timeout_micros": 1000}
    return tensorflow_serving_targets.served(folder), batching


def llama_cpp(folder: Path) -> Kept:
    if missing := llama_server.missing():
        pytest.skip(missing)
    return llama_cpp_targets.served(folder), {"parallel": 2, "cache_ram": 0, "threads_http": 16}


def command(folder: Path) -> Kept:
    return command_served(folder), {"threads": 2, "fast": True, "level": 3}


@dataclass(frozen=True)
class Subject:
    """A target that was staged, and a server of it; `defaults` and `other` are configurations.

    `counts` says whether the server tells how many requests it had.
    """

    target: Target
    space: SearchSpace
    deployment: Deployment
    defaults: Configuration
    other: Configuration
    counts: bool


@pytest.fixture(
    scope="module",
    params=[triton, torchserve, tensorflow_serving, llama_cpp, command],
    ids=lambda server: server.__name__,
)
def subject(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Subject]:
    make: Callable[[Path], Kept] = request.param
    kept, other = make(tmp_path_factory.mktemp(make.__name__))
    counts = make not in (llama_cpp, command)
    with kept.deployment() as deployment:
        yield Subject(
            kept.target,
            kept.space,
            deployment,
            kept.configuration(),
            kept.configuration(**other),
            counts,
        )


def test_a_launch_is_said_and_not_done(subject: Subject) -> None:
    """Asked twice, it is the same; every port that it has is one that the server is told."""
    for configuration in (subject.defaults, subject.other):
        launch = subject.target.launch_spec(configuration)
        assert launch == subject.target.launch_spec(configuration)
        texts = (*launch.command, *launch.environment.values(), *launch.files.values())
        named = {match[1] for text in texts for match in PLACEHOLDER.finditer(text)}
        assert named >= set(launch.ports) != set()


def test_what_parameters_set_is_not_inherited(subject: Subject) -> None:
    """Of the person's environment, the server gets all but the variables of its space."""
    for configuration in (subject.defaults, subject.other):
        assert subject.target.launch_spec(configuration).withheld == subject.space.variables


def test_it_answers_once_applied(subject: Subject) -> None:
    """The fixed input gets the same outputs, however often and at once it is sent."""
    subject.deployment.apply(subject.defaults)
    answers = subject.target.infer(subject.deployment.server, count=3)
    assert len(answers) == 3
    assert answers[0] != ()
    for other in answers[1:]:
        check_outputs(answers[0], other)


def test_every_parameter_has_a_verdict(subject: Subject) -> None:
    """None of what was applied is refuted."""
    for configuration in (subject.other, subject.defaults):
        subject.deployment.apply(configuration)
        verdicts = subject.target.verify(subject.deployment.server, configuration)
        assert verdicts.keys() == configuration.keys()
        assert {v.grade for v in verdicts.values()} <= {Grade.CONFIRMED, Grade.ACCEPTED}


def test_what_it_has_already_is_no_restart(subject: Subject) -> None:
    """A server with a configuration takes the same one as it is."""
    subject.deployment.apply(subject.other)
    assert subject.target.can_reload(subject.other, subject.other)
    assert subject.deployment.apply(subject.other) is Applied.RELOAD


def test_it_answers_the_load_engine(subject: Subject) -> None:
    """The prepared requests are answered without an error, and the server counts them."""
    subject.deployment.apply(subject.defaults)
    server, target = subject.deployment.server, subject.target
    requests = target.requests(server)
    before = target.statistics(server)
    run = LoadRun(
        endpoint=target.endpoint(server),
        profile=ClosedLoop(_IN_FLIGHT),
        duration_s=30.0,
        max_requests=_REQUESTS,
    )
    with LoadEngine() as engine:
        engine.prepare(requests)
        measured = engine.measure(run)
    found = target.statistics(server) - before
    assert measured.errors == {}
    assert measured.requests >= _REQUESTS
    if subject.counts:
        assert found.requests >= _REQUESTS
        assert found.failures == 0


def test_the_load_that_it_takes(subject: Subject) -> None:
    """At least two requests in flight, and a batch of at least one."""
    for configuration in (subject.defaults, subject.other):
        assert subject.target.concurrency(configuration) >= 2
        assert subject.target.largest_batch(configuration) >= 1


def test_each_configuration_has_a_file_of_its_own(subject: Subject) -> None:
    """What deploys one is a text that ends with a line, and no other one's."""
    own, other = map(subject.target.export, (subject.defaults, subject.other))
    assert own != other
    assert own.endswith("\n")
    assert own == subject.target.export(subject.defaults)
