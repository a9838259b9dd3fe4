"""Values of Arrow as text and as JSON: each has one form, the same in CSV, in JSON and in what a user asks for.

docs/formats.md lists the forms.
"""

import base64
import json
import re
from collections.abc import Callable, Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flaxtext.core.arrow import string_array
from flaxtext.io import iso8601

NULL = "null"
BASE64 = "base64:"
"""What stands before bytes that are no text."""
NOT_FINITE = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
"""How Arrow writes numbers that JSON does not have -> the string that stands for them there."""

quote_text: Callable[[str], str] = json.JSONEncoder(ensure_ascii=False).encode
"""Writes a string as JSON does, between quotes."""


class NoTextError(Exception):
    """Values of a type that has no form as text; it says which."""


def value_texts(values: pa.Array) -> pa.StringArray:
    """Return `values` as `string[n]`, null where they are; lists, structs and maps as JSON.

    Raises:
        NoTextError: they are of another type yet.
    """
    kind = values.type
    if _is_string(kind):
        strings = values.cast(pa.string())
        return strings if _is_text(strings) else _bytes_texts(strings.cast(pa.binary()))
    if pa.types.is_null(kind):
        return pa.nulls(len(values), pa.string())
    if pa.types.is_dictionary(kind):
        return value_texts(values.dictionary).take(values.indices)
    if pa.types.is_run_end_encoded(kind):
        return value_texts(pc.run_end_decode(values))
    if is_nested(kind):
        return _where_valid(values, json_tokens(values))
    if isinstance(kind, pa.BaseExtensionType):
        return _uuid_texts(values.storage) if kind.extension_name == "arrow.uuid" else value_texts(_storage(values))
    if pa.types.is_fixed_size_binary(kind):
        return _bytes_texts(values)
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind):
        return _bytes_texts(values.cast(pa.binary()))
    if pa.types.is_float16(kind):
        halves = _integers(values, pa.uint16()).astype(np.uint16).view(np.float16)
        return _where_valid(values, [str(half) for half in halves])
    if pa.types.is_decimal(kind):
        texts = values.cast(pa.string())
        if pc.any(pc.match_substring(texts, "E")).as_py():  # all digits, instead of an exponent
            texts = string_array(None if value is None else f"{value:f}" for value in values.to_pylist())
        return texts
    if pa.types.is_temporal(kind) and not pa.types.is_interval(kind):
        return _where_valid(values, _temporal_texts(values))
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return values.cast(pa.string())
    raise NoTextError(str(kind))


def json_tokens(values: pa.Array) -> list[str]:
    """Return `values` as JSON, one token for each. Raises `NoTextError` where their type has none."""
    kind = values.type
    if pa.types.is_dictionary(kind):
        tokens = json_tokens(values.dictionary)
        return [NULL if index is None else tokens[index] for index in values.indices.to_pylist()]
    if pa.types.is_run_end_encoded(kind):
        return json_tokens(pc.run_end_decode(values))
    if pa.types.is_struct(kind):
        return _object_tokens(values)
    if pa.types.is_map(kind):
        return _map_tokens(values)
    if is_nested(kind):
        return _list_tokens(values)
    if isinstance(kind, pa.BaseExtensionType) and kind.extension_name != "arrow.uuid":
        return _embedded(json_tokens(values.storage), values) if _is_json(kind) else json_tokens(_storage(values))
    texts = value_texts(values).to_pylist()
    if pa.types.is_floating(kind):
        return [NULL if text is None else _float_token(text) for text in texts]
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind):
        return [text or NULL for text in texts]
    return [NULL if text is None else quote_text(text) for text in texts]


def is_nested(kind: pa.DataType) -> bool:
    """Whether values of this type are lists, structs or maps."""
    return pa.types.is_nested(kind) and not pa.types.is_union(kind) and not pa.types.is_run_end_encoded(kind)


def _is_text(values: pa.Array) -> bool:
    """Whether strings are UTF-8, which a file may say of them wrongly."""
    try:
        values.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _is_string(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_json(kind: pa.DataType) -> bool:
    return isinstance(kind, pa.BaseExtensionType) and kind.extension_name == "arrow.json"


def _storage(values: pa.ExtensionArray) -> pa.Array:
    is_bool = values.type.extension_name == "arrow.bool8"
    return values.storage.cast(pa.bool_()) if is_bool else values.storage


def _bytes_texts(values: pa.Array) -> pa.StringArray:
    """Return bytes as text where the whole of a value is UTF-8, otherwise in Base64, behind `base64:`."""
    if not pa.types.is_fixed_size_binary(values.type):
        texts = values.view(pa.string())
        if _is_text(texts) and not pc.any(pc.starts_with(texts, BASE64)).as_py():
            return texts
    return string_array(None if value is None else _bytes_text(value) for value in values.to_pylist())


def _bytes_text(value: bytes) -> str:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = BASE64
    return BASE64 + base64.b64encode(value).decode() if text.startswith(BASE64) else text


def _uuid_texts(values: pa.Array) -> pa.StringArray:
    return string_array(
        None if value is None else re.sub("^(.{8})(.{4})(.{4})(.{4})", r"\1-\2-\3-\4-", value.hex())
        for value in values.to_pylist()
    )


def _integers(values: pa.Array, storage: pa.DataType) -> np.ndarray:
    """Return what values of a type that Arrow holds as integers are held as: `int64[n]`, anything where they are null.

    Arrow's own conversions to Python need pandas for nanoseconds, and refuse dates that `datetime` has not.
    """
    width = storage.bit_width // 8
    buffer = values.buffers()[1]
    if buffer is None or not len(values):
        return np.zeros(len(values), np.int64)
    held = np.frombuffer(buffer, np.dtype(f"i{width}"), len(values), values.offset * width)
    return held.astype(np.int64)


def _temporal_texts(values: pa.Array) -> list[str]:
    kind = values.type
    held = _integers(values, kind)
    if pa.types.is_date(kind):
        return iso8601.date_texts(held // (iso8601.DAY * 1000) if pa.types.is_date64(kind) else held)
    if pa.types.is_time(kind):
        return iso8601.time_texts(held, kind.unit)
    if pa.types.is_duration(kind):
        return iso8601.duration_texts(held, kind.unit)
    return iso8601.timestamp_texts(held, kind.unit, kind.tz)


def _where_valid(values: pa.Array, texts: list[str]) -> pa.StringArray:
    if not values.null_count:
        return string_array(texts)
    valid = values.is_valid().to_pylist()
    return string_array(text if is_valid else None for text, is_valid in zip(texts, valid, strict=True))


def _float_token(text: str) -> str:
    if text in NOT_FINITE:
        return f'"{NOT_FINITE[text]}"'
    return f"{text}.0" if text.lstrip("-").isdigit() else text  # or a whole number would come back as an integer


def _embedded(tokens: list[str], values: pa.ExtensionArray) -> list[str]:
    """Return JSON that came as text as it is, on one line; as a string, its token, where it is not JSON."""
    texts = value_texts(values.storage).to_pylist()
    return [_embed(text) or token if text else token for text, token in zip(texts, tokens, strict=True)]


def _embed(text: str) -> str | None:
    try:
        json.loads(text, parse_int=str, parse_float=str, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return text.replace("\n", " ").replace("\r", " ").strip()


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _object_tokens(values: pa.StructArray) -> list[str]:
    names = [quote_text(field.name) for field in values.type]
    columns = [json_tokens(pc.struct_field(values, [index])) for index in range(len(names))]
    rows: Iterable[tuple[str, ...]] = zip(*columns, strict=True) if columns else [()] * len(values)
    template = object_template(names, ",", ":")
    valid = values.is_valid().to_pylist()
    return [template % row if is_valid else NULL for row, is_valid in zip(rows, valid, strict=True)]


def object_template(names: list[str], comma: str, colon: str) -> str:
    """Return a JSON object of these names, in quotes already, with %s for each value."""
    return "{" + comma.join(name.replace("%", "%%") + f"{colon}%s" for name in names) + "}"


def _map_tokens(values: pa.MapArray) -> list[str]:
    """Return maps as objects, their keys as text."""
    kind = values.type
    entry = pa.struct([pa.field("key", kind.key_type, nullable=False), pa.field("value", kind.item_type)])
    lists = values.cast(pa.list_(pa.field("entries", entry, nullable=False)))
    entries = lists.flatten()
    keys = value_texts(pc.struct_field(entries, [0])).to_pylist()
    items = json_tokens(pc.struct_field(entries, [1]))
    return _grouped(lists, [f"{quote_text(key)}:{item}" for key, item in zip(keys, items, strict=True)], "{%s}")


def _list_tokens(values: pa.Array) -> list[str]:
    return _grouped(values, json_tokens(values.flatten()), "[%s]")


def _grouped(values: pa.Array, tokens: list[str], template: str) -> list[str]:
    """Join the tokens of all items into one for each list or map."""
    lists, start = [], 0
    for length in pc.list_value_length(values).to_pylist():
        lists.append(NULL if length is None else template % ",".join(tokens[start : start + length]))
        start += length or 0
    return lists
