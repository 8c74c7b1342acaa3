"""What the load engine can do on a machine is measured once, and known for 30 days."""

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.store.test_storage import stored
from tuner.load.calibration import Calibration
from tuner.store.storage import Storage


def test_calibrations(place: str) -> None:
    """What the load engine can do is known by machine and payload; the newest one counts."""
    old, new, large = (Calibration(rate, 1e-4 / 3) for rate in (20e3, 30e3, 500.0))

    with Storage(str(stored(place))) as storage:
        nothing = storage.calibration("ab12cd34ef", 2)
        for payload_bytes, calibration in ((2, old), (150_000, large), (2, new)):
            storage.save_calibration("ab12cd34ef", payload_bytes, calibration)

        assert nothing is None
        assert storage.calibration("ab12cd34ef", 2) == new
        assert storage.calibration("ab12cd34ef", 150_000) == large
        assert storage.calibration("ab12cd34ef", 3) is None
        assert storage.calibration("0000000000", 2) is None


@pytest.mark.parametrize(("days", "known"), [(29, True), (31, False)])
def test_old_calibrations_do_not_count(path: Path, days: int, *, known: bool) -> None:
    """After 30 days a machine is measured again."""
    with Storage(str(stored(path))) as storage:
        storage.save_calibration("ab12cd34ef", 2, Calibration(20e3, 1e-4))
        connection = sqlite3.connect(path)
        moment = datetime.now(UTC).replace(tzinfo=None) - timedelta(days=days)
        connection.execute("UPDATE tuner_calibrations SET measured_at = ?", (str(moment),))
        connection.commit()
        connection.close()

        assert (storage.calibration("ab12cd34ef", 2) is not None) is known

        storage.save_calibration("ab12cd34ef", 2, Calibration(30e3, 1e-4))
        assert storage.calibration("ab12cd34ef", 2) == Calibration(30e3, 1e-4)


def test_until_a_moment(path: Path) -> None:
    """What the machine did when a study ended is not known where it was measured anew since."""
    with Storage(str(stored(path))) as storage:
        before = datetime.now(UTC)
        storage.save_calibration("ab12cd34ef", 2, Calibration(20e3, 1e-4))
        after = datetime.now(UTC) + timedelta(days=365)

        assert storage.calibration("ab12cd34ef", 2, until=before) is None
        assert storage.calibration("ab12cd34ef", 2, until=after) == Calibration(20e3, 1e-4)
