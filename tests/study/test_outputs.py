"""Whether outputs are those of the baseline."""

import json
import math
import re

import numpy as np
import pytest

from tests.refusals import refused
from tuner.errors import Reason, TrialFailure
from tuner.load.requests import Tensor
from tuner.protocols.tensors.datatypes import pack_strings
from tuner.records import Comparison
from tuner.study.outputs import (
    answer_distance,
    check_answer,
    check_outputs,
    counted,
    distance,
    golden_of,
)
from tuner.targets.json_outputs import as_tensors

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


def answer(**content: object) -> tuple[Tensor, ...]:
    return counted(as_tensors(json.dumps(content).encode()), None)


def chat(number: int, *texts: str, score: float = 0.5) -> tuple[Tensor, ...]:
    """An answer of a language model, with what differs each time."""
    return answer(
        id=f"chat-{number}",
        created=1_764_000_000 + number,
        choices=[{"index": n, "text": text} for n, text in enumerate(texts)],
        model="m",
        score=score,
        tokens=list(range(number)),
    )


CHAT = golden_of([chat(n + 1, f"text {n}", "two") for n in range(3)])


def test_what_differs_each_time_is_found() -> None:
    """Ids, times and samples by their places; a list of another length as a whole."""
    assert CHAT.varying == ("answer.choices[0].text", "answer.created", "answer.id")
    assert CHAT.shapeless == ("answer.tokens",)
    assert CHAT.comparison == Comparison(
        ("answer.choices[0].text", "answer.created", "answer.id", "answer.tokens")
    )


@pytest.mark.parametrize(
    ("got", "message"),
    [
        (chat(9, "another", "two"), ""),
        (chat(9, "another", "three"), "output `answer.choices[1].text` is not the baseline's"),
        (
            chat(9, "another", "two", score=0.6),
            "output `answer.score` differs from the baseline's by more than 1% and 0.001",
        ),
        (answer(model="m"), "the baseline gave"),
    ],
)
def test_the_rest_is_still_compared(got: tuple[Tensor, ...], message: str) -> None:
    """A wrong value beside an id is wrong."""
    if not message:
        check_answer(CHAT, got)
        assert answer_distance(CHAT, got) == 0.0
        return
    with pytest.raises(TrialFailure) as caught:
        check_answer(CHAT, got)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("answers", "places"),
    [
        # The same in every element of a list
        ([answer(c=[{"t": a}, {"t": a}]) for a in "xyz"], ("answer.c[*].t",)),
        # as many elements as there happen to be
        ([answer(c=[{"t": "x"}] * n) for n in (1, 2)], ("answer.c[*]",)),
        ([answer(c=["x"] * n, d=1) for n in (0, 2)], ("answer.c[*]",)),
        # a key that is there or not, with all below it
        ([answer(a=1), answer(a=1, b={"c": 2, "d": 3})], ("answer.b.c", "answer.b.d")),
        # an object whose keys are ids
        ([answer(r={a: {"x": 1}}, n=1) for a in ("u1", "u2", "u3")], ("answer.r",)),
        # null or a number
        ([answer(a=None, b=1), answer(a=1, b=1)], ("answer.a",)),
        # a moment in seconds, which a tolerance would not tell from the next
        ([answer(at=1_764_000_000 + n, x=1e9 + 0.5 + n) for n in range(2)], ("answer.at",)),
        # no JSON at all
        ([as_tensors(b"a"), as_tensors(b"b")], ("answer",)),
        ([(tensor(1, 2), tensor(3)), (tensor(1, 2), tensor(3))], ()),
        ([(tensor(1, name="a"), Y), (tensor(2, name="a"), Y)], ("a",)),
    ],
)
def test_places_that_differ(answers: list[tuple[Tensor, ...]], places: tuple[str, ...]) -> None:
    """Each kind of difference has its place; all the baseline's answers agree with the first."""
    golden = golden_of(answers)
    assert golden.places == places
    for each in answers:
        check_answer(golden, each)


@pytest.mark.parametrize(
    ("got", "message"),
    [
        ((tensor(7.0, 8.0),), ""),
        ((tensor(7.0),), "the baseline gave ('y', 'FP32', (2,)), this configuration"),
        ((tensor(7, 8, datatype="INT64"),), "the baseline gave ('y', 'FP32', (2,)), this"),
        ((tensor(7.0, NAN),), "output `y` contains NaN"),
    ],
)
def test_where_everything_differs_shapes_do_not(got: tuple[Tensor, ...], message: str) -> None:
    """A server whose answers are all random has its types, its shapes, and no NaN."""
    golden = golden_of([(tensor(1.0, 2.0),), (tensor(3.0, 4.0),)])
    assert golden.comparison == Comparison(("y",), nothing_left=True)
    if not message:
        check_answer(golden, got)
        return
    with pytest.raises(TrialFailure, match=re.escape(message)):
        check_answer(golden, got)


def test_nan_is_nothing_that_differs_by_nature() -> None:
    """The baseline's NaN is not taken for a random number."""
    assert golden_of([(tensor(1.0),), (tensor(NAN),)]).places == ()


def test_json_in_a_tensor_is_compared_by_its_places() -> None:
    """A text tensor that holds an object or a list is as good as an answer over HTTP."""
    answers = [
        counted((Tensor("out", "BYTES", (1, 1), pack_strings([text])), Y), None)
        for text in (b'{"id": 1, "label": "cat"}', b'{"id": 2, "label": "cat"}')
    ]
    golden = golden_of(answers)
    assert [part.name for part in golden.outputs] == ["out.id", "out.label", "y"]
    assert golden.places == ("out.id",)


@pytest.mark.parametrize(
    ("compare", "names"),
    [
        (None, ["answer.c[0].n", "answer.c[0].t", "answer.c[1].n", "answer.c[1].t", "answer.u"]),
        ([], []),
        (["$.u"], ["answer.u"]),
        (["answer.c[*].t"], ["answer.c[0].t", "answer.c[1].t"]),
        (["$.c[1]", "$.u"], ["answer.c[1].n", "answer.c[1].t", "answer.u"]),
        (["$"], ["answer.c[0].n", "answer.c[0].t", "answer.c[1].n", "answer.c[1].t", "answer.u"]),
    ],
)
def test_places_that_count(compare: list[str] | None, names: list[str]) -> None:
    """Those that `compare` names, with what is below them."""
    given = as_tensors(b'{"c": [{"t": "a", "n": 1}, {"t": "b", "n": 2}], "u": 3}')
    assert [part.name for part in counted(given, compare)] == names


def test_a_place_with_nothing_in_it() -> None:
    """The names that there are stand in the hint."""
    given = as_tensors(b'{"c": [{"t": "a"}], "u": 3}')
    message = "compare: nothing is called `$.text` in what the server answers"
    with refused(message, "there are `answer.c[*].t`, `answer.u`"):
        counted(given, ["$.u", "$.text"])
