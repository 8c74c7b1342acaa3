"""The kernel's own count of processes that it ended for want of memory."""

from pathlib import Path

import pytest

from tuner.watch.oom_kills import oom_kills


def test_of_this_machine() -> None:
    """It never falls."""
    before, after = oom_kills(), oom_kills()
    assert before is not None
    assert after is not None
    assert 0 <= before <= after


@pytest.mark.parametrize(
    ("text", "found"),
    [("nr_free_pages 7\noom_kill 12\nother 1\n", 12), ("nr_free_pages 7\n", None), ("", None)],
)
def test_as_the_kernel_writes_it(tmp_path: Path, text: str, found: int | None) -> None:
    """Older kernels do not count."""
    (tmp_path / "vmstat").write_text(text)
    assert oom_kills(tmp_path / "vmstat") == found


def test_where_it_is_not_told(tmp_path: Path) -> None:
    """Nobody knows then."""
    assert oom_kills(tmp_path / "nothing") is None
