"""Copies of a database, made while others use it; and damage that is found before it is used."""

from pathlib import Path

import pytest

from tests.refusals import refused
from tests.report import studies
from tests.store.holding import held
from tests.store.test_storage import stored
from tuner.errors import StorageError
from tuner.store.storage import Storage

STUDY = studies.small_study()


def test_a_copy_while_somebody_writes(path: Path, tmp_path: Path) -> None:
    """It has all that was stored, in one file."""
    stored(path, STUDY)
    copy = tmp_path / "copies" / "copy.db"
    copy.parent.mkdir()
    with Storage(str(path), create=True) as storage, held(path, "immediate"):
        storage.backup(copy)
        written = storage.study(None)
    with Storage(str(copy)) as storage:
        assert repr(storage.study(None)) == repr(written)
    assert [each.name for each in copy.parent.iterdir()] == ["copy.db"]


def test_nothing_is_overwritten(path: Path, tmp_path: Path) -> None:
    """A file that is there stays as it is."""
    there = tmp_path / "there.db"
    there.write_text("something")
    with (
        Storage(str(stored(path, STUDY))) as storage,
        refused(f"{there}: exists already", "name a new file"),
    ):
        storage.backup(there)
    assert there.read_text() == "something"


def test_where_nothing_can_be_written(path: Path, tmp_path: Path) -> None:
    """No half of a copy stays."""
    copy = tmp_path / "no folder" / "copy.db"
    with Storage(str(stored(path, STUDY))) as storage, pytest.raises(StorageError) as caught:
        storage.backup(copy)
    assert caught.value.message == f"{copy}: cannot be opened"


def test_damage_is_found_before_a_study_goes_on(path: Path) -> None:
    """Where a page of a table is overwritten, nobody searches for a night; the file stays so."""
    stored(path, STUDY)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2 // 4096 * 4096
    content[middle : middle + 4096] = b"\xff" * 4096
    path.write_bytes(content)

    with pytest.raises(StorageError) as caught, Storage(str(path), create=True):
        pass

    assert caught.value.message == f"{path}: is damaged"
    assert path.read_bytes() == content
    assert [each.name for each in path.parent.iterdir()] == [path.name]
