"""Triton's model configuration: the protobuf message, addressed by paths, written as text.

The message is ModelConfig of Triton's model_config.proto, as tritonclient ships it.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from google.protobuf import json_format, text_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from tritonclient.grpc import model_config_pb2

from tuner.errors import ModelError, SpaceError
from tuner.expressions import Value

_STEP = re.compile(r"(?P<name>[a-z_]+)(\[(?P<index>\d+)\])?")


def read(path: Path) -> Message:
    """The configuration in the file `path`.

    Raises:
        ModelError: The file is missing, or is no model configuration.
    """
    message: Message = model_config_pb2.ModelConfig()
    try:
        text_format.Parse(path.read_text(), message)
    except OSError:
        raise ModelError(
            f"{path}: a model configuration was expected, but there is none",
            hint="write one: Triton's model_configuration.md describes it",
        ) from None
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise ModelError(
            f"{path}: is not a model configuration: {error}",
            hint="correct that line; `input { ... }` and `max_batch_size: 8` are the form",
        ) from None
    return message


def from_server(content: Mapping[str, object]) -> Message:
    """The configuration that a server answered with."""
    message: Message = model_config_pb2.ModelConfig()
    json_format.ParseDict(dict(content), message, ignore_unknown_fields=True)
    return message


def as_text(message: Message) -> str:
    """As config.pbtxt."""
    return text_format.MessageToString(message)


def as_json(message: Message) -> str:
    """As Triton's load request wants it."""
    return json_format.MessageToJson(message, preserving_proto_field_name=True, indent=None)


def changed(base: Message, values: Mapping[str, Value | None]) -> Message:
    """A copy of `base` with `values` by path; False and None take the field out.

    Raises:
        SpaceError: A path does not exist in the message, or the value does not fit the field.
    """
    message: Message = model_config_pb2.ModelConfig()
    message.CopyFrom(base)
    for path, value in values.items():
        try:
            _put(message, _steps(path), value)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise SpaceError(
                f"the model configuration cannot hold {path} = {value!r}: {error}",
                hint="correct `sets` in the search space file",
            ) from None
    return message


def get(message: Message, path: str) -> Value | None:
    """The value at `path`; None if the field is not there. A message that is there reads True."""
    node: Any = message
    for name, index in _steps(path):
        field = node.DESCRIPTOR.fields_by_name.get(name)
        if field is None:
            return None
        if field.is_repeated:
            if index >= len(getattr(node, name)):
                return None
            node = getattr(node, name)[index]
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            if not node.HasField(name):
                return None
            node = getattr(node, name)
        else:
            node = getattr(node, name)
    return True if isinstance(node, Message) else node


def _steps(path: str) -> list[tuple[str, int]]:
    steps = []
    for part in path.split("."):
        match = _STEP.fullmatch(part)
        if match is None:
            raise SpaceError(
                f"`{path}` is not a path into a model configuration",
                hint="for example: `instance_group[0].count`",
            )
        steps.append((match["name"], int(match["index"] or 0)))
    return steps


def _put(message: Any, steps: list[tuple[str, int]], value: Value | None) -> None:
    (name, index), rest = steps[0], steps[1:]
    field = message.DESCRIPTOR.fields_by_name[name]
    if not rest and (value is None or value is False):
        message.ClearField(name)
    elif field.is_repeated:
        _put_repeated(getattr(message, name), index, rest, value)
    elif rest:
        _put(getattr(message, name), rest, value)
    elif field.type == FieldDescriptor.TYPE_MESSAGE:
        getattr(message, name).SetInParent()
    else:
        setattr(message, name, value)


def _put_repeated(container: Any, index: int, rest: list[tuple[str, int]], value: Any) -> None:
    if rest:
        while len(container) <= index:
            container.add()
        _put(container[index], rest, value)
    elif index == len(container):
        container.append(value)
    else:
        container[index] = value
