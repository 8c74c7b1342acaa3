"""Whether outputs are those of the baseline."""

import math

import numpy as np
import pytest

from tuner.errors import Reason, TrialFailure
from tuner.load.requests import Tensor
from tuner.study.outputs import check_outputs, distance

_KINDS = {"FP16": np.float16, "FP32": np.float32, "FP64": np.float64, "INT64": np.int64}


def tensor(
    *values: float, name: str = "y", datatype: str = "FP32", shape: tuple[int, ...] | None = None
) -> Tensor:
    data = np.array(values, dtype=_KINDS[datatype])
    return Tensor(name, datatype, shape or data.shape, data.tobytes())


NAN = float("nan")
Y = tensor(1.0, -100.0)
ANOTHER = "output `y` is not the baseline's"

TOO_FAR = "output `y` differs from the baseline's by more than 1% and 0.001"


@pytest.mark.parametrize(
    ("expected", "got"),
    [
        pytest.param((Y,), (Y,), id="equal"),
        pytest.param((), (), id="none"),
        pytest.param((Y,), (tensor(1.009, -100.9),), id="within-a-percent"),
        pytest.param((tensor(0.0),), (tensor(0.0009),), id="within-a-thousandth"),
        pytest.param((tensor(2.0, datatype="FP16"),), (tensor(2.01, datatype="FP16"),), id="half"),
        pytest.param(
            (tensor(2.0, datatype="FP64"),), (tensor(2.01, datatype="FP64"),), id="double"
        ),
        pytest.param((Y, tensor(3, datatype="INT64")), (Y, tensor(3, datatype="INT64")), id="two"),
        pytest.param((tensor(np.inf),), (tensor(np.inf),), id="infinity"),
    ],
)
def test_equal_outputs(expected: tuple[Tensor, ...], got: tuple[Tensor, ...]) -> None:
    """Floating-point outputs may differ a little, in either direction; all others not at all."""
    check_outputs(expected, got)


@pytest.mark.parametrize(
    ("expected", "got", "message"),
    [
        pytest.param((Y,), (tensor(1.02, -100.0),), TOO_FAR, id="value"),
        pytest.param((tensor(0.0),), (tensor(0.002),), TOO_FAR, id="near-zero"),
        pytest.param((Y,), (tensor(NAN, -100.0),), TOO_FAR, id="nan-now"),
        pytest.param((tensor(NAN, -100.0),), (Y,), TOO_FAR, id="nan-before"),
        pytest.param((tensor(NAN),), (tensor(NAN),), TOO_FAR, id="nan-both"),
        pytest.param((tensor(np.inf),), (tensor(1.0),), TOO_FAR, id="infinity"),
        pytest.param(
            (Tensor("y", "BYTES", (1,), b"\x02\0\0\0no"),),
            (Tensor("y", "BYTES", (1,), b"\x02\0\0\0on"),),
            ANOTHER,
            id="text",
        ),
        pytest.param(
            (tensor(1000, datatype="INT64"),), (tensor(1001, datatype="INT64"),), ANOTHER, id="int"
        ),
        pytest.param((Y,), (Tensor("y", "FP32", (2,), b""),), ANOTHER, id="bytes-missing"),
        pytest.param(
            (Y,),
            (tensor(1.0, -100.0, datatype="FP64"),),
            "the baseline gave ('y', 'FP32', (2,)), this configuration ('y', 'FP64', (2,))",
            id="datatype",
        ),
        pytest.param(
            (Y,),
            (tensor(1.0, -100.0, shape=(2, 1)),),
            "the baseline gave ('y', 'FP32', (2,)), this configuration ('y', 'FP32', (2, 1))",
            id="shape",
        ),
        pytest.param(
            (Y,),
            (tensor(1.0, -100.0, name="z"),),
            "the baseline gave ('y', 'FP32', (2,)), this configuration ('z', 'FP32', (2,))",
            id="name",
        ),
        pytest.param(
            (Y,), (Y, Y), "the baseline gave 1 outputs, this configuration 2", id="one-more"
        ),
        pytest.param(
            (Y, Y), (Y,), "the baseline gave 2 outputs, this configuration 1", id="one-less"
        ),
    ],
)
def test_other_outputs(
    expected: tuple[Tensor, ...], got: tuple[Tensor, ...], message: str
) -> None:
    """Another name, type, shape, count or value is a wrong output; NaN equals nothing."""
    with pytest.raises(TrialFailure) as caught:
        check_outputs(expected, got)

    assert caught.value.reason is Reason.WRONG_OUTPUT
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("got", "far"),
    [
        pytest.param((Y,), 0.0, id="equal"),
        pytest.param((tensor(1.0, -97.0),), 0.03, id="largest"),
        pytest.param((tensor(5.0, -100.0),), 0.04, id="small-number"),
        pytest.param((tensor(-4.0, -100.0),), 0.05, id="at-the-limit"),
    ],
)
def test_stated_tolerance(got: tuple[Tensor, ...], far: float) -> None:
    """A stated tolerance is a share of the output's largest value, and the distance is told."""
    check_outputs((Y,), got, tolerance=0.05)

    assert distance((Y,), got) == pytest.approx(far)


def test_the_farthest_output_counts() -> None:
    """Of several outputs the one that is farthest away is told of."""
    outputs = (tensor(99.0), tensor(2.0), tensor(4.0))
    expected = (tensor(100.0), tensor(2.1), tensor(4.0))

    assert distance(expected, outputs) == pytest.approx(0.1 / 2.1)


@pytest.mark.parametrize(
    "got", [(), (Y, Y), (tensor(1.0, -100.0, name="z"),), (tensor(1, -100, datatype="INT64"),)]
)
def test_what_cannot_be_compared_is_infinitely_far(got: tuple[Tensor, ...]) -> None:
    """Other names, types, shapes or counts have no distance."""
    assert distance((Y,), got) == math.inf


@pytest.mark.parametrize(
    ("first", "second", "far"),
    [(1.0, 1.2, "20.00%"), (0.0, 0.1, "inf%"), (1.0, NAN, "inf%"), (NAN, NAN, "inf%")],
)
def test_beyond_the_tolerance(first: float, second: float, far: float) -> None:
    """More than the stated tolerance is a wrong output, with how far it is away."""
    with pytest.raises(TrialFailure) as caught:
        check_outputs((tensor(first),), (tensor(second),), tolerance=0.1)

    assert caught.value.reason is Reason.WRONG_OUTPUT
    assert str(caught.value) == (
        f"output `y` differs from the baseline's by {far} of its largest value, more than the "
        "tolerance of 10.00%"
    )


def test_whole_numbers_and_texts_are_exact() -> None:
    """No tolerance makes another class or another text right."""
    with pytest.raises(TrialFailure, match="output `y` is not the baseline's"):
        check_outputs(
            (tensor(3, datatype="INT64"),), (tensor(4, datatype="INT64"),), tolerance=0.9
        )
