"""Finds out how the fields of a CSV or TSV file are separated, and whether they are quoted, from its first block."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from flaxtext.io.bitmaps import positions
from flaxtext.io.quotes import has_quoted_fields
from flaxtext.io.records import Dialect, scan, split_fields
from flaxtext.io.table import Column, Table

NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "pipes"}
SAMPLE = 1 << 16
"""Bytes at the start, whose rows must have as many fields each where no header says which delimiter is right."""


def find_dialect(table: Table, columns: Sequence[Column], head: bytes, *, whole: bool) -> Dialect:
    """Return how a file is to be read that begins with `head`, or is the `whole` of it.

    The delimiter of the options is taken as it is. Without one, the format's own is right if the header, read by it,
    holds all of `columns`. Without a header it is if all rows have as many fields as these need, more than one where
    another delimiter would give more. If it is not right, another one that is right is taken, and said; if none is, the
    one that parts the header.
    """
    own = _dialect(table, table.delimiter, head, whole=whole)
    if table.options.delimiter:
        return own
    width = _width(table, columns, head, own, whole=whole)
    if width > 1 or (width == 1 and table.options.header):
        return own
    others = [_dialect(table, mark, head, whole=whole) for mark in NAMES if mark != own.delimiter]
    widths = [_width(table, columns, head, other, whole=whole) for other in others]
    if max(widths) > 1:
        found = others[widths.index(max(widths))]
        table.say("note", f"fields are separated by {_name(found.delimiter)}")
        return found
    if table.options.header and _header_width(head, own, whole=whole) == 1:
        widths = [_header_width(head, other, whole=whole) for other in others]
        if max(widths) > 1:
            found = others[widths.index(max(widths))]
            return replace(found, advice=f", if {_name(found.delimiter)} separate fields; otherwise set delimiter")
    return own


def _dialect(table: Table, delimiter: str, head: bytes, *, whole: bool) -> Dialect:
    if table.options.quoting:
        return Dialect(delimiter, table.options.quoting == "csv")
    return Dialect(delimiter, delimiter != "\t" or has_quoted_fields(head, delimiter, whole=whole), guessed=True)


def _width(table: Table, columns: Sequence[Column], head: bytes, dialect: Dialect, *, whole: bool) -> int:
    """Return how many fields rows have if the delimiter is right for `columns`; 0 if it is not."""
    records = _records(head, dialect, whole=whole)
    if table.options.header:
        names = next(records, [])
        return len(names) if {str(column).encode() for column in columns} <= set(names) else 0
    widths = {len(fields) for fields in records if fields != [b""]}
    return widths.pop() if len(widths) == 1 and min(widths) >= max(map(int, columns)) else 0


def _header_width(head: bytes, dialect: Dialect, *, whole: bool) -> int:
    return len(next(_records(head, dialect, whole=whole), []))


def _records(head: bytes, dialect: Dialect, *, whole: bool) -> Iterator[list[bytes]]:
    """Yield the fields of the whole records in the first bytes of a file."""
    whole = whole and len(head) <= SAMPLE
    sample = head[:SAMPLE] if whole else head[:SAMPLE].rstrip(b"\r").rstrip(b'"')
    found = scan(sample, dialect)
    ends = positions(found.ends) + 1
    if whole and not found.inside and found.fault is None:
        ends = np.append(ends, len(sample))
    for start, stop in pairwise([0, *ends.tolist()]):
        if stop > start:
            yield split_fields(sample[start:stop].rstrip(b"\r\n"), dialect)


def _name(delimiter: str) -> str:
    return NAMES[delimiter]
