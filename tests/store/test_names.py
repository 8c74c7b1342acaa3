"""The names of studies, as a shell that completes words reads them."""

from dataclasses import replace
from pathlib import Path

from tests.report import studies
from tests.store.test_storage import stored
from tuner.store.names import names
from tuner.store.storage import Storage

STUDY = studies.small_study()


def test_names(tmp_path: Path) -> None:
    """The same as the storage has, the newest first, by path and by URL; also while it is open."""
    older = replace(STUDY, name="it's 100 % old?", created_at=STUDY.created_at.replace(year=2001))
    path = stored(tmp_path / "some studies.db", older, STUDY)

    with Storage(str(path), create=True) as storage:
        assert names(str(path)) == storage.names() == (STUDY.name, older.name)
    assert names(f"sqlite:///{path}") == (STUDY.name, older.name)


def test_what_cannot_be_read(tmp_path: Path) -> None:
    """Whatever is wrong, there are no names and no new file: nobody reads an error there."""
    (tmp_path / "text.db").write_text("text\n" * 1000)
    (tmp_path / "empty.db").touch()

    for each in ("text.db", "empty.db", "missing.db", ".", "no/where.db"):
        assert names(str(tmp_path / each)) == ()
    assert names("postgresql://nobody@127.0.0.1:9/none") == ()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["empty.db", "text.db"]
