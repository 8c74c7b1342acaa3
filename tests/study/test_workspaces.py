"""The folders in which studies stage their models, and what becomes of those left behind."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tuner.study import workspaces


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary files of which nobody else makes use."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture(scope="module")
def gone() -> Iterator[int]:
    """The number of a process that is no more."""
    with subprocess.Popen(["true"]) as process:
        process.wait()
        yield process.pid


def left_behind(folder: Path, name: str) -> Path:
    left = folder / name
    (left / "store").mkdir(parents=True)
    (left / "store" / "m.mar").touch()
    return left


def test_a_workspace_is_there_for_the_time_of_its_block(temporary: Path) -> None:
    """It is empty, belongs to this process, and is gone afterwards with what is in it."""
    with workspaces.opened() as folder:
        assert folder.parent == temporary
        assert folder.name.startswith(f"tuner-workspace-{os.getpid()}-")
        assert list(folder.iterdir()) == []
        (folder / "store").mkdir()
        (folder / "store" / "m.mar").touch()
    assert list(temporary.iterdir()) == []


def test_an_error_ends_it_too(temporary: Path) -> None:
    """Nothing is left of a study that failed."""
    with pytest.raises(ValueError, match="failed"), workspaces.opened():
        raise ValueError("failed")
    assert list(temporary.iterdir()) == []


def test_a_workspace_that_is_gone_already() -> None:
    """Whoever removes it himself does no harm."""
    with workspaces.opened() as folder:
        folder.rmdir()


def test_two_at_a_time() -> None:
    """Each study has its own, and none removes those of others that still run."""
    with workspaces.opened() as first:
        with workspaces.opened() as second:
            assert first != second
            assert first.is_dir()
        assert first.is_dir()


def test_those_of_killed_tuners_are_removed(temporary: Path, gone: int) -> None:
    """What a tuner that was killed could not remove, the next one does, and says so."""
    left = [left_behind(temporary, f"tuner-workspace-{gone}-{each}") for each in "ab"]
    others = left_behind(temporary, f"tuner-workspace-{os.getppid()}-a")

    assert sorted(workspaces.remove_abandoned()) == left
    assert list(temporary.iterdir()) == [others]
    assert workspaces.remove_abandoned() == ()


def test_a_study_begins_with_the_removal(temporary: Path, gone: int) -> None:
    """Nobody has to clean up by hand."""
    left_behind(temporary, f"tuner-workspace-{gone}-a")
    with workspaces.opened() as folder:
        assert list(temporary.iterdir()) == [folder]


@pytest.mark.parametrize(
    "name",
    [
        "tuner-workspace-x-a",
        "tuner-workspace--a",
        "tuner-workspace-0-a",
        "tuner-workspace-²-a",
        "tuner-workspace-99999999999999999999-a",
        "tuner-workspace-{gone}",
        "other-tuner-workspace-{gone}-a",
    ],
)
def test_what_is_called_otherwise_is_left_alone(temporary: Path, gone: int, name: str) -> None:
    """A folder whose name no tuner gives belongs to somebody else, and stops nobody."""
    left_behind(temporary, name.format(gone=gone))

    assert workspaces.remove_abandoned() == ()
    assert len(list(temporary.iterdir())) == 1


def test_what_is_no_folder_is_left_alone(temporary: Path, gone: int) -> None:
    """Neither a file nor a link, nor what the link leads to, is removed or told of."""
    target = left_behind(temporary, "models")
    (temporary / f"tuner-workspace-{gone}-file").touch()
    (temporary / f"tuner-workspace-{gone}-link").symlink_to(target)

    assert workspaces.remove_abandoned() == ()
    assert (target / "store" / "m.mar").is_file()
    assert len(list(temporary.iterdir())) == 3
