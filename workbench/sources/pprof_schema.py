"""The ``perftools.profiles`` message classes, built at run time.

pprof files are one ``perftools.profiles.Profile`` protobuf message. No maintained package on the index ships the
generated class, and generated code would tie the package to one protoc release, so the schema of google/pprof's
``proto/profile.proto`` is spelled out below as plain tables and turned into message classes with the descriptor API.

The wire format depends on field numbers and types only; they are those of the public schema.
"""

from __future__ import annotations

from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_F = descriptor_pb2.FieldDescriptorProto

#: message name -> fields as (number, name, type); a type naming another message is a reference, ``*`` means repeated.
_MESSAGES: Final[dict[str, list[tuple[int, str, str]]]] = {
    "Profile": [
        (1, "sample_type", "*ValueType"),
        (2, "sample", "*Sample"),
        (3, "mapping", "*Mapping"),
        (4, "location", "*Location"),
        (5, "function", "*Function"),
        (6, "string_table", "*string"),
        (7, "drop_frames", "int64"),
        (8, "keep_frames", "int64"),
        (9, "time_nanos", "int64"),
        (10, "duration_nanos", "int64"),
        (11, "period_type", "ValueType"),
        (12, "period", "int64"),
        (13, "comment", "*int64"),
        (14, "default_sample_type", "int64"),
        (15, "doc_url", "int64"),
    ],
    "ValueType": [(1, "type", "int64"), (2, "unit", "int64")],
    "Sample": [(1, "location_id", "*uint64"), (2, "value", "*int64"), (3, "label", "*Label")],
    "Label": [(1, "key", "int64"), (2, "str", "int64"), (3, "num", "int64"), (4, "num_unit", "int64")],
    "Mapping": [
        (1, "id", "uint64"),
        (2, "memory_start", "uint64"),
        (3, "memory_limit", "uint64"),
        (4, "file_offset", "uint64"),
        (5, "filename", "int64"),
        (6, "build_id", "int64"),
        (7, "has_functions", "bool"),
        (8, "has_filenames", "bool"),
        (9, "has_line_numbers", "bool"),
        (10, "has_inline_frames", "bool"),
    ],
    "Location": [
        (1, "id", "uint64"),
        (2, "mapping_id", "uint64"),
        (3, "address", "uint64"),
        (4, "line", "*Line"),
        (5, "is_folded", "bool"),
    ],
    "Line": [(1, "function_id", "uint64"), (2, "line", "int64"), (3, "column", "int64")],
    "Function": [
        (1, "id", "uint64"),
        (2, "name", "int64"),
        (3, "system_name", "int64"),
        (4, "filename", "int64"),
        (5, "start_line", "int64"),
    ],
}

_SCALARS: Final = {
    "int64": _F.TYPE_INT64,
    "uint64": _F.TYPE_UINT64,
    "bool": _F.TYPE_BOOL,
    "string": _F.TYPE_STRING,
}


def _file_descriptor() -> descriptor_pb2.FileDescriptorProto:
    """Describe profile.proto (proto3) from the table above."""
    file = descriptor_pb2.FileDescriptorProto(name="workbench/profile.proto", package="perftools.profiles")
    file.syntax = "proto3"
    for message_name, fields in _MESSAGES.items():
        message = file.message_type.add(name=message_name)
        for number, field_name, declared in fields:
            type_name = declared.lstrip("*")
            field = message.field.add(name=field_name, number=number)
            field.label = _F.LABEL_REPEATED if declared.startswith("*") else _F.LABEL_OPTIONAL
            if type_name in _SCALARS:
                field.type = _SCALARS[type_name]
            else:
                field.type = _F.TYPE_MESSAGE
                field.type_name = f".perftools.profiles.{type_name}"
    return file


def _build_profile_class() -> Any:
    # A private pool: another library in the process may have registered the same package from its own generated code,
    # and the default pool refuses two files that define one symbol.
    pool = descriptor_pool.DescriptorPool()
    pool.Add(_file_descriptor())
    descriptor = pool.FindMessageTypeByName("perftools.profiles.Profile")
    return message_factory.GetMessageClass(descriptor)


#: The ``perftools.profiles.Profile`` message class. Typed ``Any`` because its fields exist only at run time.
Profile: Final[Any] = _build_profile_class()


def parse_profile(data: bytes) -> Any:
    """Parse one uncompressed pprof message.

    Parameters
    ----------
    data
        The serialized ``Profile`` message; gzip has to be undone by the caller.

    Returns
    -------
    Any
        A ``Profile`` message with the fields of google/pprof's ``profile.proto``.

    Raises
    ------
    google.protobuf.message.DecodeError
        The bytes are not a protobuf message of this schema.
    """
    profile = Profile()
    profile.ParseFromString(data)
    return profile
