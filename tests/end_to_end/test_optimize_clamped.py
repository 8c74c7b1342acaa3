"""A server that takes less than it is asked for, and says nothing: it is never credited."""

import pytest

from tests.end_to_end.command import Finished, tuner
from tests.targets.moody import MODELS

SPACE = """
server: triton
parameters:
  max_batch_size:
    type: categorical
    choices: [4, 16]
    default: 4
    sets: {config: max_batch_size}
    reload: true
"""


@pytest.fixture(scope="module")
def optimized(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A study of the model `clamped`, which cuts larger batches to four when it is loaded."""
    folder = tmp_path_factory.mktemp("clamped")
    (folder / "space.yaml").write_text(SPACE)
    model = ("--model-repository", str(MODELS), "--model", "clamped", "--space", "space.yaml")
    short = ("--trials", "2", "--timeout", "3m", "--finalists", "1", "--confirmations", "1")
    arguments = ("optimize", *model, "--budget-ms", "200", "--seed", "3", *short, "--json")
    return tuner(*arguments, folder=folder)


def test_a_clamped_batch_size_is_refuted(optimized: Finished) -> None:
    """The trial that asked for 16 fails, with what the server has, and has no throughput."""
    assert optimized.status == 0, optimized.err
    [failed] = [t for t in optimized.json["trials"] if t["configuration"]["max_batch_size"] == 16]

    assert (failed["state"], failed["reason"]) == ("failed", "refuted")
    assert failed["message"] == (
        "verify: parameter `max_batch_size` did not take effect: the server has max_batch_size = 4"
    )
    assert failed["verdicts"] == {"max_batch_size": "refuted"}
    assert not failed["throughput"]


def test_it_does_not_win(optimized: Finished) -> None:
    """What the server really has is recommended."""
    assert optimized.json["winner"]["configuration"] == {"max_batch_size": 4}
