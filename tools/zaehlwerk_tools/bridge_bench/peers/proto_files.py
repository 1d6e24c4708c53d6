"""Writes .proto files from the descriptors of a protobuf package, for a program that reads nothing else.

The language is proto3 (protobuf.dev/reference/protobuf/proto3-spec). Comments, services and options, which such packages
do not need to be read, are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

_WELL_KNOWN = "google/"
"""Every program brings these itself."""
_KINDS = {
    1: "double",
    2: "float",
    3: "int64",
    4: "uint64",
    5: "int32",
    6: "fixed64",
    7: "fixed32",
    8: "bool",
    9: "string",
    12: "bytes",
    13: "uint32",
    15: "sfixed32",
    16: "sfixed64",
    17: "sint32",
    18: "sint64",
}
"""By FieldDescriptorProto.Type (google/protobuf/descriptor.proto)."""
_INDENT = "  "

# protobuf's descriptors have no types of their own to be checked by.
_File = Any
_Message = Any
_Enum = Any
_Field = Any


def write_proto_files(file: _File, folder: Path) -> None:
    """Write the .proto of a FileDescriptor into `folder`, with those that it imports, each under its own path."""
    for imported in file.dependencies:
        write_proto_files(imported, folder)
    path = folder / file.name
    if file.name.startswith(_WELL_KNOWN) or path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(_file(file)) + "\n", encoding="utf-8")


def _file(file: _File) -> Iterator[str]:
    yield 'syntax = "proto3";'
    yield f"package {file.package};"
    for imported in file.dependencies:
        yield f'import "{imported.name}";'
    for message in file.message_types_by_name.values():
        yield from _message(message, "")
    for enum in file.enum_types_by_name.values():
        yield from _enum(enum, "")


def _message(message: _Message, indent: str) -> Iterator[str]:
    inner = indent + _INDENT
    yield f"{indent}message {message.name} {{"
    for field in message.fields:
        yield f"{inner}{_type(field)} {field.name} = {field.number};"
    for nested in message.nested_types:
        if not nested.GetOptions().map_entry:
            yield from _message(nested, inner)
    for enum in message.enum_types:
        yield from _enum(enum, inner)
    yield f"{indent}}}"


def _enum(enum: _Enum, indent: str) -> Iterator[str]:
    yield f"{indent}enum {enum.name} {{"
    if len({value.number for value in enum.values}) < len(enum.values):
        yield f"{indent}{_INDENT}option allow_alias = true;"
    for value in enum.values:
        yield f"{indent}{_INDENT}{value.name} = {value.number};"
    yield f"{indent}}}"


def _type(field: _Field) -> str:
    message = field.message_type
    if message is not None and message.GetOptions().map_entry:
        key, value = message.fields
        return f"map<{_name(key)}, {_name(value)}>"
    return f"repeated {_name(field)}" if field.is_repeated else _name(field)


def _name(field: _Field) -> str:
    named = field.message_type or field.enum_type
    return _KINDS[field.type] if named is None else f".{named.full_name}"
