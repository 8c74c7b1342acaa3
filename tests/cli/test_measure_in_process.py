"""The options of `tuner measure triton-c-api:///MODELS`: what is heeded, and what refused."""

from pathlib import Path
from typing import Any

import pytest

from tests.measuring import Measure
from tests.refusals import refused
from tuner.cli.measure_in_process import REFUSED
from tuner.cli.measure_options import (
    Compression,
    MeasureOptions,
    ServiceKind,
    TensorFormat,
)
from tuner.cli.measure_services import service
from tuner.protocols.v2 import MemoryKind, V2Protocol
from tuner.sweep.in_process import InProcessService, InProcessTriton

URL = "triton-c-api:///srv/my%20models"

# Of each option that is refused, a value that says something.
SAYS: dict[str, object] = {
    "service_kind": ServiceKind.HTTP,
    "protocol": V2Protocol.GRPC,
    "streaming": True,
    "unix_socket": Path("socket"),
    "ca_file": Path("ca.pem"),
    "client_certificate": Path("me.pem"),
    "client_key": Path("me.key"),
    "server_name": "other",
    "no_verify": True,
    "compression": Compression.GZIP,
    "input_tensor_format": TensorFormat.JSON,
    "output_tensor_format": TensorFormat.JSON,
    "header": ["A: b"],
    "rate": "100",
    "ramp": "1:10",
    "request_intervals": Path("intervals"),
    "workers": "auto",
    "shared_memory": MemoryKind.SYSTEM,
    "output_shared_memory_size": 9,
    "collect_metrics": True,
    "metrics_url": "http://127.0.0.1:8002/metrics",
    "metrics_interval": 50.0,
}


def options(**values: Any) -> MeasureOptions:
    return MeasureOptions(**{"url": URL, "model": "m", **values})


def test_what_is_not_supported_has_a_table() -> None:
    """This test knows every option that is refused."""
    assert SAYS.keys() == REFUSED.keys()


@pytest.mark.parametrize("option", REFUSED)
def test_what_is_not_supported_is_refused(option: str) -> None:
    """In words, with what to do instead; perf_analyzer's manual names rates and shared memory."""
    message = f"`--{option.replace('_', '-')}` means nothing to `triton-c-api://`"
    with refused(message, REFUSED[option]):
        service(options(**{option: SAYS[option]}))


@pytest.mark.parametrize(
    "url",
    ["triton-c-api://models", "triton-c-api:models", "triton-c-api:///models?x", "triton-c-api:"],
)
def test_urls_that_name_no_folder(measure: Measure, url: str) -> None:
    """A model repository is named by its whole path."""
    assert measure.refusal(url, "-m", "m") == (
        f"a URL of a model repository was expected, but got `{url}`",
        "three slashes, then the whole path: triton-c-api:///srv/models",
    )


def test_the_folder_of_another_triton_is_for_this_alone(measure: Measure) -> None:
    """A server that runs has chosen its library itself."""
    url = "http://127.0.0.1:9"
    given = ("--triton-server-directory", "/opt/tritonserver")
    assert measure.refusal(url, "-m", "m", *given) == (
        f"`--triton-server-directory` means nothing to `{url}`",
        "it is for triton-c-api:///MODEL_REPOSITORY: leave it out",
    )


def test_what_is_heeded() -> None:
    """The folders, the CPUs of the process, and what V2 requests carry."""
    given = options(
        triton_server_directory=Path("/opt/tritonserver"), engine_cpus="0", batch=3,
        input_data=["zero"], model_version="2", request_parameter=["a:1:int"],
    )  # fmt: skip
    found = service(given)
    assert isinstance(found, InProcessService)
    assert found._triton == InProcessTriton(
        repository=Path("/srv/my models"), folder=Path("/opt/tritonserver"), cpus=frozenset({0})
    )
    form = found._form
    assert (form.batch, form.sources, form.options.version) == (3, ("zero",), "2")
    assert form.options.parameters == {"a": 1}


def test_a_version_that_is_no_number(measure: Measure) -> None:
    """Versions are folders with numbers."""
    assert measure.refusal(URL, "-m", "m", "-x", "one") == (
        "`--model-version` must be a whole number, but got `one`",
        "name a folder of the model, such as 1",
    )
