"""Optuna's samplers by name, and how they see a configuration."""

import subprocess
import sys

import pytest
from optuna.trial import FixedTrial  # noqa: TID251 - what its door speaks

from tests.spaces import choice, integer, real, space, switch
from tuner.search.samplers import encoded, suggested
from tuner.space.space import Configuration

SPACE = space(
    switch("batching"),
    integer("size", when="batching", low=2, high=64, log=True, default=16),
    choice(0, 100, 500, name="delay", when="batching"),
    real("share"),
    choice("system", "jemalloc", name="allocator"),
)
OFF = Configuration.of({"batching": False, "share": 0.25, "allocator": "jemalloc"})
ON = Configuration.of(
    {"batching": True, "size": 32, "delay": 500, "share": 0.5, "allocator": "system"}
)


def test_optuna_is_imported_late() -> None:
    """Whoever only wants to know which samplers there are does not wait for Optuna."""
    code = "import sys, tuner.search.samplers; sys.exit('optuna' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_numbers_are_ordinals() -> None:
    """What can be counted is an index for Optuna; names, switches and intervals are themselves.

    A parameter that is not there is left out.
    """
    assert encoded(SPACE, ON) == {
        "batching": True,
        "size": 4,
        "delay": 2,
        "share": 0.5,
        "allocator": "system",
    }
    assert encoded(SPACE, OFF) == {"batching": False, "share": 0.25, "allocator": "jemalloc"}


@pytest.mark.parametrize("configuration", [ON, OFF])
def test_there_and_back(configuration: Configuration) -> None:
    """What Optuna suggests after it was told a configuration is that configuration."""
    assert suggested(SPACE, FixedTrial(encoded(SPACE, configuration))) == configuration


def test_a_trial_that_lacks_a_parameter() -> None:
    """It ended before it had a configuration."""
    with pytest.raises(ValueError, match="share"):
        suggested(SPACE, FixedTrial({"batching": False}))
