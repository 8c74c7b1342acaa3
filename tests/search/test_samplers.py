"""Optuna's samplers by name, and how they see a configuration."""

import subprocess
import sys

import pytest
from optuna.trial import FixedTrial  # noqa: TID251 - what its door speaks

from tests.spaces import choice, integer, real, space, switch
from tuner.errors import InputError
from tuner.search.samplers import Sampler, build, check_available, encoded, suggested
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


@pytest.mark.parametrize(
    ("sampler", "missing", "message"),
    [
        pytest.param(
            Sampler.GP,
            ["torch", "scipy"],
            "the sampler `gp` needs torch and scipy, which are not installed",
            id="gp without both",
        ),
        pytest.param(
            Sampler.QMC,
            ["torch", "scipy"],
            "the sampler `qmc` needs scipy, which is not installed",
            id="qmc without scipy",
        ),
    ],
)
def test_missing_packages(
    monkeypatch: pytest.MonkeyPatch, sampler: Sampler, missing: list[str], message: str
) -> None:
    """A sampler whose packages are missing is refused, with the command that installs them."""
    for name in missing:
        monkeypatch.setitem(sys.modules, name, None)  # as if it was not installed

    for refused in (lambda: check_available(sampler), lambda: build(sampler, 0)):
        with pytest.raises(InputError) as caught:
            refused()
        assert caught.value.message == message
        assert caught.value.hint == ("pip install 'serving-tuner[gp]', or choose `--sampler tpe`")


@pytest.mark.parametrize("sampler", [Sampler.TPE, Sampler.RANDOM, Sampler.EXHAUSTIVE])
def test_most_need_nothing(monkeypatch: pytest.MonkeyPatch, sampler: Sampler) -> None:
    """The default and the simple samplers work without torch and scipy."""
    for name in ("torch", "scipy"):
        monkeypatch.setitem(sys.modules, name, None)

    check_available(sampler)
    build(sampler, 0)


def test_optuna_is_imported_late() -> None:
    """Whoever only wants to know which samplers there are does not wait for Optuna."""
    code = "import sys, tuner.search.samplers; sys.exit('optuna' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_which_learn() -> None:
    """Two samplers learn from what was measured; two are shown parameters that are not there."""
    assert [s for s in Sampler if s.learns] == [Sampler.TPE, Sampler.GP]
    assert [s for s in Sampler if s.flat] == [Sampler.GP, Sampler.QMC]


def test_numbers_are_ordinals() -> None:
    """What can be counted is an index for Optuna; names, switches and intervals are themselves."""
    assert encoded(SPACE, ON, flat=False) == {
        "batching": True,
        "size": 4,
        "delay": 2,
        "share": 0.5,
        "allocator": "system",
    }


def test_conditions_in_optunas_terms() -> None:
    """A parameter that is not there is left out, or, for a flat sampler, at its default."""
    without = encoded(SPACE, OFF, flat=False)
    flat = encoded(SPACE, OFF, flat=True)

    assert without == {"batching": False, "share": 0.25, "allocator": "jemalloc"}
    assert flat == {**without, "size": 3, "delay": 0}


@pytest.mark.parametrize("configuration", [ON, OFF])
@pytest.mark.parametrize("flat", [False, True])
def test_there_and_back(configuration: Configuration, *, flat: bool) -> None:
    """What Optuna suggests after it was told a configuration is that configuration."""
    trial = FixedTrial(encoded(SPACE, configuration, flat=flat))

    assert suggested(SPACE, trial, flat=flat) == configuration
    assert suggested(SPACE, trial, flat=False) == configuration


def test_a_flat_sampler_is_asked_for_everything() -> None:
    """It suggests values also for what is not there; without them, it is no whole trial."""
    with pytest.raises(ValueError, match="size"):
        suggested(SPACE, FixedTrial(encoded(SPACE, OFF, flat=False)), flat=True)
