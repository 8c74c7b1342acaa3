"""Google's protobuf classes for messages whose generated code is in no package."""

import re
from collections.abc import Mapping
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_FIELD = re.compile(r"(repeated )?(?:map<string, (\w+)>|(\w+)) (\w+) = (\d+);")
_FieldProto = descriptor_pb2.FieldDescriptorProto


def message_classes(package: str, messages: Mapping[str, str]) -> dict[str, Any]:
    """The classes of `messages`, whose fields are written as in a .proto file of syntax 3."""
    file = descriptor_pb2.FileDescriptorProto(
        name=f"{package}.proto", package=package, syntax="proto3"
    )
    for name, fields in messages.items():
        message = file.message_type.add(name=name)
        for repeated, value, kind, field, number in _FIELD.findall(fields):
            if value:
                entry_name = "".join(word.capitalize() for word in field.split("_")) + "Entry"
                entry = message.nested_type.add(name=entry_name)
                entry.options.map_entry = True
                _add(entry, "string", "key", 1)
                _add(entry, value, "value", 2, scope=package)
                scope = f"{package}.{name}"
                _add(message, entry_name, field, int(number), repeated=True, scope=scope)
            else:
                _add(message, kind, field, int(number), repeated=bool(repeated), scope=package)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}"))
        for name in messages
    }


def _add(
    message: descriptor_pb2.DescriptorProto,
    kind: str,
    name: str,
    number: int,
    *,
    repeated: bool = False,
    scope: str = "",
) -> None:
    field = message.field.add(
        name=name,
        number=number,
        label=_FieldProto.LABEL_REPEATED if repeated else _FieldProto.LABEL_OPTIONAL,
    )
    if kind[0].isupper():
        field.type, field.type_name = _FieldProto.TYPE_MESSAGE, f".{scope}.{kind}"
    else:
        field.type = _FieldProto.Type.Value(f"TYPE_{kind.upper()}")
