"""What a space of somebody may set: what has a program run is known from built-in ones."""

from pathlib import Path

import pytest

from tuner.service.access.own_spaces import program_in
from tuner.space.files import built_in
from tuner.space.spec import load_space
from tuner.targets.command.model import names_model


@pytest.mark.parametrize("name", sorted(built_in()))
def test_built_in_spaces_run_nothing_of_others(name: str) -> None:
    """By the rule that spaces of people are judged by; commands of ours serve a stated model."""
    serve = load_space(built_in()[name]).serve
    if serve is None:
        assert program_in(built_in()[name]) == ""
    else:
        assert names_model(serve)


@pytest.mark.parametrize(
    ("sets", "values", "what"),
    [
        (
            "config: dynamic_batching.max_queue_delay_microseconds",
            "type: int, low: 1, high: 9",
            "",
        ),
        ("config: anything.new", "type: int, low: 1, high: 9", ""),
        ("flag: --http-thread-count", "type: int, low: 1, high: 9", ""),
        (
            "flag: --model-repository",
            "type: int, low: 1, high: 9",
            "`x` sets flag `--model-repository`, which no built-in space sets",
        ),
        (
            "environment: [OMP_NUM_THREADS, PYTHONSTARTUP]",
            "type: int, low: 1, high: 9",
            "`x` sets environment `PYTHONSTARTUP`, which no built-in space sets",
        ),
        (
            "environment: LD_PRELOAD",
            "type: categorical, choices: [1, /tmp/x.so]",
            "`x` may be `/tmp/x.so`, which is not so in any built-in space",
        ),
        (
            "config: backend",
            "type: categorical, choices: [1, python]",
            "`x` may be `python`, which is not so in any built-in space",
        ),
    ],
)
def test_a_space_of_somebody_chooses_among_what_is_known(
    tmp_path: Path, sets: str, values: str, what: str
) -> None:
    """Numbers may be any; a text may be the name of a program."""
    file = tmp_path / "space.yaml"
    file.write_text(
        f"extends: triton_all\nparameters:\n  x: {{default: 1, {values}, sets: {{{sets}}}}}\n"
    )

    assert program_in(file) == what


def test_a_hint_of_a_space_is_looked_at_as_well(tmp_path: Path) -> None:
    """It is a value that is tried."""
    file = tmp_path / "space.yaml"
    file.write_text(
        "extends: triton_all\nparameters:\n  x: {type: categorical, default: 1, choices: [1, 2], "
        "sets: {environment: LD_PRELOAD}}\nhints:\n  - {x: /tmp/x.so}\n"
    )

    assert program_in(file).startswith("`x` may be `/tmp/x.so`")
