"""Archives of models: what they write is below their folder, and is all that they write."""

import gzip
import tracemalloc
from pathlib import Path

import pytest

from tests.service.hostile_archives import HOSTILE, MIB, member, tarred, twice, zipped
from tuner.service.models.archive import ArchiveError, Limits, unpack

LIMITS = Limits(size=24 * MIB, entries=100)


def outside(folder: Path) -> set[str]:
    """What is beside the folder that an archive may write in."""
    return {each.name for each in folder.parent.iterdir()} - {folder.name}


def test_what_is_not_unpacked(tmp_path: Path) -> None:
    """It is refused in words; nothing is written elsewhere, nothing large is read into memory."""
    for number, (name, (make, said)) in enumerate(HOSTILE.items()):
        archive, folder = tmp_path / f"{number}/archive", tmp_path / f"{number}/out/model"
        folder.parent.mkdir(parents=True)
        archive.write_bytes(make())
        tracemalloc.start()
        try:
            with pytest.raises(ArchiveError) as refused:
                unpack(archive, folder, LIMITS)
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

        assert said in refused.value.message, name
        assert most < 8 * MIB, name
        assert (outside(folder), outside(folder.parent)) == (set(), {"archive"}), name
        assert all(each.is_file() or each.is_dir() for each in folder.rglob("*")), name
        assert not any(each.is_symlink() for each in folder.rglob("*")), name


def test_how_many_are_tried() -> None:
    """They are part of the table of hostile inputs."""
    assert len(HOSTILE) >= 100


@pytest.mark.parametrize("form", ["zip", "tar", "tar.gz"])
def test_what_is_unpacked(tmp_path: Path, form: str) -> None:
    """Files with their content, in their folders; nobody may run them."""
    files = {"resnet/1/model.onnx": b"x", "resnet/config.pbtxt": b"x", "labels é.txt": b"x"}
    dotted = tarred(member("./", b"5"), *(f"./{each}" for each in files))
    made = {"zip": zipped(files), "tar": tarred(*files), "tar.gz": gzip.compress(dotted)}
    (tmp_path / "archive").write_bytes(made[form])

    unpack(tmp_path / "archive", tmp_path / "model", LIMITS)

    found = [each for each in (tmp_path / "model").rglob("*") if each.is_file()]
    assert {str(each.relative_to(tmp_path / "model")) for each in found} == set(files)
    assert {each.read_bytes() for each in found} == {b"x"}
    assert not any(each.stat().st_mode & 0o7111 for each in found)


def test_modes_of_a_tar_are_not_kept(tmp_path: Path) -> None:
    """Least of all those that would run a file as somebody else."""
    (tmp_path / "archive").write_bytes(tarred(member("a", b"0", mode=0o6777, size=1)))

    unpack(tmp_path / "archive", tmp_path / "model", LIMITS)

    assert not (tmp_path / "model" / "a").stat().st_mode & 0o7133


def test_an_archive_in_an_archive(tmp_path: Path) -> None:
    """It is but a file."""
    (tmp_path / "archive").write_bytes(zipped({"inner.zip": twice("../evil")}))

    unpack(tmp_path / "archive", tmp_path / "model", LIMITS)

    assert (tmp_path / "model" / "inner.zip").read_bytes() == twice("../evil")
