"""What tests of the database share."""

from pathlib import Path

import pytest


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Of a database that is not there yet."""
    return tmp_path / "studies.db"
