"""Rights to files are nothing to root: what they do is seen as somebody else."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_NOBODY = 65534


@pytest.fixture
def open_place() -> Iterator[Path]:
    """A folder that everybody can get to, which those of pytest are not."""
    folder = os.environ.get("TMPDIR", "/tmp")  # noqa: S108 - whatever a test makes of `tempfile`
    with tempfile.TemporaryDirectory(prefix="open-place-", dir=folder) as name:
        Path(name).chmod(0o755)
        yield Path(name)


@contextmanager
def unprivileged(folder: Path) -> Iterator[None]:
    """Within, this process has the rights of nobody, who owns `folder` and all that is in it.

    Without root's rights it has those that it has anyway.
    """
    if os.geteuid() != 0:
        yield
        return
    for path in (folder, *folder.rglob("*")):
        os.chown(path, _NOBODY, _NOBODY, follow_symlinks=False)
    os.seteuid(_NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
