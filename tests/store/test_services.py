"""One service looks after the jobs of a machine, whichever folder it has."""

import os

import pytest

from runners.process_names import in_words, name_of, own_name
from tests.runner_tests.waiting import dead_process
from tests.store.raw import execute, rows
from tuner.errors import TunerError
from tuner.store.services import look_after
from tuner.store.storage import Storage


def of_another_process(pid: int) -> str:
    """The name of another one of this machine, with that number."""
    return own_name().replace(f"/{os.getpid()}/", f"/{pid}/")


def test_another_service_looks_after_them(place: str) -> None:
    """It is refused while that one runs; one that is gone, or cannot be seen, is replaced."""
    parent = name_of(os.getppid())
    with Storage(place, create=True) as storage:
        for before in ("", of_another_process(dead_process()), f"elsewhere:1/{os.getpid()}/7/x"):
            look_after(storage, "here")
            assert own_name() in str(rows(place)["tuner_services"])
            execute(place, f"UPDATE tuner_services SET process = '{before}'")  # noqa: S608
        look_after(storage, "here")
        execute(place, f"UPDATE tuner_services SET process = '{parent}'")  # noqa: S608
        with pytest.raises(TunerError) as caught:
            look_after(storage, "here")
        look_after(storage, "there")

    assert caught.value.message == (
        f"another service, with another folder, has jobs in this database: {in_words(parent)}"
    )
    assert caught.value.hint == "end that one, or choose another `--db`"
