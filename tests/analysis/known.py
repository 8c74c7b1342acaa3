"""What may be missing, and is not in this test."""

from typing import TypeVar

_Known = TypeVar("_Known")


def known(value: _Known | None) -> _Known:
    """`value`, which is there."""
    assert value is not None
    return value
