"""What is said of input that cannot be used."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tuner.errors import InputError


@contextmanager
def refused(message: str, hint: str | None = None) -> Iterator[None]:
    """The block raises an InputError with this message, and with this hint if one is given."""
    with pytest.raises(InputError) as caught:
        yield
    assert caught.value.message == message
    assert hint is None or caught.value.hint == hint
