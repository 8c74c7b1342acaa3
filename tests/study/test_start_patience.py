"""How long a start may take."""

import pytest

from tuner.study.start_patience import StartPatience

pytestmark = pytest.mark.pure


@pytest.mark.parametrize(
    ("allowed_s", "seen_s", "timeout_s"),
    [
        pytest.param(120, [], 120, id="what is allowed, until one was seen"),
        pytest.param(120, [5], 50, id="ten times what was seen"),
        pytest.param(120, [5, 2], 50, id="of the slowest that was seen"),
        pytest.param(120, [0.1], 30, id="a quarter of what is allowed at least"),
        pytest.param(120, [40], 120, id="never more than is allowed"),
    ],
)
def test_timeout(allowed_s: float, seen_s: list[float], timeout_s: float) -> None:
    """It follows the slowest start, within bounds that a person sets."""
    patience = StartPatience(allowed_s)
    for each in seen_s:
        patience.saw(each)

    assert patience.timeout_s == timeout_s
