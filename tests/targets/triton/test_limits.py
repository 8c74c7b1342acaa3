"""What a config.pbtxt holds beside the searched settings: legal at each of their values."""

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runners.base import RunningServer
from tests.servers import triton
from tests.spaces import choice
from tests.targets.served import HastyRunner
from tests.targets.triton.triton_targets import built_in, parsed, write_form, write_model
from tuner.clients.v2_http import V2Client
from tuner.space.expressions import Value
from tuner.space.settings import ConfigPath
from tuner.space.space import Configuration, SearchSpace
from tuner.targets.triton import config as model_config
from tuner.targets.triton.repository import RepositoryModel

PREFIX = """
backend: "python"
input { name: "x" data_type: TYPE_FP32 dims: 4 }
output { name: "y" data_type: TYPE_FP32 dims: 4 }
"""
SAMPLE = """
model_warmup {
  name: "full" batch_size: 32
  inputs { key: "x" value { data_type: TYPE_FP32 dims: 4 zero_data: true } }
}
"""
ALL_FIELDS = f"""max_batch_size: 32 {SAMPLE}
  dynamic_batching {{ preferred_batch_size: [4, 8, 16, 32]
    default_queue_policy {{ timeout_action: DELAY default_timeout_microseconds: 9000
      allow_timeout_override: true max_queue_size: 100 }} }}
  instance_group {{ name: "a" kind: KIND_CPU count: 1 host_policy: "first" rate_limiter {{
    resources {{ name: "R1" count: 4 }} resources {{ name: "R2" global: true count: 2 }}
    priority: 2 }} }}
  instance_group {{ name: "b" count: 2 kind: KIND_CPU host_policy: "second" }}
  optimization {{ priority: PRIORITY_MAX eager_batching: true gather_kernel_buffer_threshold: 4
    cuda {{ graphs: true graph_spec {{ batch_size: 8 }} graph_spec {{ batch_size: 2 }} }}
    execution_accelerators {{ cpu_execution_accelerator {{ name: "openvino" }} }} }}
  version_policy {{ specific {{ versions: [1] }} }}"""
ORDERED = "max_batch_size: 16 dynamic_batching { preserve_ordering: true }"
# Each is loaded by Triton as it stands, and depends on what is searched.
CONFIGS = {
    "all-fields": ALL_FIELDS,
    "no-batches": SAMPLE.replace("batch_size: 32", "batch_size: 1"),
    "priorities": """max_batch_size: 8 dynamic_batching {
      preferred_batch_size: 8 priority_levels: 3 default_priority_level: 2
      priority_queue_policy { key: 1 value { max_queue_size: 10 } }
      priority_queue_policy { key: 3 value { timeout_action: DELAY } } }""",
    "ordered": ORDERED,
    "sequences": """max_batch_size: 8 sequence_batching { max_sequence_idle_microseconds: 5000000
      oldest { max_candidate_sequences: 4 preferred_batch_size: [4, 8] } }""",
    "decoupled": """max_batch_size: 8 model_transaction_policy { decoupled: true }
      instance_group { kind: KIND_MODEL }""",
}
GPUS = "max_batch_size: 8 instance_group { count: 1 kind: KIND_GPU gpus: [0, 1] }"
ORDER = ConfigPath("dynamic_batching.preserve_ordering")
LEVELS = ConfigPath("dynamic_batching.priority_levels")
CACHE = ConfigPath("response_cache.enable")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A Triton whose model `m` is loaded under one configuration after the other."""
    folder = Path(tempfile.mkdtemp(prefix="limits-", dir=tmp_path_factory.mktemp("triton")))
    write_form(folder / "repository", "m")
    spec = triton.launch_spec(folder, (), "--rate-limit=execution_count", explicit=True)
    with HastyRunner(folder / "logs").start(spec) as started:
        yield started


def model(folder: Path, config: str) -> RepositoryModel:
    write_model(folder, "m", PREFIX + config)
    return RepositoryModel(folder, "m")


def whole(config: str) -> Any:
    """The message that Triton gets where nothing was changed."""
    return parsed(f'name: "m" {PREFIX} {config}')


def space_of_triton() -> SearchSpace:
    """All that Triton itself has, on the server of these tests."""
    space = built_in("triton_all")
    return space.with_default("rate_limit", "execution_count").without({"http_threads"})


def adapted(folder: Path, config: str, space: SearchSpace | None = None) -> SearchSpace:
    return model(folder, config).adapt(space or built_in("triton_all"))


def configured(
    folder: Path, config: str, space: SearchSpace, values: Mapping[str, Value] | None = None
) -> Any:
    """The configuration under these values, the rest as it is by default."""
    owned = model(folder, config)
    searched = owned.adapt(space)
    return owned.configured(searched.settings(searched.activate(values or {})))


def extremes(space: SearchSpace) -> list[Configuration]:
    """The baseline, smaller batches, and all parameters at their first and at their last value."""
    on: dict[str, Value] = {"dynamic_batching": True, "threads": 1, "instance_count": 2}
    first = {p.name: (p.choices or (p.default,))[0] for p in space.parameters}
    last = {p.name: (p.choices or (p.default,))[-1] for p in space.parameters}
    asked: tuple[dict[str, Value], ...] = (
        {},
        {**on, "max_batch_size": 4},
        {**first, **on},
        {**last, **on},
    )
    found = dict.fromkeys(space.activate(each) for each in asked)
    return [each for each in found if each == space.defaults or not space.violations(each)]


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_loads(server: RunningServer, tmp_path: Path, config: str) -> None:
    """Triton takes a model with the extremes of all that is searched, and has what was asked."""
    owned = model(tmp_path, config)
    space = owned.adapt(space_of_triton())
    asked = extremes(space)
    assert len(asked) > 1
    with V2Client(server.url("http"), timeout_s=120) as client:
        for configuration in asked:
            settings = space.settings(configuration)
            client.load("m", model_config.as_json(owned.configured(settings)))
            effective = model_config.from_server(client.config("m"))
            for path, value in settings.config.items():
                if value:
                    assert model_config.get(effective, path) == value


class TestBatches:
    def test_smaller(self, tmp_path: Path) -> None:
        """Preferred sizes, warm-up and recorded graphs are those that fit the largest batch."""
        small = configured(tmp_path, ALL_FIELDS, built_in(), {"max_batch_size": 4})
        text = ALL_FIELDS.replace("[4, 8, 16, 32]", "[4]").replace(
            "batch_size: 32", "batch_size: 4"
        )
        assert small == whole(text.replace("graph_spec { batch_size: 8 }", ""))

    def test_as_they_stood(self, tmp_path: Path) -> None:
        """By default the configuration is what its owner wrote, to the last field."""
        message = configured(tmp_path, ALL_FIELDS, built_in("triton_all"))
        assert message == whole(ALL_FIELDS)

    @pytest.mark.parametrize(("asked", "found"), [(4, [4, 8, 16, 32]), (8, [8]), (0, [])])
    def test_preferred_size(self, tmp_path: Path, asked: int, found: list[int]) -> None:
        """A preferred size that is asked for is the only one; the first stands for all."""
        message = configured(tmp_path, ALL_FIELDS, built_in(), {"preferred_batch_size": asked})
        assert message == whole(ALL_FIELDS.replace("[4, 8, 16, 32]", str(found)))

    def test_hints(self, tmp_path: Path) -> None:
        """Hints with batches smaller than those that are preferred are not lost."""
        config = "max_batch_size: 32 dynamic_batching { preferred_batch_size: 16 }"
        space = adapted(tmp_path, config, built_in())
        small = [each for each in space.hints if each.get("max_batch_size") == 8]
        hint = small[0]
        assert hint["preferred_batch_size"] == 0
        assert not any(space.violations(space.activate(each)) for each in space.hints)


class TestPriorities:
    def test_levels(self, tmp_path: Path) -> None:
        """A default priority is one of the levels that there are."""
        space = SearchSpace("triton", (replace(choice(3, 2, name="levels"), sets=LEVELS),))
        config = "dynamic_batching { priority_levels: 3 default_priority_level: 3 }"
        message = configured(tmp_path, f"max_batch_size: 8 {config}", space, {"levels": 2})
        assert message == whole(f"max_batch_size: 8 {config.replace('3', '2')}")

    @pytest.mark.parametrize(
        ("config", "path"),
        [
            ("dynamic_batching { priority_levels: 3 default_priority_level: 1 }", ORDER),
            ("dynamic_batching { default_queue_policy { timeout_action: DELAY } }", ORDER),
            ("dynamic_batching { preserve_ordering: true }", LEVELS),
            ("model_transaction_policy { decoupled: true }", CACHE),
        ],
    )
    def test_what_excludes_another(self, tmp_path: Path, config: str, path: ConfigPath) -> None:
        """A field that Triton refuses beside one that the model has is not searched."""
        searched = replace(choice(0, 1, name="x"), sets=path)
        space = adapted(
            tmp_path, f"max_batch_size: 8 {config}", SearchSpace("triton", (searched,))
        )
        assert space.parameters == ()

    def test_delay(self, tmp_path: Path) -> None:
        """Where the order is kept, no request that waited too long goes behind the others."""
        ordered = adapted(tmp_path / "ordered", ORDERED)
        assert "queue_timeout_action" not in {p.name for p in ordered.parameters}
        free = adapted(tmp_path / "free", "max_batch_size: 8")
        assert free["queue_timeout_action"].choices == ("REJECT", "DELAY")


class TestInstances:
    @pytest.mark.parametrize(("kind", "gpus"), [("KIND_GPU", "[0, 1]"), ("KIND_CPU", "[]")])
    def test_gpus(self, tmp_path: Path, kind: str, gpus: str) -> None:
        """Instances on processors name no GPUs; those on GPUs keep theirs."""
        space = built_in("triton_all", gpus=1).without({"warm_up"})
        message = configured(tmp_path, GPUS, space, {"instance_kind": kind})
        assert message == whole(GPUS.replace("KIND_GPU", kind).replace("[0, 1]", gpus))

    def test_one_gpu(self, tmp_path: Path) -> None:
        """The GPU that is chosen is the only one."""
        space = built_in("triton_all", gpus=2).without({"warm_up"})
        message = configured(tmp_path, GPUS, space, {"instance_kind": "KIND_GPU", "gpu": 1})
        assert message == whole(GPUS.replace("[0, 1]", "[1]"))


ACCELERATED = (
    "max_batch_size: 8 optimization { execution_accelerators { gpu_execution_accelerator "
)
TENSORRT = """{ name: "tensorrt" parameters { key: "precision_mode" value: "FP16" }
  parameters { key: "max_workspace_size_bytes" value: "1073741824" } }"""
SECOND = 'gpu_execution_accelerator { name: "gpu_io" } } }'


@pytest.mark.parametrize(
    ("accelerator", "expected"),
    [
        ("tensorrt", f"{ACCELERATED} {TENSORRT} {SECOND}"),
        ("cuda", f'{ACCELERATED} {{ name: "cuda" }} {SECOND}'),
        ("none", ACCELERATED.removesuffix("gpu_execution_accelerator ") + SECOND),
    ],
)
def test_accelerators(tmp_path: Path, accelerator: str, expected: str) -> None:
    """The parameters of an accelerator go with it, and others stay."""
    space = built_in("triton_onnxruntime", gpus=1).without({"warm_up"})
    values: dict[str, Value] = {"gpu_accelerator": accelerator, "tensorrt_precision": "FP16"}
    given = f"{ACCELERATED} {TENSORRT} {SECOND}"
    message = configured(tmp_path, given, space, values)
    expected_count = "instance_group { count: 1 }"
    assert message == whole(expected + expected_count)
