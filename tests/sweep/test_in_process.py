"""A real Triton in the load engine's process: what it is asked, and what becomes of it."""

import shutil
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.runner_tests.waiting import wait_until_gone
from tests.servers import triton
from tuner.errors import InputError, ServerError, ServerMissingError
from tuner.load.in_process.hosted import Question, Subject
from tuner.load.measurement import Measurement
from tuner.load.profile import ClosedLoop, LoadRun
from tuner.load.requests import RequestSet, Tensor
from tuner.protocols.v2 import V2Options
from tuner.protocols.v2_in_process import InProcessWire
from tuner.protocols.v2_wire import WireStep
from tuner.sweep.in_process import InProcessService, InProcessTriton
from tuner.sweep.v2 import V2Form

MODELS = Path(__file__).parents[1] / "models"
SIXTEEN = Tensor("INPUT", "FP32", (16,), bytes(64))
RIGHT = replace(SIXTEEN, name="OUTPUT")


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if missing := triton.missing():
        pytest.skip(missing)
    folder = tmp_path_factory.mktemp("repository")
    shutil.copytree(MODELS / "echo", folder / "echo")
    return folder


@pytest.fixture(scope="module")
def service(repository: Path) -> Iterator[InProcessService]:
    """The model `echo`; one for all tests."""
    with InProcessService(InProcessTriton(repository=repository), "echo", V2Form()) as service:
        yield service
        [pid] = service.engine.pids
        left = [pid, *(each.pid for each in psutil.Process(pid).children(recursive=True))]
        assert len(left) > 1  # the model has a process of its own
    wait_until_gone(left)


def measured(
    service: InProcessService, requests: RequestSet, concurrency: int = 2, **options: Any
) -> Measurement:
    service.engine.prepare(requests)
    run = LoadRun(
        endpoint=service.endpoint,
        profile=ClosedLoop(concurrency),
        duration_s=5.0,
        max_requests=64,
    )
    return service.engine.measure(replace(run, **options))


def requests_of(*steps: WireStep, **options: Any) -> RequestSet:
    return InProcessWire("echo", V2Options(**options)).request_set(steps, inferences=1)


def test_requests_are_answered(service: InProcessService) -> None:
    """Each of them, by the model, whose counters say so; nothing goes over a network."""
    before = service.statistics()
    found = measured(service, service.requests, 8)
    after = service.statistics()
    assert (found.requests, found.errors, found.unanswered) == (64, {}, 0)
    assert found.percentile(50) < 5.0
    assert (found.bytes_sent, found.bytes_received) == (0, 0)
    assert before is not None
    assert after is not None
    assert (after - before).requests == 64


def test_outputs_are_compared(service: InProcessService) -> None:
    """With what is known of them: here every second answer is another one."""
    wrong = replace(RIGHT, data=struct.pack("<16f", *range(16)))
    steps = WireStep((SIXTEEN,), expected=(RIGHT,)), WireStep((SIXTEEN,), expected=(wrong,))
    assert measured(service, requests_of(*steps)).errors == {"wrong_output": 32}


def test_refused_requests_fail_with_the_kind_of_error(service: InProcessService) -> None:
    """What Triton does not take is a failure of that request, and the run goes on."""
    steps = WireStep((SIXTEEN,)), WireStep((replace(SIXTEEN, name="other"),))
    found = measured(service, requests_of(*steps))
    assert (found.requests, found.errors) == (64, {"triton_invalid_argument": 32})


def test_parameters_and_version_are_sent(service: InProcessService) -> None:
    """Parameters of every type are taken; a version that is not there is refused."""
    parameters = {"a": 1, "b": True, "c": 0.5, "d": "text", "timeout": 10**7}
    step = WireStep((SIXTEEN,))
    assert measured(service, requests_of(step, version="1", parameters=parameters)).errors == {}
    assert measured(service, requests_of(step, version="7"), max_requests=4).errors == {
        "triton_not_found": 4
    }


def test_unanswered_requests_time_out(service: InProcessService) -> None:
    """Their lanes are given up, and answers that come too late harm nobody."""
    found = measured(service, service.requests, 64, max_requests=0, timeout_s=1e-9, duration_s=0.3)
    assert found.errors.keys() == {"timeout"}
    assert measured(service, service.requests).errors == {}


def test_questions(service: InProcessService) -> None:
    """A model that is not loaded is unknown, in Triton's words."""
    assert service.engine.ask(Question(Subject.READY, "echo", "1")) == "true"
    with pytest.raises(ServerError, match="Request for unknown model: 'other' is not found"):
        service.engine.ask(Question(Subject.METADATA, "other"))


def opened(triton: InProcessTriton, model: str = "echo") -> None:
    with InProcessService(triton, model, V2Form()):
        raise AssertionError("it was opened")


def test_a_model_that_is_not_there(repository: Path) -> None:
    """Triton starts, and says that it could not load it."""
    with pytest.raises(ServerError) as caught:
        opened(InProcessTriton(repository=repository), "nowhere")
    assert caught.value.message == (
        "Triton could not load the model `nowhere`: it is not in the model repository"
    )
    assert caught.value.hint == (
        "check the name, the model repository, and which backends this Triton has"
    )


def test_no_repository(tmp_path: Path) -> None:
    """Before anything is started, the folder must be there."""
    missing = tmp_path / "missing"
    with pytest.raises(InputError) as caught:
        opened(InProcessTriton(repository=missing))
    assert caught.value.message == f"`{missing}` is no model repository: there is no such folder"
    assert caught.value.hint == "for example: triton-c-api:///srv/models, with three slashes"


def test_no_triton(tmp_path: Path) -> None:
    """A folder that is named as that of a Triton has its library in it."""
    with pytest.raises(ServerMissingError) as caught:
        opened(InProcessTriton(repository=tmp_path, folder=tmp_path))
    assert caught.value.message == (
        f"`{tmp_path}` is no folder of a Triton: libtritonserver.so is not in its `lib`"
    )
    assert caught.value.hint == (
        "name the folder, such as /opt/tritonserver, with `--triton-server-directory`"
    )


def test_a_library_that_is_none(tmp_path: Path) -> None:
    """What cannot be loaded as a library is no Triton either."""
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "libtritonserver.so").write_text("not a library")
    with pytest.raises(ServerMissingError) as caught:
        opened(InProcessTriton(repository=tmp_path, folder=tmp_path))
    assert caught.value.message.startswith("Triton's library cannot be loaded: ")
    assert caught.value.hint == (
        "name the folder of a whole Triton with `--triton-server-directory`"
    )


def test_a_decoupled_model(tmp_path: Path) -> None:
    """What to do instead names nothing that is refused here."""
    if missing := triton.missing():
        pytest.skip(missing)
    shutil.copytree(MODELS / "repeat", tmp_path / "repeat")
    decoupled = InProcessService(InProcessTriton(repository=tmp_path), "repeat", V2Form())
    with pytest.raises(InputError, match="is decoupled") as caught, decoupled:
        pass
    assert caught.value.hint == (
        "Triton's C API is measured with one answer to a request: start a server, and measure it "
        "over gRPC with `--streaming`"
    )
