"""Files that are there whole or not at all."""

import os
import threading
from pathlib import Path

import pytest

from tests.refusals import refused
from tests.runner_tests.waiting import DEADLINE_S
from tuner.report.whole_file import check_writable, write_whole

HINT = "choose a file in a folder that exists and that you may write to"


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_writes_it_whole(tmp_path: Path) -> None:
    """A file is replaced at once; nothing else is left in the folder."""
    path = tmp_path / "perf.csv"
    path.write_text("before")

    check_writable(path)
    assert path.read_text() == "before"
    write_whole(path, "a,b\n1,µ\n")

    assert path.read_bytes() == "a,b\n1,µ\n".encode()
    assert names_in(tmp_path) == ["perf.csv"]


def test_what_was_there_stays_until_then(tmp_path: Path) -> None:
    """Text that cannot be written leaves the file as it was, and nothing beside it."""
    path = tmp_path / "perf.csv"
    path.write_text("before")

    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "after \ud800")

    assert path.read_text() == "before"
    assert names_in(tmp_path) == ["perf.csv"]


def test_a_link_stays_one(tmp_path: Path) -> None:
    """What a link points to is written, and it stays a link."""
    link = tmp_path / "link.csv"
    link.symlink_to(tmp_path / "perf.csv")

    check_writable(link)
    write_whole(link, "text")

    assert link.is_symlink()
    assert (tmp_path / "perf.csv").read_text() == "text"


def test_a_pipe_stays_one(tmp_path: Path) -> None:
    """A pipe or a device is written to, not replaced."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()), daemon=True)
    reader.start()

    check_writable(pipe)
    write_whole(pipe, "text")
    reader.join(DEADLINE_S)

    assert read == ["text"]
    assert pipe.is_fifo()


def test_what_cannot_be_written(tmp_path: Path) -> None:
    """Before and after the work the refusal is the same, and says what to do."""
    (tmp_path / "file").touch()
    faults = {
        tmp_path: "Is a directory",
        tmp_path / "missing" / "perf.csv": "No such file or directory",
        tmp_path / "file" / "perf.csv": "Not a directory",
        tmp_path / ("x" * 300): "File name too long",
    }
    for path, reason in faults.items():
        for refuse in (check_writable, lambda path: write_whole(path, "text")):
            with refused(f"`{path}` cannot be written: {reason}", HINT):
                refuse(path)
    assert names_in(tmp_path) == ["file"]
