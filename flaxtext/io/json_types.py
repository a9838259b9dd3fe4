"""What Arrow type holds the values of many JSON objects as they are, and their values in it."""

import math
import re
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa

from flaxtext.core.arrow import number_array, string_array
from flaxtext.io.json_values import SURROGATE, Number, cell

MAX_FIELDS, MAX_DEPTH = 1_000, 20
"""Fields of a struct, and levels of lists and structs, that are still worth columns of their own."""
EXACT = 2**53
"""Up to here a double holds every integer."""


class Shape:
    """What kinds of values stand in one place of many objects, and the Arrow type that holds all of them as they are.

    A struct holds objects that have the same keys, so that none appears as null that was not there. Numbers are doubles
    only if each of them is the shortest that reads back as that double, or says the same.
    """

    __slots__ = ("_fields", "_items", "_seen")

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self._items: Shape | None = None
        self._fields: dict[str, Shape] = {}

    def add(self, value: Any, depth: int = 0) -> None:
        """Take another value into account."""
        if isinstance(value, Number):
            self._seen.add(_kind_of(value))
        elif isinstance(value, str):
            # Half of a surrogate pair only JSON can hold, as an escape.
            self._seen.add("string" if value.isascii() or not SURROGATE.search(value) else "json")
        elif isinstance(value, bool):
            self._seen.add("bool")
        elif value is not None and (depth == MAX_DEPTH or self._seen - {"list", "object"}):
            self._seen.add("json")
        elif isinstance(value, list):
            self._seen.add("list")
            self._items = self._items or Shape()
            for item in value:
                self._items.add(item, depth + 1)
        elif isinstance(value, dict):
            self._add_object(value, depth)

    def _add_object(self, value: dict[str, Any], depth: int) -> None:
        if "object" not in self._seen and 0 < len(value) <= MAX_FIELDS:
            self._fields = {name: Shape() for name in value}
        self._seen.add("object")
        if not value or value.keys() != self._fields.keys() or SURROGATE.search("".join(value)):
            self._seen.add("json")
            self._fields = {}
            return
        for name, item in value.items():
            self._fields[name].add(item, depth + 1)

    def kind(self) -> pa.DataType | None:
        """Return the type; None where there is none, and each value is best kept as JSON."""
        seen = self._seen
        if seen <= {"string"}:  # or nothing but null
            return pa.string()
        if seen == {"bool"}:
            return pa.bool_()
        if seen <= {"int", "negative", "long", "negative long"}:
            return pa.int64()
        if seen <= {"int", "long", "unsigned"}:
            return pa.uint64()
        if seen <= {"int", "negative", "double"}:
            return pa.float64()
        if seen == {"list"} and self._items:
            item = self._items.kind()
            return None if item is None else pa.list_(item)
        if seen == {"object"}:
            kinds = {name: field.kind() for name, field in self._fields.items()}
            if None not in kinds.values():
                struct = pa.struct(list(kinds.items()))
                return struct if _leaves(struct) <= MAX_FIELDS else None
        return None


def _leaves(kind: pa.DataType) -> int:
    """Count the columns that Parquet makes of a type."""
    return sum(_leaves(kind.field(index).type) for index in range(kind.num_fields)) or 1


def _kind_of(number: Number) -> str:
    if number.removeprefix("-").isdigit() and number != "-0":
        if len(number) > 20:
            return "json"
        value = int(number)
        if abs(value) <= EXACT:
            return "negative" if value < 0 else "int"
        if -(2**63) <= value < 2**63:
            return "long" if value > 0 else "negative long"
        return "unsigned" if 0 < value < 2**64 else "json"
    double = float(number)
    if repr(double) == number:
        return "double"
    if math.isinf(double):
        return "double" if number.endswith("Infinity") else "json"
    if math.isnan(double):
        return "double"
    if not double:
        return "json" if re.search("[1-9]", re.split("[eE]", number)[0]) else "double"
    return "double" if Decimal(number) == Decimal(repr(double)) else "json"


def typed_array(values: list[Any], kind: pa.DataType) -> pa.Array:
    """Return parsed values in a type that `Shape.kind` returned, null for None; strings that are none as JSON.

    Arrow's own `pa.array` would import pandas. Raises `UnicodeEncodeError` for half a surrogate pair.
    """
    if pa.types.is_string(kind):
        return string_array(map(cell, values))
    present = np.fromiter((value is not None for value in values), bool, len(values))
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        python_type = float if pa.types.is_floating(kind) else int
        numbers = [0 if value is None else python_type(value) for value in values]
        return number_array(np.array(numbers, np.dtype(str(kind))), None if present.all() else ~present)
    validity = None if present.all() else _bits(present)
    if pa.types.is_boolean(kind):
        return pa.Array.from_buffers(
            kind, len(values), [validity, _bits(np.array([value is True for value in values], bool))]
        )
    if pa.types.is_list(kind):
        ends = np.cumsum([0, *(len(value or ()) for value in values)]).astype(np.int32)
        items = typed_array([item for value in values for item in value or ()], kind.value_type)
        return pa.Array.from_buffers(kind, len(values), [validity, pa.py_buffer(ends)], children=[items])
    fields = [typed_array([value and value[field.name] for value in values], field.type) for field in kind]
    return pa.Array.from_buffers(kind, len(values), [validity], children=fields)


def _bits(flags: np.ndarray) -> pa.Buffer:
    return pa.py_buffer(np.packbits(flags, bitorder="little"))
