"""The servers that can be tuned."""

import pytest

from tests.refusals import refused
from tuner.errors import InputError
from tuner.space import spec
from tuner.targets.catalog import SERVERS, server_kind
from tuner.targets.llama_cpp.target import LlamaCppTarget
from tuner.targets.request_form import RequestForm
from tuner.targets.tensorflow_serving.target import TensorFlowServingTarget
from tuner.targets.torchserve.target import TorchServeTarget
from tuner.targets.triton.ensemble_target import target_of
from tuner.targets.triton.target import TritonTarget

TENSORS, BODIES = RequestForm(batch=2), RequestForm(bodies=(b"[1]",))


def test_every_server_has_a_space() -> None:
    """Each kind that is known has a space of its name; others are called after a backend too.

    A server that only a space starts gives that its name.
    """
    assert SERVERS.keys() - {"command"} <= spec.built_in().keys()
    for name, path in spec.built_in().items():
        space = spec.load_space(path)
        assert name == space.server or name.startswith(f"{space.server}_") or space.serve


@pytest.mark.parametrize("name", SERVERS)
def test_a_server_by_its_name(name: str) -> None:
    """A kind is found by what it calls itself, and exports a file of a name of its own."""
    assert server_kind(name) is SERVERS[name]
    assert server_kind(name).name == name
    others = {kind.configuration_file for kind in SERVERS.values() if kind.name != name}
    assert server_kind(name).configuration_file not in others


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("torchserv", "did you mean `torchserve`?"),
        ("Triton", "did you mean `triton`?"),
        ("vllm", "a space starts it: `--space vllm`"),
        ("", "known: " + ", ".join(f"`{name}`" for name in SERVERS)),
    ],
)
def test_a_name_that_is_none(name: str, hint: str) -> None:
    """An unknown server is refused, with what was perhaps meant."""
    with refused(f"`{name}` is no server that can be tuned", hint):
        server_kind(name)


@pytest.mark.parametrize(
    ("name", "good", "bad", "message"),
    [
        ("triton", TENSORS, BODIES, "Triton, which takes tensors"),
        ("torchserve", BODIES, TENSORS, "TorchServe, which takes the bodies as they are"),
        ("tensorflow_serving", TENSORS, BODIES, "TensorFlow Serving, which takes tensors"),
        ("llama_cpp", RequestForm(), TENSORS, "`--batch` means nothing to --task chat"),
    ],
)
def test_requests_that_it_can_be_sent(
    name: str, good: RequestForm, bad: RequestForm, message: str
) -> None:
    """Each kind takes tensors or bodies, and calls itself by its name when it refuses."""
    server_kind(name).fit_form(good)
    with pytest.raises(InputError, match=message):
        server_kind(name).fit_form(bad)


@pytest.mark.parametrize(
    ("server", "made"),
    [
        (TritonTarget.server, target_of),
        (TorchServeTarget.server, TorchServeTarget.of),
        (TensorFlowServingTarget.server, TensorFlowServingTarget.of),
        (LlamaCppTarget.server, LlamaCppTarget.of),
    ],
)
def test_a_target_is_of_the_server_it_says(server: str, made: object) -> None:
    """The target of a kind has the kind's name, which studies are kept under."""
    assert server_kind(server).target == made
