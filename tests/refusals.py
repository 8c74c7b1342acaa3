"""What is said of input that cannot be used."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tuner.errors import InputError


@contextmanager
def refused(message: str, hint: str | None = None) -> Iterator[None]:
    """The block raises an InputError with this message, and with this hint if one is given."""
    with pytest.raises(InputError) as caught:
        yield
    assert caught.value.message == message
    assert hint is None or caught.value.hint == hint


def each_refusal(
    table: Iterable[tuple[Any, Iterable[Any], str, str]],
) -> list[tuple[Any, Any, str, str]]:
    """A row for each value of a table whose messages have a place for it."""
    return [
        (subject, value, message.format(value), hint)
        for subject, values, message, hint in table
        for value in values
    ]
