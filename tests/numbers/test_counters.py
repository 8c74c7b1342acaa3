"""What counters counted between two readings."""

import pytest

from tuner.numbers.counters import grown


@pytest.mark.parametrize(
    ("now", "before", "found"),
    [
        (7, 3, 4),
        (0.75, 0.5, 0.25),
        ({1: 5, 4: 2, 8: 1}, {1: 5, 4: 1}, {4: 1, 8: 1}),
        ({}, {}, {}),
        (3, None, 3),
        (None, 3, None),
        (None, None, None),
    ],
)
def test_what_was_added(now: object, before: object, found: object) -> None:
    """Of several counters, those that are new or have grown; nothing is known without one now."""
    assert grown(now, before) == found
