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

from tuner.errors import ModelError, ServerError, SpaceError, did_you_mean
from tuner.space.expressions import Value, value_text
from tuner.targets.triton import warm_up

_STEP = re.compile(r"(?P<name>[a-z_]+)(\[(?P<at>\w+)\])?", re.ASCII)


def read(path: Path) -> Message:
    """The configuration in the file `path`.

    Raises:
        ModelError: The file cannot be read, or is no model configuration.
    """
    try:
        return parsed(_text(path))
    except OSError as error:
        raise ModelError(
            f"{path}: a model configuration was expected, but: {error.strerror}",
            hint="write one: Triton's model_configuration.md describes it",
        ) from None
    except text_format.ParseError as error:
        raise ModelError(
            f"{path}: is not a model configuration: {error}",
            hint="correct that line; `input { ... }` and `max_batch_size: 8` are the form",
        ) from None


def parsed(text: str) -> Message:
    """The configuration that `text` says.

    Raises:
        text_format.ParseError: It is none.
    """
    message: Message = model_config_pb2.ModelConfig()
    text_format.Parse(text, message)
    return message


def _text(path: Path) -> str:
    """What the file says. All of Triton's own words are ASCII, but comments may be anything."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        return path.read_text(encoding="latin-1")  # which has a character for every byte


def of(content: Mapping[str, object]) -> Message:
    """The configuration with these fields, by the names of model_config.proto.

    Raises:
        json_format.ParseError: A field cannot hold its value.
    """
    message: Message = model_config_pb2.ModelConfig()
    json_format.ParseDict(dict(content), message, ignore_unknown_fields=True)
    return message


def from_server(content: Mapping[str, object]) -> Message:
    """The configuration that a server answered with.

    Raises:
        ServerError: It is no model configuration.
    """
    try:
        return of(content)
    except json_format.ParseError as error:
        raise ServerError(f"the server's model configuration is none: {error}") from None


def as_text(message: Message) -> str:
    """As config.pbtxt."""
    return text_format.MessageToString(message)


def as_json(message: Message) -> str:
    """As Triton's load request wants it."""
    return json_format.MessageToJson(message, preserving_proto_field_name=True, indent=None)


def changed(base: Message, values: Mapping[str, Value | None]) -> Message:
    """A copy of `base` with `values` by path.

    None takes a field out, and so does False, unless the field is a text: there it is `false`.
    True brings in `model_warmup` as a whole, see warm_up.

    Raises:
        SpaceError: A path does not exist in the message, or the value does not fit the field.
    """
    message: Message = model_config_pb2.ModelConfig()
    message.CopyFrom(base)
    for path, value in values.items():
        if path == warm_up.PATH:
            warm_up.put(message, on=bool(value))
            continue
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
    for name, at in _steps(path):
        node = _member(node, name, at)
        if node is None:
            return None
    return True if isinstance(node, Message) else node


def _member(node: Any, name: str, at: str) -> Any:
    """What a step leads to; None if it is not there."""
    fields = node.DESCRIPTOR.fields_by_name if isinstance(node, Message) else {}
    field: Any = fields.get(name)
    if field is None:
        return None
    value = getattr(node, name)
    if _is_map(field):
        value = dict(value).get(at)
    elif field.is_repeated:
        index = _index(name, at)
        value = value[index] if index < len(value) else None
    elif field.type == FieldDescriptor.TYPE_MESSAGE and not node.HasField(name):
        value = None
    if value is not None and field.type == FieldDescriptor.TYPE_ENUM:
        value = field.enum_type.values_by_number[value].name
    return value


_Steps = list[tuple[str, str]]
"""Each name of a path with what is in its brackets: a number, the key of a map, or nothing."""


def _steps(path: str) -> _Steps:
    steps = []
    for part in path.split("."):
        match = _STEP.fullmatch(part)
        if match is None:
            raise SpaceError(
                f"`{path}` is not a path into a model configuration",
                hint="for example: `instance_group[0].count` or "
                "`parameters[INTRA_OP_THREAD_COUNT].string_value`",
            )
        steps.append((match["name"], match["at"] or ""))
    return steps


def _put(message: Any, steps: _Steps, value: Value | None) -> None:
    (name, _), rest = steps[0], steps[1:]
    field = _field(message, name)
    if not rest and field.type == FieldDescriptor.TYPE_STRING and isinstance(value, bool | int):
        value = str(value).lower()
    if _is_map(field):
        _put_entry(getattr(message, name), field, steps, value)
    elif not rest and _is_absent(value):
        message.ClearField(name)
    elif rest and field.type != FieldDescriptor.TYPE_MESSAGE:
        raise ValueError(f"`{name}` is a value and has no field `{rest[0][0]}`")
    elif field.is_repeated:
        _put_repeated(getattr(message, name), steps, value)
    elif field.type == FieldDescriptor.TYPE_MESSAGE:
        _put_message(message, steps, value)
    else:
        setattr(message, name, value)


def _put_entry(entries: Any, field: Any, steps: _Steps, value: Value | None) -> None:
    """Of a map from texts to messages, as a model's `parameters` is, or to texts."""
    (name, key), rest = steps[0], steps[1:]
    of_messages = field.message_type.fields_by_name["value"].message_type is not None
    if not key or bool(rest) is not of_messages:
        form = f"{name}[KEY].FIELD" if of_messages else f"{name}[KEY]"
        raise ValueError(f"`{name}` is a map: `{form}` is one of its values")
    if value is None:
        entries.pop(key, None)
    elif rest:
        _put(entries[key], rest, value)
    else:
        entries[key] = value_text(value)


def _put_message(message: Any, steps: _Steps, value: Value | None) -> None:
    (name, _), rest = steps[0], steps[1:]
    if rest and _is_absent(value) and not message.HasField(name):
        return  # to take a field out must not bring the message around it in
    if rest:
        _put(getattr(message, name), rest, value)
    else:
        getattr(message, name).SetInParent()


def _put_repeated(container: Any, steps: _Steps, value: Value | None) -> None:
    (name, at), rest = steps[0], steps[1:]
    index = _index(name, at)
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
    return field


def _index(name: str, at: str) -> int:
    if at and not at.isdigit():
        raise ValueError(f"`{name}` is a list, so `[{at}]` must be a number")
    return int(at or 0)


def _is_map(field: Any) -> bool:
    kind = field.message_type
    return kind is not None and bool(kind.GetOptions().map_entry)


def _is_absent(value: Value | None) -> bool:
    return value is None or value is False
