"""What is sent is never nothing."""

import pytest

from tuner.load.requests import RequestSet, SequenceSet, SequenceStep


def test_a_request_set_is_not_empty() -> None:
    """There must be something to send: requests, or sequences in their place."""
    with pytest.raises(ValueError, match="a request set needs at least one request"):
        RequestSet(())
    step = SequenceStep({(True, True): (b"id=", b"\n")})
    sequences = SequenceSet(streams=((step,),), encode_id=lambda number: b"%d" % number)
    assert RequestSet((), sequences=sequences).sequences is sequences


@pytest.mark.parametrize("streams", [(), ((),)])
def test_a_sequence_set_is_not_empty(streams: tuple[tuple[SequenceStep, ...], ...]) -> None:
    """A sequence without a step would never begin."""
    with pytest.raises(ValueError, match="a sequence set needs at least one step in each stream"):
        SequenceSet(streams=streams, encode_id=bytes)
