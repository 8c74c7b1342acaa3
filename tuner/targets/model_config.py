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

from tuner.errors import ModelError, ServerError, SpaceError
from tuner.expressions import Value
from tuner.wording import did_you_mean

_STEP = re.compile(r"(?P<name>[a-z_]+)(\[(?P<index>\d+)\])?")


def read(path: Path) -> Message:
    """The configuration in the file `path`.

    Raises:
        ModelError: The file cannot be read, or is no model configuration.
    """
    message: Message = model_config_pb2.ModelConfig()
    try:
        text_format.Parse(path.read_text(), message)
    except OSError as error:
        raise ModelError(
            f"{path}: a model configuration was expected, but: {error.strerror}",
            hint="write one: Triton's model_configuration.md describes it",
        ) from None
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise ModelError(
            f"{path}: is not a model configuration: {error}",
            hint="correct that line; `input { ... }` and `max_batch_size: 8` are the form",
        ) from None
    return message


def from_server(content: Mapping[str, object]) -> Message:
    """The configuration that a server answered with.

    Raises:
        ServerError: It is no model configuration.
    """
    message: Message = model_config_pb2.ModelConfig()
    try:
        json_format.ParseDict(dict(content), message, ignore_unknown_fields=True)
    except json_format.ParseError as error:
        raise ServerError(f"the server's model configuration is none: {error}") from None
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
        except (TypeError, ValueError) as error:
            raise SpaceError(
                f"the model configuration cannot hold {path} = {value!r}: {error}",
                hint="correct `sets` in the search space file",
            ) from None
    return message


def get(message: Message, path: str) -> Value | None:
    """The value at `path`; None if the field is not there. A message that is there reads True."""
    node: Any = message
    for name, index in _steps(path):
        fields = node.DESCRIPTOR.fields_by_name if isinstance(node, Message) else {}
        field: Any = fields.get(name)
        if field is None or _is_map(field):
            return None
        if field.is_repeated:
            if index >= len(getattr(node, name)):
                return None
            node = getattr(node, name)[index]
        elif field.type == FieldDescriptor.TYPE_MESSAGE and not node.HasField(name):
            return None
        else:
            node = getattr(node, name)
        if field.type == FieldDescriptor.TYPE_ENUM:
            node = field.enum_type.values_by_number[node].name
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
    (name, _), rest = steps[0], steps[1:]
    field = _field(message, name)
    if not rest and _is_absent(value):
        message.ClearField(name)
    elif rest and field.type != FieldDescriptor.TYPE_MESSAGE:
        raise ValueError(f"`{name}` is a value and has no field `{rest[0][0]}`")
    elif field.is_repeated:
        _put_repeated(getattr(message, name), steps, value)
    elif field.type == FieldDescriptor.TYPE_MESSAGE:
        _put_message(message, steps, value)
    else:
        setattr(message, name, value)


def _put_message(message: Any, steps: list[tuple[str, int]], value: Value | None) -> None:
    (name, _), rest = steps[0], steps[1:]
    if rest and _is_absent(value) and not message.HasField(name):
        return  # to take a field out must not bring the message around it in
    if rest:
        _put(getattr(message, name), rest, value)
    else:
        getattr(message, name).SetInParent()


def _put_repeated(container: Any, steps: list[tuple[str, int]], value: Value | None) -> None:
    (name, index), rest = steps[0], steps[1:]
    if index > len(container):
        raise ValueError(f"`{name}` has {len(container)} entries, so there can be no [{index}]")
    if not rest:
        container[index:] = [value, *container[index + 1 :]]
        return
    if index == len(container):
        if _is_absent(value):
            return
        container.add()
    _put(container[index], rest, value)


def _field(message: Any, name: str) -> Any:
    field = message.DESCRIPTOR.fields_by_name.get(name)
    if field is None:
        known = [each.name for each in message.DESCRIPTOR.fields]
        raise ValueError(f"there is no field `{name}`; {did_you_mean(name, known)}")
    if _is_map(field):
        raise ValueError(f"`{name}` is a map, of which no entry can be set")
    return field


def _is_map(field: Any) -> bool:
    kind = field.message_type
    return kind is not None and bool(kind.GetOptions().map_entry)


def _is_absent(value: Value | None) -> bool:
    return value is None or value is False
