"""Protobuf classes of services whose generated code no wheel brings."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf import message_factory
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)
from google.protobuf.descriptor_pool import DescriptorPool

_FIELD = re.compile(r"(?P<kind>repeated \w+|map<string, \w+>|\w+) (?P<name>\w+) = (?P<number>\d+)")


def message_classes(package: str, definitions: Mapping[str, Sequence[str]]) -> Mapping[str, Any]:
    """Message classes by name, each defined by its fields as a .proto file writes them.

    A type is a scalar's or that of another message among the `definitions`.
    """
    file = FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3")
    for name, fields in definitions.items():
        message = file.message_type.add(name=name)
        for text in fields:
            _add_field(message, text, package)
    found = message_factory.GetMessages([file], pool=DescriptorPool())
    return {name: found[f"{package}.{name}"] for name in definitions}


def _add_field(message: DescriptorProto, text: str, package: str) -> None:
    if not (match := _FIELD.fullmatch(text)):
        raise ValueError(f"a field must look like `string name = 1`, but got `{text}`")
    kind, name, number = match["kind"], match["name"], int(match["number"])
    if kind.startswith("map<"):
        kind = f"repeated {_add_map_entry(message, name, kind[len('map<string, ') : -1], package)}"
    repeated = kind.startswith("repeated ")
    label = (
        FieldDescriptorProto.LABEL_REPEATED if repeated else FieldDescriptorProto.LABEL_OPTIONAL
    )
    field = message.field.add(name=name, number=number, label=label)
    _set_type(field, kind.removeprefix("repeated "), package)


def _add_map_entry(message: DescriptorProto, name: str, kind: str, package: str) -> str:
    """A map is a list of pairs of a message of its own (protobuf's "Maps")."""
    entry = message.nested_type.add(name=f"{name.title().replace('_', '')}Entry")
    entry.options.map_entry = True
    _add_field(entry, "string key = 1", package)
    _add_field(entry, f"{kind} value = 2", package)
    return f"{message.name}.{entry.name}"


def _set_type(field: FieldDescriptorProto, kind: str, package: str) -> None:
    scalars = dict(FieldDescriptorProto.Type.items())
    if scalar := scalars.get(f"TYPE_{kind.upper()}"):
        field.type = scalar
    else:
        field.type = FieldDescriptorProto.TYPE_MESSAGE
        field.type_name = f".{package}.{kind}"
