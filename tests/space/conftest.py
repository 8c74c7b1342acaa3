"""What tests of spaces share."""

from pathlib import Path

import pytest


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A space file that is to be written."""
    return tmp_path / "space.yaml"
