"""Input data that a person provides: perf_analyzer's JSON, or a folder with a file per tensor.

The formats are those of perf_analyzer's manual, "Input Data", "Real Input Data", "Output
Validation" and "Benchmarking TorchServe". Streams and steps are counted from 1 in errors.
"""

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from math import prod
from pathlib import Path
from typing import Any

from tuner.errors import InputError, at, quoted
from tuner.load.requests import Tensor, TensorSpec
from tuner.protocols.tensors.datatypes import in_json, pack_strings, unpack_strings
from tuner.protocols.tensors.input_data import Step, Stream
from tuner.protocols.tensors.json_tensors import Shape, Side, sized

_JsonStep = dict[str, object]

_FORM_HINT = 'the form is {"data": [{"INPUT0": [1, 2, ...], ...}, ...]}, or a list of such lists'
_ALIGNED_HINT = "`validation_data` needs a step for each step of `data`; {} checks nothing"
# A text to its end, a comma that ends a list or an object, or a number of no size as RapidJSON has
# it (kParseNanAndInfFlag).
_TEXT_OR_NO_JSON = re.compile(
    r'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|,(?=\s*[\]}])|\bInf\b|-NaN\b', re.DOTALL
)
# What stands there in JSON as Python reads it; a blank keeps the places of other errors right.
_AS_JSON = {",": " ", "Inf": "Infinity", "-NaN": "NaN"}


def read_json(path: Path, inputs: Side, outputs: Side) -> tuple[Stream, ...]:
    """The streams of a JSON file: `data`, with the outputs that `validation_data` has for it.

    Raises:
        InputError: It cannot be read, or does not fit the model.
    """
    with at(path):
        document = _document(path)
        data = _streams(document, "data")
        expected: list[list[_JsonStep]] = [[{} for _ in steps] for steps in data]
        if "validation_data" in document:
            expected = _streams(document, "validation_data")
            _check_aligned([len(steps) for steps in data], [len(steps) for steps in expected])
        return tuple(
            _stream(f"stream {number}", list(zip(*pair, strict=True)), inputs, outputs)
            for number, pair in enumerate(zip(data, expected, strict=True), 1)
        )


def written_steps(path: Path) -> tuple[Mapping[str, object], ...]:
    """The steps of all streams of a JSON file as they stand there, whatever the model.

    Raises:
        InputError: It cannot be read, or has not that form.
    """
    with at(path):
        return tuple(step for steps in _streams(_document(path), "data") for step in steps)


def read_folder(folder: Path, inputs: Side, outputs: Side) -> Stream:
    """One step: a file for each input, and for any of the outputs, with its name.

    A file has the raw bytes of the tensor. For BYTES it may be anything else: the one element, or
    an element on each line (as perf_analyzer reads it).

    Raises:
        InputError: A file is missing, is of no tensor, or does not have the right size.
    """
    with at(folder):
        try:
            names = {each.name for each in folder.iterdir() if each.is_file()}
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror}") from None
        if strange := names - {spec.name for spec in (*inputs.specs, *outputs.specs)}:
            raise InputError(
                f"the model has neither an input nor an output {quoted(min(strange))}",
                hint="call each file like its input, and leave other files out",
            )
        there = [spec for spec in inputs.specs if spec.name in names or not spec.optional]
        present = [spec for spec in outputs.specs if (folder / spec.name).is_file()]
        step = Step(
            tuple(_from_file(folder, spec, inputs) for spec in there),
            tuple(_from_file(folder, spec, outputs) for spec in present),
        )
        return (step,)


def file_bodies(path: Path) -> tuple[bytes, ...]:
    """The contents of the files that a JSON file names, for TorchServe, in its order.

    A step is `{"TORCHSERVE_INPUT": ["kitten_small.jpg"]}`; files are looked for beside the JSON
    file, then in the current folder.

    Raises:
        InputError: The JSON file, or one that it names, cannot be read.
    """
    bodies = []
    with at(path):
        for number, steps in enumerate(_streams(_document(path), "data"), 1):
            for place, step in enumerate(steps, 1):
                with at(f"stream {number}, step {place}"):
                    bodies.append(_body(path.parent, step))
    return tuple(bodies)


def contents(path: Path) -> tuple[bytes, ...]:
    """All that a file holds; of a folder, the names of its files and what each holds.

    Raises:
        InputError: It cannot be read.
    """
    with at(path):
        if not path.is_dir():
            return (_bytes(path),)
        files = sorted(each for each in path.iterdir() if each.is_file())
        return tuple(part for each in files for part in (each.name.encode(), _bytes(each)))


def _body(folder: Path, step: _JsonStep) -> bytes:
    names = step.get("TORCHSERVE_INPUT")
    if not isinstance(names, list) or len(names) != 1 or not isinstance(names[0], str):
        raise InputError(
            f"`TORCHSERVE_INPUT`: a list of one file name was expected, but got {in_json(names)}",
            hint='write {"data": [{"TORCHSERVE_INPUT": ["kitten_small.jpg"]}, ...]}',
        )
    for file in (folder / names[0], Path(names[0])):
        if file.is_file():
            return _bytes(file)
    raise InputError(
        f"no file {quoted(names[0])} is in {folder.absolute()} or in {Path.cwd()}",
        hint="put the file there, or write its whole path",
    )


def _bytes(path: Path) -> bytes:
    if not path.exists():
        raise InputError(
            "there is no such file or folder",
            hint="`--input-data` is `random`, `zero`, a JSON file, or a folder with a file per "
            "input",
        )
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}") from None


def _document(path: Path) -> _JsonStep:
    try:
        document = _parsed(_bytes(path).decode("utf-8-sig"))
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise InputError(f"{place}: this is not JSON: {error.msg}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"byte {error.start}: this is not UTF-8, as JSON has to be") from None
    except RecursionError:
        raise InputError("has too many brackets inside each other") from None
    except ValueError:  # Python reads no number of over 4300 digits
        raise InputError("has a number of thousands of digits") from None
    if not isinstance(document, dict):
        raise InputError(
            f"an object with `data` was expected, but got {in_json(document)}", hint=_FORM_HINT
        )
    return document


def _parsed(text: str) -> object:
    """What perf_analyzer takes is let pass; examples of its manual have a comma at the end."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return json.loads(
            _TEXT_OR_NO_JSON.sub(lambda found: _AS_JSON.get(found[0], found[0]), text)
        )


def _streams(document: _JsonStep, key: str) -> list[list[_JsonStep]]:
    """A list of steps is one stream; else it is a list of streams."""
    with at(f"`{key}`"):
        content = _filled(document.get(key))
        streams = content if isinstance(content[0], list) else [content]
        return [_steps(f"stream {number}", steps) for number, steps in enumerate(streams, 1)]


def _steps(name: str, steps: object) -> list[_JsonStep]:
    with at(name):
        content = _filled(steps)
    for place, step in enumerate(content, 1):
        if not isinstance(step, dict):
            raise InputError(
                f"{name}, step {place}: an object with tensors was expected, but got "
                + in_json(step),
                hint=_FORM_HINT,
            )
    return content


def _filled(content: object) -> list[Any]:
    if isinstance(content, list) and content:
        return content
    raise InputError(f"a list of steps was expected, but got {in_json(content)}", hint=_FORM_HINT)


def _check_aligned(data: list[int], expected: list[int]) -> None:
    if len(data) != len(expected):
        raise InputError(
            f"`data` has {len(data)} streams, but `validation_data` has {len(expected)}",
            hint=_ALIGNED_HINT,
        )
    for number, (steps, outputs) in enumerate(zip(data, expected, strict=True), 1):
        if steps != outputs:
            raise InputError(
                f"stream {number}: `data` has the length {steps}, but `validation_data` {outputs}",
                hint=_ALIGNED_HINT,
            )


def _stream(
    name: str, steps: Sequence[tuple[_JsonStep, _JsonStep]], inputs: Side, outputs: Side
) -> Stream:
    stream = []
    for place, (step, expected) in enumerate(steps, 1):
        with at(f"{name}, step {place}"):
            tensors = inputs.tensors(step)
            for spec in inputs.specs:
                if spec.name not in step and not spec.optional:
                    raise InputError(
                        f"input `{spec.name}`: no data was given",
                        hint="each step needs all inputs of the model that are not optional",
                    )
            stream.append(Step(tensors, outputs.tensors(expected)))
    return tuple(stream)


def _from_file(folder: Path, spec: TensorSpec, side: Side) -> Tensor:
    with at(f"{side.kind} `{spec.name}`"):
        path = folder / spec.name
        if not path.is_file():
            raise InputError(
                "there is no file with its name",
                hint="put its bytes there: little-endian, row by row, without a batch dimension",
            )
        data, shape = _bytes(path), side.shape(spec)
        return sized(spec, shape, _strings(data, shape) if spec.datatype == "BYTES" else data)


def _strings(data: bytes, shape: Shape) -> bytes:
    """BYTES that are in their binary form as they are; what is not, is text."""
    with suppress(InputError):
        count = len(unpack_strings(data))
        if count == prod(shape) or (-1 in shape and data):
            return data
    if prod(shape) == 1:
        return pack_strings([_one_text(data)])
    return pack_strings(data.removesuffix(b"\n").split(b"\n"))


def _one_text(data: bytes) -> bytes:
    """What a file holds, as it is; but the end of a single line of text is not of the text."""
    line = data.removesuffix(b"\n")
    try:
        line.decode()
    except UnicodeDecodeError:
        return data
    return data if b"\n" in line else line
