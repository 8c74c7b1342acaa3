"""TorchServe's inputs: the contents of files that a JSON file names."""

import json
from pathlib import Path

import pytest

from tests.refusals import refused
from tuner.protocols.tensors.input_files import file_bodies

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "data.json"


def test_order(file: Path) -> None:
    """Streams and steps are read one after the other; a file may be used twice."""
    for name in ("a", "b"):
        (file.parent / name).write_text(f"body {name}")
    steps = [[{"TORCHSERVE_INPUT": [name]} for name in stream] for stream in ("ab", "a")]
    file.write_text(json.dumps({"data": steps}))
    assert file_bodies(file) == (b"body a", b"body b", b"body a")


def test_current_folder(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is not beside the JSON file may be in the current folder."""
    elsewhere = file.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kitten_small.jpg").write_text("a kitten")
    monkeypatch.chdir(elsewhere)
    file.write_bytes((DATA / "torchserve.json").read_bytes())
    assert file_bodies(file) == (b"a kitten",)
    (file.parent / "kitten_small.jpg").write_text("a nearer kitten")
    assert file_bodies(file) == (b"a nearer kitten",)


@pytest.mark.parametrize("name", ["kitten.jpg", "folder", "a\0b", "\ud800"])
def test_missing(file: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A name that is no file's is said, with the places where it was looked for."""
    (file.parent / "folder").mkdir()
    monkeypatch.chdir(file.parent / "folder")
    file.write_text(json.dumps({"data": [{"TORCHSERVE_INPUT": [name]}]}))
    with refused(
        f"{file}: stream 1, step 1: no file `{repr(name)[1:-1]}` is in {file.parent} or in "
        f"{file.parent}/folder",
        "put the file there, or write its whole path",
    ):
        file_bodies(file)


@pytest.mark.parametrize(
    ("step", "came"),
    [
        ({}, "nothing"),
        ({"TORCHSERVE_INPUT": "a"}, "the text `a`"),
        ({"TORCHSERVE_INPUT": ["a", "b"]}, "a list"),
        ({"TORCHSERVE_INPUT": []}, "an empty list"),
        ({"TORCHSERVE_INPUT": [7]}, "a list"),
    ],
)
def test_form(file: Path, step: object, came: str) -> None:
    """A step names one file."""
    file.write_text(json.dumps({"data": [step]}))
    with refused(
        f"{file}: stream 1, step 1: `TORCHSERVE_INPUT`: a list of one file name was "
        f"expected, but got {came}",
        'write {"data": [{"TORCHSERVE_INPUT": ["kitten_small.jpg"]}, ...]}',
    ):
        file_bodies(file)


def test_no_json_file(file: Path) -> None:
    """The JSON file itself has to be there."""
    with refused(f"{file}: there is no such file or folder"):
        file_bodies(file)
