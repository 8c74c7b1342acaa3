"""Models with odd names and two versions on a real Triton: whoever names one gets that one."""

import json
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from time import monotonic, sleep

import numpy as np
import pytest

from runners.base import RunningServer
from tests.clients.v2_calls import X
from tests.servers import triton
from tests.targets.served import HastyRunner
from tests.targets.triton.triton_targets import write_form
from tuner.clients.v2 import V2Control
from tuner.clients.v2_address import V2Address
from tuner.clients.v2_grpc import V2GrpcClient
from tuner.clients.v2_http import V2Client
from tuner.errors import ServerError
from tuner.load.profile import Endpoint
from tuner.protocols.tensors.values import to_array
from tuner.protocols.v2 import V2Options, V2Protocol
from tuner.records import ServerStatistics
from tuner.sweep.v2 import V2Form, V2Service

# All that a part of a path may have as it is, but what a shell would read: the stub of the Python
# backend is started by one.
ODD = "a.b+c@d:e,f=g~h!i-J_0"
# Version 1 doubles its input, version 3 triples it.
POLICIES = {ODD: "all { }", "only_one": "specific { versions: [1] }"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = Path(tempfile.mkdtemp(prefix="versions-", dir=tmp_path_factory.mktemp("triton")))
    repository = folder / "repository"
    for name, policy in POLICIES.items():
        write_form(repository, name, 2.0)
        write_form(folder / "other", name, 3.0)
        (folder / "other" / name / "1").rename(repository / name / "3")
        with (repository / name / "config.pbtxt").open("a") as config:
            config.write(f"version_policy {{ {policy} }}")
    spec = triton.launch_spec(folder, (), explicit=True)
    with HastyRunner(folder / "logs").start(spec) as started:
        yield started


@pytest.fixture(params=V2Protocol)
def address(server: RunningServer, request: pytest.FixtureRequest) -> V2Address:
    endpoint = Endpoint(server.host, server.ports[request.param])
    return V2Address(endpoint, request.param, {})


def factor(control: V2Control, model: str, version: str = "") -> float:
    """What the model multiplies by."""
    [y] = control.infer(model, [X], V2Options(version=version))
    return float(np.mean(to_array(y) / to_array(X)))


def counted(ask: Callable[[], ServerStatistics | None], expected: int) -> int:
    """The requests so far, once they are as many: Triton counts a request after it answered it."""
    deadline = monotonic() + 10
    while True:
        found = ask()
        assert found is not None
        if found.requests >= expected or monotonic() > deadline:
            return found.requests
        sleep(0.01)


def test_answers(address: V2Address) -> None:
    """Requests, readiness, metadata, configuration and statistics are of the version asked for."""
    with address.control() as control:
        before = {v: control.statistics(ODD, v).requests for v in ("1", "3")}
        assert [factor(control, ODD, v) for v in ("1", "3", "")] == [2, 3, 3]
        for version, count in (("1", 1), ("3", 2)):
            expected = before[version] + count
            assert counted(partial(control.statistics, ODD, version), expected) == expected
        assert control.statistics(ODD).requests == before["3"] + 2
        for version in ("1", "3", ""):
            assert control.ready(ODD, version)
            assert control.metadata(ODD, version).inputs[0].name == "x"
            assert control.config(ODD, version)["name"] == ODD
        assert not control.ready(ODD, "2")


def test_one_of_two(address: V2Address) -> None:
    """Where the policy serves an older version only, that one answers who names none."""
    with address.control() as control:
        assert factor(control, "only_one") == 2
        assert control.ready("only_one", "1")
        assert not control.ready("only_one", "3")


def test_measured(address: V2Address) -> None:
    """`tuner measure -x 1` prepares requests for that version, and reads its statistics."""
    form = V2Form(options=V2Options(version="1"))
    with address.control() as control, V2Service(address, ODD, form) as service:
        before = control.statistics(ODD, "1").requests
        factor(control, ODD, "3")
        factor(control, ODD, "1")
        assert counted(service.statistics, before + 1) == before + 1
        sent = service.requests.payloads[0]
        named = f"/v2/models/{ODD}/versions/1/infer" if address.protocol == "http" else ODD
        assert named.encode() in sent


def test_a_version_that_is_not_there(address: V2Address) -> None:
    """A missing version is told of by its number, in the server's words."""
    form = V2Form(options=V2Options(version="2"))
    service = V2Service(address, ODD, form)
    with pytest.raises(ServerError) as caught, service:
        pass
    expected = f"the server does not have version 2 of the model `{ODD}` ready: "
    assert caught.value.message.startswith(expected)


def test_loaded_by_name(server: RunningServer) -> None:
    """A model with an odd name is loaded, listed and unloaded as any other."""
    with V2Client(server.url("http"), timeout_s=60) as http:
        config = {**http.config(ODD), "max_batch_size": 4}
        http.load(ODD, json.dumps(config))
        assert http.config(ODD)["max_batch_size"] == 4
        assert ODD in http.ready_models()
        grpc = V2GrpcClient(Endpoint(server.host, server.ports["grpc"]), timeout_s=60)
        with grpc:
            grpc.load(ODD, json.dumps({**config, "max_batch_size": 8}))
        assert http.config(ODD)["max_batch_size"] == 8
        http.unload("only_one")
        assert http.ready_models() == (ODD,)
        http.load("only_one", json.dumps(http_config("only_one")))


def http_config(name: str) -> dict[str, object]:
    """What the model had at the start."""
    return {
        "name": name,
        "backend": "python",
        "max_batch_size": 8,
        "input": [{"name": "x", "data_type": "TYPE_FP32", "dims": [4]}],
        "output": [{"name": "y", "data_type": "TYPE_FP32", "dims": [4]}],
        "version_policy": {"specific": {"versions": [1]}},
    }
