"""Configurations as people write them: read, planned, loaded and handed over whole."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message

from runners.base import RunningServer
from tests.servers import triton
from tests.targets.served import HastyRunner
from tests.targets.triton.configs import CONFIGS, STUB
from tests.targets.triton.triton_targets import built_in, parsed
from tuner.clients.v2_http import V2Client
from tuner.space.expressions import Value
from tuner.space.space import Configuration, SearchSpace
from tuner.targets import request_form
from tuner.targets.base import Installation, ModelSource, TargetSetup
from tuner.targets.triton import config as model_config
from tuner.targets.triton.base import TritonModel
from tuner.targets.triton.model import open_model
from tuner.targets.triton.target import TritonTarget

ALL = pytest.mark.parametrize("text", CONFIGS.values(), ids=CONFIGS)
OTHER: dict[str, Value] = {"dynamic_batching": True, "instance_count": 3, "threads": 1}


def write(repository: Path, text: str) -> TritonModel:
    """The model `m`, with this configuration."""
    version = repository / "m" / "1"
    version.mkdir(parents=True)
    (version / "model.py").write_text(STUB)
    (repository / "m" / "labels.txt").write_text("low\nhigh\n")
    (repository / "m" / "config.pbtxt").write_text(text)
    return open_model(ModelSource(folder=repository))


def fields(message: Message, path: str = "") -> dict[str, Any]:
    """Each field that is there by its path; a message as such reads True."""
    found: dict[str, Any] = {}
    for field, value in message.ListFields():
        name = f"{path}{field.name}"
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            entries = {f"{name}[{key}]": value[key] for key in value}
        elif field.is_repeated:
            entries = {f"{name}[{at}]": each for at, each in enumerate(value)}
        else:
            entries = {name: value}
        for at, each in entries.items():
            if isinstance(each, Message):
                found |= {at: True, **fields(each, f"{at}.")}
            else:
                found[at] = each
    return found


def set_by(space: SearchSpace, configuration: Configuration) -> set[str]:
    """The paths that the parameters set, and the messages around them."""
    paths = {path for p, path in space.names_of("config") if p.name in configuration}
    around = {path.rpartition(".")[0] for path in paths if "." in path}
    lists = {f"{path.rpartition('[')[0]}[0]" for path in around if path.endswith("]")}
    further = {each.rpartition(".")[0] for each in around if "." in each}
    return paths | around | lists | further


@pytest.mark.parametrize("gpus", [0, 2])
@pytest.mark.parametrize("values", [{}, OTHER], ids=["as-it-stands", "another"])
@ALL
def test_nothing_is_lost(tmp_path: Path, text: str, gpus: int, values: dict[str, Value]) -> None:
    """The file that deploys a configuration has every field of the owner's, with its value.

    Only what a parameter sets is otherwise; and a warm-up, where there was none, is there on GPUs.
    """
    model = write(tmp_path, text)
    space = model.adapt(built_in(model.space, gpus=gpus))
    target = TritonTarget(
        model,
        space,
        TargetSetup(workspace=tmp_path, form=request_form.RequestForm()),
        Installation(Path("tritonserver")),
    )
    configuration = space.activate(values)
    before, after = fields(parsed(text)), fields(parsed(target.export(configuration)))
    ours = set_by(space, configuration)
    lost = {path: value for path, value in before.items() if after.get(path) != value}
    assert lost.keys() <= ours
    new = after.keys() - before.keys()
    if "model_warmup[0]" not in before:
        new = {path for path in new if not path.startswith("model_warmup")}
    assert new <= ours
    if not values:
        assert lost == {}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A Triton with a stub in place of every model, loaded under one file after the other."""
    folder = Path(tempfile.mkdtemp(prefix="configs-", dir=tmp_path_factory.mktemp("triton")))
    write(folder / "repository", CONFIGS["tokenizer"])
    spec = triton.launch_spec(folder, (), explicit=True)
    with HastyRunner(folder / "logs").start(spec) as started:
        yield started


def stubbed(message: Any) -> Message:
    """The same for the Python backend, on a machine without GPUs."""
    stub: Any = type(message)()
    stub.CopyFrom(message)
    stub.backend = "python"
    stub.ClearField("platform")
    stub.ClearField("default_model_filename")
    for group in stub.instance_group:
        group.ClearField("gpus")
        group.kind = group.KIND_CPU
    return stub  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "text",
    CONFIGS.values(),
    ids=CONFIGS,
)
def test_loads(server: RunningServer, tmp_path: Path, text: str) -> None:
    """Triton takes what is made of each, and has the owner's fields."""
    model = write(tmp_path, text)
    space = model.adapt(built_in(model.space))
    message = stubbed(model.configured(space.settings(space.activate(OTHER))))
    with V2Client(server.url("http"), timeout_s=120) as client:
        client.load("m", model_config.as_json(message))
        effective = fields(model_config.from_server(client.config("m")))
    for path, value in fields(message).items():
        assert effective.get(path) == value, path
