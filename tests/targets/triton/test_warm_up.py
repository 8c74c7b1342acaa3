"""Triton's warm-up: which samples a model gets, and which models cannot have any."""

from pathlib import Path

import pytest
from google.protobuf.message import Message

from tests.targets.triton.triton_targets import built_in, parsed, write_model
from tuner.targets.triton import config as model_config
from tuner.targets.triton import warm_up as triton_warm_up
from tuner.targets.triton.repository import RepositoryModel

INPUT = 'input { name: "x" data_type: TYPE_FP32 dims: [ 3, 4 ] }'


def sizes(message: Message) -> list[int]:
    return [sample.batch_size for sample in getattr(message, "model_warmup")]  # noqa: B009


class TestPut:
    @pytest.mark.parametrize(
        ("largest", "expected"), [(0, [1]), (1, [1]), (4, [1, 2, 4]), (6, [1, 2, 4, 6])]
    )
    def test_sizes(self, largest: int, expected: list[int]) -> None:
        """Batches of 1, 2, 4 ... and the largest; one request where there are no batches."""
        warm = model_config.changed(
            parsed(f"max_batch_size: {largest} {INPUT}"), {"model_warmup": True}
        )
        assert sizes(warm) == expected

    def test_sample(self) -> None:
        """A sample has a tensor of zeros for each input that a request must have."""
        optional = 'input { name: "o" data_type: TYPE_INT64 dims: [ 1 ] optional: true }'
        text = 'input { name: "s" data_type: TYPE_STRING dims: [ 2 ] }'
        warm = model_config.changed(parsed(INPUT + optional + text), {"model_warmup": True})

        assert warm == model_config.changed(
            parsed(
                INPUT
                + optional
                + text
                + 'model_warmup { name: "batch of 1" batch_size: 1 '
                + 'inputs { key: "x" value { data_type: TYPE_FP32 dims: [3, 4] zero_data: true } }'
                + 'inputs { key: "s" value { data_type: TYPE_STRING dims: [2] zero_data: true } }'
                + "}"
            ),
            {},
        )

    def test_own_samples(self) -> None:
        """Samples that the model has already stay; false takes them out."""
        own = parsed(INPUT + 'model_warmup { name: "own" batch_size: 7 }')
        assert model_config.changed(own, {"model_warmup": True}) == own
        assert sizes(model_config.changed(own, {"model_warmup": False})) == []
        assert sizes(model_config.changed(own, {"model_warmup": None})) == []


@pytest.mark.parametrize(
    ("text", "possible"),
    [
        (INPUT, True),
        ("", False),
        ('input { name: "x" data_type: TYPE_FP32 dims: [ -1, 4 ] }', False),
        (INPUT + "sequence_batching { }", False),
        (INPUT + "ensemble_scheduling { }", False),
    ],
)
def test_which_models_can(tmp_path: Path, text: str, *, possible: bool) -> None:
    """Inputs must be known with their shapes, and requests must not belong together."""
    assert triton_warm_up.is_possible(parsed(text)) is possible

    write_model(tmp_path, config=f"max_batch_size: 8 {text}")
    space = built_in(gpus=1)
    adapted = RepositoryModel(tmp_path, "m").adapt(space)
    assert ("warm_up" in adapted.defaults) is possible
