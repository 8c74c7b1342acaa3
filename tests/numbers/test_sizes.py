"""Sizes of memory as people write them."""

import pytest

from tuner.numbers.sizes import size_bytes


@pytest.mark.parametrize(
    ("text", "size"),
    [("", 0), ("4096", 4096), ("1b", 1), ("64k", 65536), ("1.5m", 3 << 19), ("4G", 4 << 30)],
)
def test_sizes_in_bytes(text: str, size: int) -> None:
    """As Docker has them, in either case; nothing is 0."""
    assert size_bytes(text) == size
