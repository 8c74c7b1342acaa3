"""What requests carry: encodings by server, repeats and padding in given data."""

import json
from pathlib import Path
from typing import Any

import pytest

from tuner.errors import InputError
from tuner.hints.requests import data_facts, request_facts


def file(folder: Path, *steps: Any) -> Path:
    path = folder / "data.json"
    path.write_text(json.dumps({"data": list(steps)}))
    return path


@pytest.mark.parametrize(
    ("server", "request_", "expected"),
    [
        ("triton", {"data": "random"}, {"request.json": False, "request.made_up": True}),
        ("triton", {"data": "files"}, {"request.json": False, "request.made_up": False}),
        ("tensorflow_serving", {"data": "zero"}, {"request.json": True, "request.made_up": True}),
        ("torchserve", {"content_type": "application/json"}, {"request.json": True}),
        ("torchserve", {"content_type": "application/jpg"}, {"request.json": False}),
        ("torchserve", {"content_type": ""}, {}),
        ("command", {}, {}),
    ],
)
def test_what_a_study_sent(
    server: str, request_: dict[str, Any], expected: dict[str, Any]
) -> None:
    """Triton gets binary tensors, TensorFlow Serving JSON; of others the content type tells."""
    assert request_facts(server, request_) == expected


def test_repeats(tmp_path: Path) -> None:
    """Of four requests, two are equal to an earlier one."""
    data = file(tmp_path, {"x": [1.5]}, {"x": [2.5]}, {"x": [1.5]}, {"x": [1.5]})

    assert data_facts([data]) == {"request.repeated": 0.5}


TOKENS = [7, 8, 9, 6, 0, 0, 0, 0]
FULL = [7, 8, 9, 6, 5, 4, 3, 2]


def test_padding(tmp_path: Path) -> None:
    """Zeros at the end of rows of one length; of several tensors the fullest counts."""
    data = file(
        tmp_path,
        {"ids": TOKENS, "types": [0] * 8, "length": [4]},
        {"ids": {"content": FULL, "shape": [8]}, "types": [0] * 8, "length": [8]},
    )

    assert data_facts([data])["request.padding"] == 0.25


@pytest.mark.parametrize(
    "rows",
    [
        (TOKENS, [*FULL, 0]),
        ([1, 2, 0, 0], [1, 2, 3, 4]),
        (TOKENS, [7, 0, 9, 6, 5, 0, 0, 0]),
        ([1] * 4 + [0] * 4, [1] * 8),
        ([0] * 8, [0] * 8),
    ],
    ids=["several lengths", "short", "a number after a zero", "a mask", "nothing but zeros"],
)
def test_zeros_that_are_no_padding(rows: tuple[list[int], list[int]], tmp_path: Path) -> None:
    """A zero may be a number like any other."""
    data = file(tmp_path, *({"x": row} for row in rows))

    assert "request.padding" not in data_facts([data])


def test_of_one_request_nothing_is_said(tmp_path: Path) -> None:
    """Nor of folders, whose files are bytes."""
    assert data_facts([file(tmp_path, {"x": [1]})]) == {}
    assert data_facts([tmp_path]) == {}


def test_what_is_no_input_data(tmp_path: Path) -> None:
    """It is refused in the words that all commands have for such files."""
    (tmp_path / "data.json").write_text("[]")

    with pytest.raises(InputError, match="an object with `data` was expected"):
        data_facts([tmp_path / "data.json"])
