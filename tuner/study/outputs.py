"""Whether outputs are those of the baseline: a fast server that answers wrongly never wins.

What differs from one answer of the baseline to the next (ids, times, samples) is found out by
asking it several times, and not compared.
"""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from itertools import combinations

import numpy as np

from tuner.errors import InputError, Reason, TrialFailure
from tuner.load.requests import Tensor
from tuner.numbers.arrays import FloatArray
from tuner.records import Comparison, Golden
from tuner.space.answer_paths import general, is_at, keys, list_of
from tuner.store.storage import Storage
from tuner.targets.json_outputs import opened

Outputs = tuple[Tensor, ...]
"""What a server answers one request with."""

# Without a tolerance, a number may be off by this share of its value, or by this much.
_TOLERANCE_RELATIVE = 1e-2
_TOLERANCE_ABSOLUTE = 1e-3
# Places that a hint names.
_MOST_NAMES = 12
_FLOATS = {"FP16": np.float16, "FP32": np.float32, "FP64": np.float64}


def not_compared(comparison: Comparison) -> str:
    """What was left out, in a sentence."""
    places = ", ".join(f"`{place}`" for place in comparison.left_out)
    why = "differ from one answer of the baseline to the next"
    if comparison.nothing_left:
        return (
            f"Outputs cannot be compared: all of them {why} ({places}). What can be checked is "
            "their types and shapes, and that they have no NaN."
        )
    return f"Not compared with the baseline's, because they {why}: {places}."


def counted(outputs: Outputs, compare: Sequence[str] | None) -> Outputs:
    """Those that count, with JSON in their texts opened: all where `compare` names no places.

    Raises:
        InputError: At one of the places is nothing.
    """
    parts = opened(outputs)
    if compare is None:
        return parts
    for place in compare:
        if not any(is_at(part.name, [place]) for part in parts):
            there = dict.fromkeys(general(part.name) for part in parts)
            raise InputError(
                f"compare: nothing is called `{place}` in what the server answers",
                hint="there are " + ", ".join(f"`{name}`" for name in list(there)[:_MOST_NAMES]),
            )
    return tuple(part for part in parts if is_at(part.name, compare))


def stored_golden(storage: Storage, study: str) -> Golden | None:
    """What answers of a study that goes on are compared with; None if it has nothing yet."""
    golden = storage.golden(study)
    return golden and replace(golden, outputs=counted(golden.outputs, None))


def golden_of(answers: Sequence[Outputs], *, tolerance: float | None = None) -> Golden:
    """The first of the baseline's answers, and what in the others differs from it."""
    by_name = [{part.name: part for part in answer} for answer in answers]
    first, varying, shapeless = by_name[0], dict[str, None](), dict[str, None]()
    keys_differ = cache(partial(_keys_differ, by_name))
    for name in dict.fromkeys(name for parts in by_name for name in parts):
        found = [parts[name] for parts in by_name if name in parts]
        if len(found) < len(by_name):
            shapeless[_missing_at(name, keys_differ)] = None
        elif len({(part.datatype, part.shape) for part in found}) > 1:
            shapeless[name] = None
        elif any(_varies(found[0], part, tolerance) for part in found[1:]):
            varying[name] = None
    return Golden(answers[0], _generalised(varying, first), tuple(shapeless))


def _missing_at(name: str, keys_differ: Callable[[str], bool]) -> str:
    """Where answers differ of which some have no such output.

    That is an object whose keys are others each time (they are ids), or a list of another length.
    """
    for end, character in enumerate(name):
        if character == "." and keys_differ(name[:end]):
            return name[:end]
    return list_of(name)


def _keys_differ(answers: Sequence[Collection[str]], place: str) -> bool:
    """Whether one answer has a key at `place` that another lacks, and the other way round."""
    found = [keys(place, names) for names in answers]
    return any(one - other and other - one for one, other in combinations(found, 2))


def check_answer(golden: Golden, got: Outputs, *, tolerance: float | None = None) -> None:
    """Compare a configuration's answer with the baseline's, but for what differs by nature.

    Raises:
        TrialFailure: They differ (`wrong_output`), or where they differ by nature, types or shapes
            do, or there is NaN.
    """
    check_outputs(golden.compared, _compared(golden, got), tolerance=tolerance)
    theirs = {part.name: part for part in golden.outputs}
    for part in got:
        one = theirs.get(part.name)
        if not is_at(part.name, golden.places):
            continue
        if _has_nan(part) and not (one and _has_nan(one)):
            raise _wrong(f"output `{part.name}` contains NaN")
        if one and not is_at(part.name, golden.shapeless):
            _check_facts(one, part)


def answer_distance(golden: Golden, got: Outputs) -> float:
    """How far an answer is from the baseline's (`distance`), but for what differs by nature."""
    return distance(golden.compared, _compared(golden, got))


def _compared(golden: Golden, got: Outputs) -> Outputs:
    return tuple(part for part in got if not is_at(part.name, golden.places))


def _generalised(varying: Collection[str], outputs: Mapping[str, Tensor]) -> tuple[str, ...]:
    """`[*]` for the elements of a list where it is the same in all of them."""
    steady = {general(name) for name in outputs if name not in varying}
    places = (general(name) if general(name) not in steady else name for name in varying)
    return tuple(dict.fromkeys(places))


def _varies(one: Tensor, other: Tensor, tolerance: float | None) -> bool:
    """Whole numbers do so without a tolerance: a moment in seconds hardly differs from the next.

    NaN is no value that differs by nature: it is wrong.
    """
    if _has_nan(one) or _has_nan(other):
        return False
    if _is_whole(one) and _is_whole(other):
        return one.data != other.data
    try:
        _check(one, other, tolerance)
    except TrialFailure:
        return True
    return False


def _is_whole(tensor: Tensor) -> bool:
    """Whether its numbers are whole ones, as far as that type tells them from their neighbours."""
    arrays = _arrays(tensor, tensor)
    return arrays is not None and bool((arrays[0] == np.round(arrays[0])).all())


def _has_nan(tensor: Tensor) -> bool:
    arrays = _arrays(tensor, tensor)
    return arrays is not None and bool(np.isnan(arrays[0]).any())


def distance(expected: Outputs, got: Outputs) -> float:
    """How far outputs are from the baseline's: 0.02 is 2 % of an output's largest value.

    It is the largest distance of a floating-point number from the baseline's, as a share of the
    largest absolute value of its output; infinite where NaN, infinity, names, types, shapes, whole
    numbers or texts differ.
    """
    if [(t.name, t.datatype, t.shape) for t in expected] != [
        (t.name, t.datatype, t.shape) for t in got
    ]:
        return math.inf
    return max(map(_distance, expected, got), default=0.0)


def check_outputs(expected: Outputs, got: Outputs, *, tolerance: float | None = None) -> None:
    """Compare a configuration's outputs with the baseline's.

    Floating-point outputs must be within `tolerance`, a share of the output's largest value. Where
    that is None, every number by itself may differ by 1 % or 0.001, whichever is more: a batch is
    summed in another order than a single inference. Everything else must be equal.

    Raises:
        TrialFailure: They differ (`wrong_output`).
    """
    for one, other in zip(expected, got, strict=False):
        _check_facts(one, other)
        _check(one, other, tolerance)
    if len(expected) != len(got):
        raise _wrong(f"the baseline gave {len(expected)} outputs, this configuration {len(got)}")


def _check_facts(one: Tensor, other: Tensor) -> None:
    facts = [(t.name, t.datatype, t.shape) for t in (one, other)]
    if facts[0] != facts[1]:
        raise _wrong(f"the baseline gave {facts[0]}, this configuration {facts[1]}")


def _check(one: Tensor, other: Tensor, tolerance: float | None) -> None:
    """Two outputs of one name, type and shape."""
    differs = f"output `{one.name}` differs from the baseline's by"
    arrays = _arrays(one, other)
    if arrays is None:
        if one.data != other.data:
            raise _wrong(f"output `{one.name}` is not the baseline's")
    elif tolerance is not None:
        far = _distance(one, other)
        if not far <= tolerance:
            raise _wrong(
                f"{differs} {far:.2%} of its largest value, more than the tolerance of "
                f"{tolerance:.2%}"
            )
    elif not np.allclose(arrays[1], arrays[0], rtol=_TOLERANCE_RELATIVE, atol=_TOLERANCE_ABSOLUTE):
        raise _wrong(f"{differs} more than {_TOLERANCE_RELATIVE:.0%} and {_TOLERANCE_ABSOLUTE:g}")


def _distance(one: Tensor, other: Tensor) -> float:
    arrays = _arrays(one, other)
    if arrays is None:
        return 0.0 if one.data == other.data else math.inf
    first, second = arrays
    apart = np.subtract(second, first, where=first != second, out=np.zeros_like(first))
    most = float(np.max(np.abs(apart), initial=0.0))
    largest = float(np.max(np.abs(first), where=np.isfinite(first), initial=0.0))
    if most == 0.0:
        return 0.0
    return most / largest if math.isfinite(most) and largest else math.inf


def _arrays(one: Tensor, other: Tensor) -> tuple[FloatArray, FloatArray] | None:
    """Their numbers, if they are floating-point and equally many."""
    kind = _FLOATS.get(one.datatype)
    if kind is None or len(one.data) != len(other.data):
        return None
    first, second = (np.frombuffer(t.data, dtype=kind).astype(np.float64) for t in (one, other))
    return first, second


def _wrong(what: str) -> TrialFailure:
    return TrialFailure(Reason.WRONG_OUTPUT, what)
