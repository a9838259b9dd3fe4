"""What is in a table, told without any code of the project: by Python's csv and json modules, and Parquet's metadata.

It knows the rows of small files alone. Where it does not know what is right, it says so by `None`.
"""

import csv
import gzip
import io
import json
import re
import zlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

Record = dict[str, Any]
MOST = 8 << 20
"""Bytes of a file that is looked into, decompressed."""
csv.field_size_limit(MOST)
MARKS = [
    (b"\xff\xfe\0\0", "utf-32"),
    (b"\0\0\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
    (b"\xef\xbb\xbf", "utf-8-sig"),
]


class MalformedError(Exception):
    """The file cannot be read in any right way: it is to be refused."""


def input_records(
    path: Path,
    kind: str,
    *,
    errors: str = "strict",
    encoding: str | None = None,
    delimiter: str | None = None,
    quoting: str | None = None,
) -> list[list[Record]] | None:
    """Return the rows of a file that may be damaged, once for each way to read it; None where that is not known.

    Raises `MalformedError`. With `errors="surrogateescape"`, columns may hold what is not UTF-8.
    """
    if kind == "parquet":
        return None
    data = _decompressed(path.read_bytes())
    if data is None:
        return None
    encoding = next((name for mark, name in MARKS if data.startswith(mark)), encoding or "utf-8")
    try:
        text = data.decode(encoding, errors)
    except (UnicodeError, LookupError) as error:
        if errors != "strict":  # it may be in a column that is not read
            return None
        raise MalformedError(str(error)) from None
    if kind == "jsonl":
        return [_json_records(text)]
    delimiters = delimiter or ",\t;|"
    ways = [] if quoting == "none" else [_csv_records(text, delimiters)]
    if quoting != "csv":  # between tabs, a quote may be a letter
        ways.append(_unquoted_records(text, delimiters if quoting == "none" else "\t" if "\t" in delimiters else ""))
    if known := [way for way in ways if way is not None]:
        return known
    raise MalformedError("no table with a column 'text'")


def output_records(path: Path, kind: str, delimiter: str = "") -> list[Record]:
    """Return the rows of a file that was written, all of it well-formed; `...` for values that Python cannot hold."""
    if kind == "parquet":
        table = parquet_table(path)
        return [dict(row) for row in zip(*(_python_column(table, name) for name in table.column_names), strict=True)]
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
    if kind == "jsonl":
        return [json.loads(line) for line in text.split("\n")[:-1]]
    names, *rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    return [dict(zip(names, row, strict=True)) for row in rows]


def parquet_table(path: Path) -> pa.Table:
    """Read a Parquet file, row group by row group: Arrow does not join dictionaries in nested columns."""
    with pq.ParquetFile(path) as file:
        groups = [file.read_row_group(index, use_threads=False) for index in range(file.num_row_groups)]
        return pa.concat_tables(groups or [file.schema_arrow.empty_table()])


def parquet_rows(path: Path) -> int:
    """Return how many rows a Parquet file says it has."""
    return int(pq.read_metadata(path).num_rows)


def _python_column(table: pa.Table, name: str) -> list[tuple[str, Any]]:
    try:
        return [(name, value) for value in table[name].to_pylist()]
    except (ValueError, OverflowError, pa.ArrowException):  # dates beyond Python's, time zones that it does not know
        return [(name, ...)] * table.num_rows


def _decompressed(data: bytes) -> bytes | None:
    if not data.startswith(b"\x1f\x8b"):
        return data if len(data) <= MOST else None
    try:
        plain = gzip.GzipFile(fileobj=io.BytesIO(data)).read(MOST + 1)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise MalformedError(str(error)) from None
    return plain if len(plain) <= MOST else None


def _csv_records(text: str, delimiters: str) -> list[Record] | None:
    """Read CSV by the one delimiter that makes a column `text`; None where it is not well-formed by any."""
    for delimiter in delimiters:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        try:
            rows = list(reader)
        except csv.Error:
            continue
        if records := _records(rows):
            return records
    return None


def _unquoted_records(text: str, delimiters: str) -> list[Record] | None:
    """Read a table in which a quote is a letter as any other."""
    lines = re.split("\r\n|\r|\n", text)
    for delimiter in delimiters:
        if records := _records([line.split(delimiter) for line in (lines if lines[-1] else lines[:-1])]):
            return records
    return None


def _records(rows: list[list[str]]) -> list[Record] | None:
    if not rows or rows[0].count("text") != 1:
        return None
    names, *rest = rows
    blank = [""] * len(names)
    if any(row and row != [""] and len(row) != len(names) for row in rest):
        return None
    return [dict(zip(names, row if len(row) == len(names) else blank, strict=True)) for row in rest]


def _json_records(text: str) -> list[Record]:
    records = []
    for line in text.split("\n"):
        if not line.strip("\ufeff \t\r\v\f"):
            continue
        try:
            record = json.loads(line.strip("\ufeff \t\r\v\f"))
        except (ValueError, RecursionError) as error:
            raise MalformedError(str(error)) from None
        if not isinstance(record, dict):
            raise MalformedError("not an object")
        records.append(record)
    return records
