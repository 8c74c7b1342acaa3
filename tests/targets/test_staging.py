"""Files of a model: what tells two states of them apart, and how a failed copy is told of."""

import os
import shutil
from pathlib import Path

import pytest

from tests.targets.unprivileged import open_place, unprivileged
from tuner.errors import ModelError
from tuner.targets import staging

__all__ = ["open_place"]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return written(tmp_path / "model")


def written(folder: Path) -> Path:
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


def test_a_sample_of_a_large_file(tmp_path: Path) -> None:
    """Its size, and pieces of it from the first byte to the last; of a small file, all of it."""
    file = tmp_path / "weights"

    def sampled(size: int, changed: int) -> str:
        with file.open("wb") as weights:
            weights.truncate(size)
            weights.seek(changed)
            weights.write(b"x")
        return staging.digest([file], sampled=True)

    mib = 2**20
    large = 80 * mib
    found = {sampled(large, 0), sampled(large, large - 1), sampled(large + 1, 0)}
    assert len(found) == 3
    assert sampled(large, mib) == sampled(large, mib + 1)
    assert sampled(4 * mib, mib) != sampled(4 * mib, mib + 1)
    assert sampled(4 * mib, mib) == staging.digest([file])


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


@pytest.fixture
def links(model: Path) -> Path:
    """A model that is a link to a folder whose version and whose file are links to others."""
    store = model.parent / "store"
    (store / "m").mkdir(parents=True)
    (store / "m" / "empty").mkdir()
    (store / "weights").symlink_to(model / "1" / "weights")
    (store / "version").mkdir()
    (store / "version" / "weights").symlink_to("../weights")
    (store / "version" / "again").symlink_to("..")
    (store / "version" / "nowhere").symlink_to("not there")
    (store / "m" / "1").symlink_to("../version")
    repository = model.parent / "repository"
    repository.mkdir()
    (repository / "linked").symlink_to(store / "m")
    return repository / "linked"


class TestLinks:
    def test_digest(self, links: Path, model: Path) -> None:
        """A file that changes behind any number of links changes the digest; loops end."""
        before = staging.digest([links])
        (model / "1" / "weights").write_bytes(b"2")
        after = staging.digest([links])
        assert after != before
        (model.parent / "store" / "version" / "more").touch()
        assert staging.digest([links]) != after

    def test_copy(self, links: Path, tmp_path: Path) -> None:
        """A copy has files where there were links, the empty folders, and no link at all."""
        copy = tmp_path / "copy"
        staging.copy_folder(links, copy)
        assert (copy / "1" / "weights").read_bytes() == b"1"
        assert (copy / "empty").is_dir()
        assert not any(path.is_symlink() for path in copy.rglob("*"))
        assert not (copy / "1" / "nowhere").exists()

    def test_as_without_links(self, model: Path, tmp_path: Path) -> None:
        """A folder of links has the digest of a folder with the same files."""
        linked = tmp_path / "links" / "model"
        linked.mkdir(parents=True)
        (linked / "1").symlink_to(model / "1")
        assert staging.digest([linked]) == staging.digest([model])


class TestReadOnly:
    def test_copy(self, open_place: Path) -> None:
        """What was copied from a read-only place can be written and removed; programs run."""
        model = written(open_place / "model")
        (model / "1" / "run").write_text("#!/bin/sh")
        (model / "1" / "run").chmod(0o555)
        for path in (model / "1" / "weights", model / "1", model):
            path.chmod(path.stat().st_mode & 0o555)
        with unprivileged(open_place):
            copy = open_place / "copy"
            staging.copy_folder(model, copy)
            assert os.access(copy / "1" / "run", os.X_OK)
            (copy / "1" / "weights").write_bytes(b"2")
            shutil.rmtree(copy)
        model.chmod(0o755)
        (model / "1").chmod(0o755)

    def test_what_cannot_be_read(self, open_place: Path) -> None:
        """A folder that is closed is named, whoever finds it first."""
        model = written(open_place / "model")
        (model / "1").chmod(0)
        with unprivileged(open_place), pytest.raises(ModelError) as caught:
            staging.digest([model])
        (model / "1").chmod(0o755)
        assert str(caught.value) == f"{model}/1: cannot be read: Permission denied"
