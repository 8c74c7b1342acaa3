"""Databases that cannot be used: each says what is wrong and what to do, and stays as it is."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.analysis.known import known
from tests.report import studies
from tests.spaces import integer, space
from tests.store.holding import held
from tests.store.test_storage import stored
from tuner.errors import InputError, StorageError, TunerError
from tuner.search.search import Search
from tuner.store.storage import Storage

OTHER = "name another with `--db`"
CREATE = "`tuner optimize --budget-ms 50` makes one; `--db` names another"
EXAMPLE = "for example: studies.db, or postgresql+psycopg://host/name"


def read_only(path: Path) -> str:
    """A URL under which SQLite refuses to write, whoever asks: root too."""
    return f"sqlite:///file:{path}?mode=ro&uri=true"


def refused(location: str, *, create: bool = False) -> TunerError:
    with (
        pytest.raises(TunerError) as caught,
        Storage(location, create=create, busy_s=0.0),
    ):
        pass
    return caught.value


def changed(path: Path, statement: str) -> None:
    """What an SQL statement makes of a database with a study."""
    stored(path, studies.small_study())
    connection = sqlite3.connect(path)
    connection.execute(statement)
    connection.commit()
    connection.close()


def of_another_program(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE bookmarks (url TEXT)")
    connection.close()


def overwritten(path: Path) -> None:
    """Pages that make no sense."""
    stored(path, studies.small_study())
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))


def with_an_odd_schema(path: Path) -> None:
    """SQLite quotes what it cannot parse, even if that is no text."""
    stored(path, studies.study())
    schema = b"CREATE TABLE tuner_studies", b"CREATE \xffABLE tuner_studies"
    path.write_bytes(path.read_bytes().replace(*schema))


DAMAGED = "is damaged", "restore a copy, or name another with `--db`"
UNOPENED = "cannot be opened", "check the folder and its permissions"
FILES: dict[str, tuple[Callable[[Path], object], type[TunerError], str, str]] = {
    "something else": (
        lambda path: path.write_text("trial,throughput\n1,100\n" * 100),
        StorageError,
        "is not an SQLite database",
        OTHER,
    ),
    "a folder": (Path.mkdir, StorageError, *UNOPENED),
    "another program's": (of_another_program, InputError, "holds no studies", CREATE),
    "an empty file": (Path.touch, InputError, "holds no studies", CREATE),
    "damaged": (overwritten, StorageError, *DAMAGED),
    "an odd schema": (with_an_odd_schema, StorageError, *DAMAGED),
    "a newer version's": (
        lambda path: changed(path, "UPDATE tuner_migrations SET version_num = '9999'"),
        StorageError,
        "was written by a newer version of tuner (revision 9999, this one knows up to 0012)",
        "upgrade: pip install --upgrade serving-tuner",
    ),
    "a version's before the first release": (
        lambda path: changed(path, "UPDATE tuner_migrations SET version_num = '0002'"),
        StorageError,
        "was written before the first release (revision 0002), and is read from revision 0003 on",
        OTHER,
    ),
}


# A database without studies is where studies begin, so only its reader is refused.
OPENED = [
    pytest.param(*row, create, id=f"{name}-{create}")
    for name, row in FILES.items()
    for create in (False, True)
    if not (create and row[1] is InputError)
]


@pytest.mark.parametrize(("make", "kind", "message", "hint", "create"), OPENED)
def test_a_file_that_is_no_database_of_ours(
    path: Path,
    make: Callable[[Path], object],
    kind: type[TunerError],
    message: str,
    hint: str,
    create: bool,  # noqa: FBT001 - a column
) -> None:
    """It is called what it is, with what to do, and stays as it is."""
    make(path)
    before = path.read_bytes() if path.is_file() else None

    error = refused(str(path), create=create)

    assert (type(error), error.message, error.hint) == (kind, f"{path}: {message}", hint)
    assert before == (path.read_bytes() if path.is_file() else None)


def test_a_folder_that_does_not_exist(tmp_path: Path) -> None:
    """No folder is made for a database: its name is probably mistyped."""
    mistyped = tmp_path / "stduies" / "a.db"
    error = refused(str(mistyped), create=True)

    assert (type(error), error.message) == (StorageError, f"{mistyped}: cannot be opened")
    assert list(tmp_path.iterdir()) == []


def test_reading_where_there_is_no_database(path: Path) -> None:
    """Whoever asks for results where there are none is told so, and no file appears."""
    error = refused(str(path))

    assert (type(error), error.hint) == (InputError, CREATE)
    assert error.message == f"{path}: there is no such database"
    assert not path.exists()


def test_a_name_too_long_for_a_file(tmp_path: Path) -> None:
    """A name that the system does not take is the database's problem, not a traceback."""
    error = refused(str(tmp_path / ("x" * 300)))

    assert error.message == f"{tmp_path / ('x' * 300)}: cannot be opened"


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE tuner_studies SET request = '{\"batch'",
        "UPDATE tuner_studies SET limit_s = -1",
        "UPDATE tuner_trials SET state = 'unheard of'",
        "UPDATE tuner_trials SET statistics = '{}'",
        "UPDATE tuner_trials SET message = CAST(x'FF' AS TEXT)",
        "ALTER TABLE tuner_trials RENAME COLUMN log_tail TO log_head",
    ],
)
def test_contents_that_make_no_sense(path: Path, change: str) -> None:
    """What SQLite reads and the tuner cannot understand is damage as well."""
    changed(path, change)

    with Storage(str(path)) as storage, pytest.raises(StorageError) as caught:
        storage.study(None)

    assert caught.value.message == f"{path}: is damaged"


def test_a_file_cut_short(path: Path) -> None:
    """Half a file, as a full disk or a broken copy leaves it, is called damaged."""
    stored(path, studies.small_study())
    path.write_bytes(path.read_bytes()[:-20_000])

    with pytest.raises(StorageError) as caught, Storage(str(path)) as storage:
        storage.study(None)

    assert caught.value.message == f"{path}: is damaged"


def test_a_read_only_database_can_be_reported_on(path: Path) -> None:
    """Reading asks for no right to write."""
    stored(path, studies.small_study())

    with Storage(read_only(path)) as storage:
        assert len(storage.study(None).trials) == 7
        assert len(storage.studies()) == 1


def test_a_read_only_database_is_not_written(path: Path) -> None:
    """A study cannot begin in a read-only database: that is said, and nothing is changed."""
    stored(path, studies.small_study())
    before = path.read_bytes()

    with (
        Storage(read_only(path), create=True) as storage,
        pytest.raises(StorageError) as caught,
    ):
        storage.create_study(studies.study(name="another"))

    assert caught.value.message == f"file:{path}: is read-only"
    assert caught.value.hint == "make it and its folder writable, or name another with `--db`"
    assert path.read_bytes() == before


def test_a_read_only_empty_database(path: Path) -> None:
    """A database that would have to be brought up to date says that it is read-only."""
    path.touch()

    assert refused(read_only(path), create=True).message == f"file:{path}: is read-only"
    assert path.read_bytes() == b""


def test_locked_against_reading(path: Path) -> None:
    """While another process holds the whole file, waiting is what helps."""
    stored(path, studies.study())
    before = path.read_bytes()

    with held(path, "exclusive") as holder:
        error = refused(str(path))
        name = Path(f"/proc/{holder.pid}/comm").read_text().strip()

    assert type(error) is StorageError
    assert error.message == f"{path}: is locked by another process"
    assert error.hint == (
        f"it is open in {name} (process {holder.pid}): wait for that, or end it; or name another "
        "with `--db`"
    )
    assert path.read_bytes() == before


def test_locked_by_somebody_who_cannot_be_seen(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other users' processes, and other machines', are spoken of in general words."""
    stored(path, studies.study())
    monkeypatch.setattr("tuner.store.holders._PROCESSES", Path("/nowhere"))

    with held(path, "exclusive"):
        error = refused(str(path))

    assert error.hint == "wait for it, or end it; or name another with `--db`"


def test_locked_against_writing(path: Path) -> None:
    """A trial that cannot be written because another process writes says so; reading goes on."""
    study = studies.study()
    stored(path, study)
    before = path.read_bytes()

    with held(path, "immediate"), Storage(str(path), busy_s=0.0) as storage:
        with pytest.raises(StorageError) as caught:
            storage.save_trial(study.name, studies.baseline())
        assert storage.study(None).trials == ()

    assert caught.value.message == f"{path}: is locked by another process"
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("url", "message", "hint"),
    [
        ("://", "`://` is not a database URL", EXAMPLE),
        (
            "postgresql://host:port/name",
            "`postgresql://host:port/name` is not a database URL",
            EXAMPLE,
        ),
        ("oracul://host/name", "`oracul` is not a database that is known", EXAMPLE),
        (
            "mysql+oursql9://host/name",
            "`mysql+oursql9` is not a database that is known",
            EXAMPLE,
        ),
        (
            "sqlite://",
            "a database in memory would be lost when the command ends",
            "name a file: `--db studies.db`",
        ),
        (
            "sqlite:///:memory:",
            "a database in memory would be lost when the command ends",
            "name a file: `--db studies.db`",
        ),
    ],
)
def test_a_wrong_url(url: str, message: str, hint: str) -> None:
    """A URL that names no usable database is an option that cannot be used."""
    error = refused(url, create=True)

    assert type(error) is InputError
    assert (error.message, error.hint) == (message, hint)


def test_a_driver_that_is_not_installed() -> None:
    """A database whose driver is missing names the package to install."""
    error = refused("mssql+pymssql://sa:secret@localhost/x", create=True)

    assert error.message == "`mssql+pymssql` needs the package pymssql, which is not installed"
    assert error.hint == "pip install pymssql"


def test_the_search_translates_too(path: Path) -> None:
    """Optuna's tables are refused in the same words as ours."""

    def search(url: str) -> Search:
        searched = space(integer(high=9))
        return Search(searched, studies.BUDGET, storage_url=url, study_name="s", seed=0)

    writer = search(f"sqlite:///{path}")
    proposal = known(writer.ask())
    with pytest.raises(StorageError) as caught_opening:
        search(read_only(path))
    connection = sqlite3.connect(path)
    connection.execute("DROP TABLE trial_values")
    connection.close()
    with pytest.raises(StorageError) as caught_telling:
        writer.tell(proposal.number, studies.trial(proposal.number, 100.0))

    assert caught_opening.value.message == f"file:{path}: is read-only"
    assert caught_telling.value.message == f"{path}: no such table: trial_values"
    assert caught_telling.value.hint == "check the database and its permissions"


@pytest.mark.parametrize("replaced", [False, True])
def test_a_database_that_is_removed_while_it_is_in_use(
    path: Path,
    *,
    replaced: bool,
) -> None:
    """Nothing is written any more, where it would be lost; nor into another file of its name."""
    stored(path, studies.study())
    with Storage(str(path), create=True) as storage:
        path.rename(path.with_name("elsewhere.db"))
        if replaced:
            path.write_text("something else")
        with pytest.raises(StorageError) as caught:
            storage.save_stopped("encoder-p99-50ms", "the time was used up")
    assert caught.value.message == (
        f"{path}: was removed, or replaced by another file, while it was in use"
    )
    assert path.exists() == replaced
    assert not replaced or path.read_text() == "something else"
