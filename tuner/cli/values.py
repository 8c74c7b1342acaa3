"""How the values of options are read, and what is said of those that cannot be used."""

import os
import re
from collections.abc import Collection, Sequence
from dataclasses import fields
from datetime import datetime, timedelta
from math import inf
from typing import Any, Protocol

from tuner.errors import HIDDEN, InputError, unfit
from tuner.load.requests import TensorSpec
from tuner.numbers import quantities
from tuner.protocols.tensors.datatypes import NUMPY_TYPES
from tuner.protocols.tensors.inputs import RANDOM, ZERO
from tuner.protocols.v2 import RequestParameter
from tuner.protocols.v2_wire import SequenceForm

# The options of data that are made up.
_OF_MADE_UP = {"string_length", "string_data", "sequence_length", "sequence_length_variation"}
# What may stand in a header over HTTP/1.1 (RFC 9110) and as gRPC metadata (PROTOCOL-HTTP2.md).
_HEADER = re.compile(r"([0-9A-Za-z_.-]+):([ -~]*)")
_NAME_AND_VALUE = re.compile(r"([0-9A-Za-z_.-]+):")


def check_meaning(options: Any, names: Collection[str], choice: str, *, hint: str) -> None:
    """Refuse each of `names` that was given: `choice` would not heed it.

    An option that changed nothing would be believed to have changed something.

    Raises:
        InputError: One of the fields of `options` with these names is not as usual.
    """
    for each in fields(options):
        if each.name in names and getattr(options, each.name) != each.default:
            raise InputError(
                f"`--{each.name.replace('_', '-')}` means nothing to `{choice}`", hint=hint
            )


def check_needed(options: Any, name: str, needed: str) -> None:
    """Refuse the option of the field `name`: without `needed` nothing would heed it.

    Raises:
        InputError: It is not as usual.
    """
    [field] = [each for each in fields(options) if each.name == name]
    if getattr(options, name) != field.default:
        option = f"--{name.replace('_', '-')}"
        raise InputError(
            f"`{option}` means nothing without `{needed}`", hint="give both, or leave it out"
        )


def check_data(options: Any) -> None:
    """Refuse what `options` say of data that are made up where something else makes them.

    Raises:
        InputError: One of them is not as usual.
    """
    sources = set(options.input_data or ())
    hint = "leave one of them out"
    if sources - {RANDOM, ZERO}:
        check_meaning(options, _OF_MADE_UP, "--input-data FILE", hint=hint)
    elif options.string_data is not None:
        check_meaning(options, {"string_length"}, "--string-data", hint=hint)
    elif ZERO in sources:
        check_meaning(options, {"string_length"}, "--input-data zero", hint=hint)


def duration_s(text: str, option: str) -> float:
    """Seconds of a duration such as `90`, `90s`, `3m` or `1.5h`."""
    seconds = quantities.duration_s(text)
    if seconds is None:
        wanted = f"a duration above 0 and up to {quantities.LONGEST_H}h"
        raise unfit(option, wanted, text, "for example: 90s, 3m, 2h")
    return seconds


def moment(text: str) -> datetime:
    """The next time that the clock shows `text` (HH:MM).

    Raises:
        InputError: It is no time of a clock.
    """
    try:
        clock = datetime.strptime(text, "%H:%M")  # noqa: DTZ007 - a wall clock has no zone
    except ValueError:
        raise unfit("--until", "a clock time", text, "for example: 07:00") from None
    now = datetime.now().astimezone()
    found = now.replace(hour=clock.hour, minute=clock.minute, second=0, microsecond=0)
    return found if found > now else found + timedelta(days=1)


def check_one_end(timeout: str | None, until: str | None) -> None:
    """A duration and a clock time cannot both be meant.

    Raises:
        InputError: Both were given.
    """
    if until and timeout:
        raise InputError(
            "`--timeout` and `--until` exclude each other", hint="leave one of them out"
        )


def seconds_until(text: str) -> float:
    """Seconds from now to the next time the clock shows `text` (HH:MM)."""
    return (moment(text) - datetime.now().astimezone()).total_seconds()


def cpus(text: str, option: str, *, elsewhere: bool = False) -> frozenset[int]:
    """CPU numbers of a list such as `0,2-3`; empty for none given.

    Raises:
        InputError: It is none, or this machine has fewer; of one that is `elsewhere` nobody knows.
    """
    numbers: set[int] = set()
    for part in text.split(",") if text else ():
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", part.strip())
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, -1)
        if first > last:
            raise unfit(option, "a list of CPUs", text, "for example: 0,2-3")
        there = os.cpu_count() or 1
        if last >= there and not elsewhere:
            raise InputError(
                f"`{option}` names CPU {last}, but this machine has 0 to {there - 1}",
                hint="`lscpu --extended` lists them",
            )
        numbers.update(range(first, last + 1))
    return frozenset(numbers)


def inputs(texts: Sequence[str] | None) -> tuple[TensorSpec, ...]:
    """The inputs that `--input` names; -1 is a dimension that may vary.

    Raises:
        InputError: One has not the form NAME:DATATYPE:SHAPE, or is named twice.
    """
    found = tuple(_input(text) for text in texts or ())
    names = [each.name for each in found]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"`--input {name}:...` was given twice", hint="name each input once")
    return found


def _input(text: str) -> TensorSpec:
    name, datatype, dimensions = ("", "", *text.rsplit(":", 2))[-3:]
    shape = _whole_numbers(dimensions)
    if not (name and datatype in NUMPY_TYPES and shape and all(d == -1 or d > 0 for d in shape)):
        example = "`--input x:FP32:-1,128`, where -1 is the batch"
        hint = f"for example: {example}; datatypes: {', '.join(NUMPY_TYPES)}"
        raise unfit("--input", "NAME:DATATYPE:SHAPE", text, hint)
    return TensorSpec(name, datatype, shape)


def tolerance(share: float | None) -> float | None:
    """What `--tolerance` says.

    Raises:
        InputError: It is no share.
    """
    if share is not None and not 0 < share < 1:
        hint = "for example: `--tolerance 0.05` for 5 % of an output's largest value"
        raise unfit("--tolerance", "more than 0 and less than 1", share, hint)
    return share


def shapes(texts: Sequence[str] | None) -> dict[str, tuple[int, ...]]:
    """The dimensions that `--shape` gives, by input.

    Raises:
        InputError: One of them is not NAME:D1,D2,...
    """
    return dict(_shape(text) for text in texts or ())


def _shape(text: str) -> tuple[str, tuple[int, ...]]:
    name, _, dimensions = text.rpartition(":")
    shape = _whole_numbers(dimensions)
    if not name or not shape or min(shape) < 1:
        wanted = "NAME:D1,D2,... with dimensions of at least 1"
        raise unfit("--shape", wanted, text, "for example: `--shape image:3,224,224`")
    return name, shape


def _whole_numbers(text: str) -> tuple[int, ...]:
    """Those of a list such as `3,224,224`; none where it is no such list."""
    try:
        return tuple(int(each) for each in text.split(","))
    except ValueError:
        return ()


def headers(texts: Sequence[str] | None) -> dict[str, str]:
    """What `--header` says, by name.

    Raises:
        InputError: One is not 'Name: value'.
    """
    found = {}
    for text in texts or ():
        match = _HEADER.fullmatch(text.strip())
        if not match:
            hint = "for example: `--header 'Authorization: Bearer TOKEN'`"
            name = _NAME_AND_VALUE.match(text.strip())
            shown = f"{name[1]}: {HIDDEN}" if name else HIDDEN
            raise unfit("--header", "'Name: value' in printable ASCII", shown, hint)
        found[match[1]] = match[2].strip()
    return found


def request_parameters(texts: Sequence[str] | None) -> dict[str, RequestParameter]:
    """What `--request-parameter` says, by name.

    Raises:
        InputError: One is not NAME:VALUE:TYPE.
    """
    return dict(map(_parameter, texts or ()))


def _parameter(text: str) -> tuple[str, RequestParameter]:
    name, _, rest = text.partition(":")
    value, _, kind = rest.rpartition(":")
    try:
        match name and kind.lower():
            case "string":
                return name, value
            case "int":
                return name, int(value)
            case "float" if abs(float(value)) < inf:
                return name, float(value)
            case "bool" if value.lower() in ("true", "false"):
                return name, value.lower() == "true"
    except ValueError:
        pass  # said below
    hint = "the types are bool (true, false), int, float and string"
    raise unfit("--request-parameter", "NAME:VALUE:TYPE", text, hint)


class SequenceOptions(Protocol):
    """The options of sequences, which several commands have."""

    @property
    def num_of_sequences(self) -> int: ...
    @property
    def sequence_length(self) -> int: ...
    @property
    def sequence_length_variation(self) -> float: ...
    @property
    def sequence_id_range(self) -> str: ...


def sequence_form(options: SequenceOptions) -> SequenceForm:
    """What the options say of sequences.

    Raises:
        InputError: The range of ids cannot be read, or is empty.
    """
    first, _, end = options.sequence_id_range.partition(":")
    if not first.isdecimal() or not (end or "1").isdecimal():
        hint = "for example: `--sequence-id-range 1:1000`"
        raise unfit("--sequence-id-range", "START or START:END", options.sequence_id_range, hint)
    if end and int(end) <= int(first):
        raise InputError(
            f"`--sequence-id-range {options.sequence_id_range}` has no id in it",
            hint="END is the first id that is not used",
        )
    return SequenceForm(
        count=options.num_of_sequences,
        length=options.sequence_length,
        variation=options.sequence_length_variation / 100,
        first_id=int(first),
        ids=int(end) - int(first) if end else SequenceForm.ids,
    )
