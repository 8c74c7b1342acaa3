"""The folders in which studies stage their models, and what becomes of those left behind."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.targets.unprivileged import open_place, unprivileged
from tuner.study import workspaces

__all__ = ["open_place"]


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


def closed(folder: Path) -> None:
    """A folder that nobody may write to, with a file in it."""
    (folder / "store").mkdir()
    (folder / "store" / "m").touch()
    (folder / "store").chmod(0o555)
    folder.chmod(0o555)


@pytest.fixture
def open_temporary(open_place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary files that can be closed."""
    monkeypatch.setattr(tempfile, "tempdir", str(open_place))
    return open_place


def test_what_nobody_may_write_to_is_removed(open_temporary: Path) -> None:
    """A model that was read-only, or a server that closed its folder, leaves nothing."""
    with unprivileged(open_temporary):
        with workspaces.opened() as folder:
            closed(folder)
        assert list(open_temporary.iterdir()) == []


def test_what_cannot_be_removed_is_told_of(
    open_temporary: Path, gone: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is said to be removed that is still there."""
    with unprivileged(open_temporary):
        with workspaces.opened() as folder:
            (folder / "m").touch()
            open_temporary.chmod(0o555)
        left = left_in(open_temporary, gone)
        assert caplog.messages == [f"{folder} could not be removed: {workspaces.REMOVE_IT}"]
        assert workspaces.remove_abandoned() == ()
        assert workspaces.abandoned() == (left,)
    open_temporary.chmod(0o755)
    assert workspaces.remove_abandoned() == (left,)
    assert workspaces.abandoned() == ()


def left_in(temporary: Path, gone: int) -> Path:
    """What a tuner that is no more left in a folder that is closed by now."""
    temporary.chmod(0o755)
    left = left_behind(temporary, f"tuner-workspace-{gone}-x")
    temporary.chmod(0o555)
    return left
