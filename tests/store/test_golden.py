"""The baseline's outputs in the database, with what differs from answer to answer."""

import json
import sqlite3
from pathlib import Path

from tests.report import studies
from tests.store.test_storage import stored
from tuner.load.requests import Tensor
from tuner.records import (
    Comparison,
    Golden,
)
from tuner.store.storage import Storage

GOLDEN = Golden(
    (
        Tensor("scores", "FP32", (1, 2), bytes(range(8))),
        Tensor("names", "BYTES", (0,), b""),
    ),
    varying=("names",),
    shapeless=("answer.tokens",),
)


def test_golden_outputs(place: str) -> None:
    """The baseline's outputs are kept with the study, byte by byte."""
    with Storage(str(stored(place, studies.study()))) as storage:
        before = storage.golden(studies.study().name)
        storage.save_golden(studies.study().name, GOLDEN)
        after = storage.golden(studies.study().name)
        read = storage.study(studies.study().name)

    assert before is None
    assert after == GOLDEN
    assert read.comparison == Comparison(("names", "answer.tokens"))


def test_golden_outputs_of_before(path: Path) -> None:
    """A study of a version that kept nothing but the outputs is compared in all of them."""
    with Storage(str(stored(path, studies.study()))) as storage:
        storage.save_golden(studies.study().name, GOLDEN)
    with sqlite3.connect(path) as connection:
        [[content]] = connection.execute("SELECT golden FROM tuner_studies")
        outputs = json.dumps(json.loads(content)["outputs"])
        connection.execute("UPDATE tuner_studies SET golden = ?", [outputs])
    connection.close()

    with Storage(str(path)) as storage:
        assert storage.golden(studies.study().name) == Golden(GOLDEN.outputs)
        assert storage.study(None).comparison == Comparison()
