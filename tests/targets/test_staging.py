"""Files of a model: what tells two states of them apart, and how a failed copy is told of."""

import shutil
from pathlib import Path

import pytest

from tuner.errors import ModelError
from tuner.targets import staging


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    (folder / "1").mkdir(parents=True)
    (folder / "1" / "weights").write_bytes(b"1")
    return folder


def test_a_digest_is_of_what_is_in_the_files(model: Path, tmp_path: Path) -> None:
    """It changes with a file, its name, and what is beside; not with where the folder is."""
    found = [staging.digest([model])]
    (tmp_path / "copy").mkdir()
    shutil.copytree(model, tmp_path / "copy" / "model")
    assert staging.digest([tmp_path / "copy" / "model"]) == found[0]
    (model / "1" / "__pycache__").mkdir()
    (model / "1" / "__pycache__" / "x.pyc").touch()
    (model / "2").mkdir()
    assert staging.digest([model]) == found[0]

    (model / "1" / "weights").write_bytes(b"2")
    found.append(staging.digest([model]))
    (model / "1" / "weights").rename(model / "1" / "others")
    found += [staging.digest([model]), staging.digest([model], beside=b"x")]
    assert len(set(found)) == 4
    assert {len(each) for each in found} == {10}


def test_a_file_that_cannot_be_read(model: Path) -> None:
    """It is named; the beginning of a process's memory can be read by nobody."""
    broken = model / "1" / "weights"
    broken.unlink()
    broken.symlink_to("/proc/self/mem")
    with pytest.raises(ModelError) as caught:
        staging.digest([model])
    assert str(caught.value).startswith(f"{broken}: cannot be read: ")
    assert caught.value.hint == "make it readable"


def test_a_copy_that_fails(tmp_path: Path) -> None:
    """The source, the destination and the reason are told; other failures pass."""
    with pytest.raises(ModelError) as caught, staging.copying(tmp_path / "a", tmp_path / "b"):
        shutil.copyfile(tmp_path / "a", tmp_path / "b")
    assert str(caught.value).startswith(f"{tmp_path}/a: cannot be copied to {tmp_path}/b: ")
    assert caught.value.hint == "make it readable; a folder with more room can be named in TMPDIR"

    with pytest.raises(ModelError), staging.copying(tmp_path, tmp_path, KeyError):
        raise KeyError
    with pytest.raises(KeyError), staging.copying(tmp_path, tmp_path):
        raise KeyError
