"""Columns of CSV, TSV, JSON Lines and Parquet files, a few megabytes at a time, with the row of every fault.

Rows count from 1, a header is row 1, a blank line is a row, and a field with line breaks does not add rows: as
in a spreadsheet. In JSON Lines a row is a line.
"""

import gzip
import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, BinaryIO, cast

import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq

from flaxtext.core.errors import UserError

Column = str | int
"""A column's name or, in CSV without a header, its number from 1."""

BLOCK = 4 << 20
"""Bytes read at a time, and about the most that a row may take. Arrow reads some 30 blocks ahead."""
ENDINGS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}
GZIP_ERRORS = (EOFError, gzip.BadGzipFile, zlib.error)
NOT_GZIP = "not a whole gzip file: cut short or damaged; get it again"
DELIMITERS = {"csv": ",", "tsv": "\t"}

Chunks = Iterator[tuple[int, list[pa.Array]]]
"""Pairs of a row number and columns, `string[rows]` each; the number is that of the columns' first row."""


@dataclass(frozen=True)
class Table:
    """A file of rows.

    Attributes:
        name: what to call it in messages.
        path: where it lies; CSV, TSV and JSON Lines may be compressed with gzip.
        format: csv, tsv, jsonl or parquet.
        header: whether the first row of CSV and TSV holds names; without, columns are numbers from 1.
    """

    name: str
    path: Path
    format: str
    header: bool = True


def format_of(file_name: str) -> str | None:
    """Tell the format from a file's ending, such as .csv or .jsonl.gz; None if it is not known."""
    return ENDINGS.get(PurePath(file_name.lower().removesuffix(".gz")).suffix)


def read(table: Table, columns: Sequence[Column]) -> Chunks:
    """Yield the columns as strings; a missing value is null, or empty in CSV.

    Raises:
        UserError: an unreadable file, a missing column, a row with too few fields or that is not UTF-8.
    """
    readers: dict[str, Callable[[Table, list[Column]], Chunks]] = {
        "csv": _read_csv,
        "tsv": _read_csv,
        "jsonl": _read_json_lines,
        "parquet": _read_parquet,
    }
    try:
        for first, chunk in readers[table.format](table, list(columns)):
            yield first, [_decode(table, first, column) for column in chunk]
    except GZIP_ERRORS:
        raise UserError(f"{table.name}: {NOT_GZIP}") from None


def csv_columns(table: Table) -> list[Column]:
    """Return the columns of a CSV or TSV file in order, by name or, without a header, by number from 1."""
    reading = csv.ReadOptions(block_size=BLOCK, use_threads=False, autogenerate_column_names=not table.header)
    parsing = csv.ParseOptions(
        delimiter=DELIMITERS[table.format], newlines_in_values=True, invalid_row_handler=lambda _: "skip"
    )
    try:
        with open_plain(table) as file:
            names = csv.open_csv(file, reading, parsing).schema.names
    except UnicodeDecodeError:
        raise UserError(f"{table.name}: row 1: not UTF-8; save the file as UTF-8") from None
    except pa.ArrowInvalid as error:
        if "Empty CSV file" in str(error):
            return []
        raise UserError(f"{table.name}: {' '.join(str(error).split())}") from None
    except GZIP_ERRORS:
        raise UserError(f"{table.name}: {NOT_GZIP}") from None
    return list(names) if table.header else list(range(1, len(names) + 1))


def listed(values: Sequence[Any]) -> str:
    """Name up to 20 values for a message."""
    shown = ", ".join(str(value) for value in values[:20])
    return shown if len(values) <= 20 else f"{shown}, ... ({len(values):,} in all)"


def short(value: Any) -> str:
    """Quote a value for a message, on one line and not too long."""
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


# The readers below yield bytes, so that `_decode` can tell which row is not UTF-8.


def _read_csv(table: Table, columns: list[Column]) -> Chunks:
    bad: list[Any] = []

    def refuse(row: Any) -> str:
        bad.append(row)
        return "error"

    # Threads would lose the row numbers of errors, and ignored lines would shift them.
    reading = csv.ReadOptions(block_size=BLOCK, use_threads=False, autogenerate_column_names=not table.header)
    parsing = csv.ParseOptions(
        delimiter=DELIMITERS[table.format],
        newlines_in_values=True,
        ignore_empty_lines=False,
        invalid_row_handler=refuse,
    )
    row = 2 if table.header else 1
    try:
        with open_plain(table) as file:
            names = csv.open_csv(file, reading, parsing).schema.names
        known: list[Column] = list(names) if table.header else list(range(1, len(names) + 1))
        _require(table, columns, known)
        wanted = [names[known.index(column)] for column in columns]
        types = dict.fromkeys(wanted, pa.binary())
        converting = csv.ConvertOptions(column_types=types, include_columns=list(types), null_values=[])
        with open_plain(table) as file:
            for batch in csv.open_csv(file, reading, parsing, converting):
                yield row, [batch[name] for name in wanted]
                row += batch.num_rows
    except UnicodeDecodeError:  # in a column's name
        raise UserError(f"{table.name}: row 1: not UTF-8; save the file as UTF-8") from None
    except pa.ArrowInvalid as error:
        if bad:
            raise UserError(
                f"{table.name}: row {bad[0].number}: expected {bad[0].expected_columns} fields, found "
                f"{bad[0].actual_columns}: {short(bad[0].text)}; quote fields with delimiters or line breaks"
            ) from None
        if "straddl" in str(error):
            raise UserError(
                f"{table.name}: after row {row - 1}: a row is longer than {BLOCK:,} bytes; is a quote not closed?"
            ) from None
        if "Empty CSV file" not in str(error):  # which a header alone is, too
            raise UserError(f"{table.name}: {' '.join(str(error).split())}") from None


def _read_json_lines(table: Table, columns: list[Column]) -> Chunks:
    def parse(number: int, line: bytes) -> list[bytes | None]:
        return values_of(table, number, parse_object(table, number, line), columns)

    with open_plain(table) as file:
        lines = enumerate(iter(lambda: file.readline(BLOCK), b""), 1)
        for first, line in lines:
            rows, size = [parse(first, line)], len(line)
            while size < BLOCK and (following := next(lines, None)):
                rows.append(parse(*following))
                size += len(following[1])
            yield first, [pa.array(column, pa.binary()) for column in zip(*rows, strict=True)]


def parse_object(table: Table, number: int, line: bytes) -> dict[str, Any] | None:
    """Parse a line of JSON Lines, row `number`; None if it is blank. Raises `UserError` if it is no JSON object."""
    if not line.strip():
        return None
    where = f"{table.name}: row {number}"
    if len(line) == BLOCK:
        raise UserError(f"{where}: longer than {BLOCK:,} bytes; is it JSON Lines, an object a line?")
    try:
        record = json.loads(line.rstrip(b"\r\n").decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise UserError(_not_utf8(where, error)) from None
    except json.JSONDecodeError as error:
        raise UserError(f"{where}: not JSON: {error.msg} at character {error.pos + 1}") from None
    except (ValueError, RecursionError):  # a number of thousands of digits, or thousands of brackets
        raise UserError(f"{where}: not JSON that can be read: {short(line[:200])}") from None
    if not isinstance(record, dict):
        raise UserError(f"{where}: {short(record)} is not a JSON object; one a line is expected")
    return record


def values_of(table: Table, number: int, record: dict[str, Any] | None, columns: list[Column]) -> list[bytes | None]:
    """Return the columns of a parsed row as `read` has them."""
    if record is None:
        return [None] * len(columns)
    where = f"{table.name}: row {number}"
    values: list[bytes | None] = []
    for column in columns:
        if column not in record:
            raise UserError(f"{where}: no column {column!r}; there are {listed(list(record))}")
        value = record[column]
        if isinstance(value, list | dict):
            raise UserError(f"{where}: {column} is {short(value)}, not a string or number")
        if isinstance(value, int | float):
            value = json.dumps(value)
        # Half a surrogate pair passes here, and is refused with the rest that is not UTF-8.
        values.append(None if value is None else value.encode("utf-8", "surrogatepass"))
    return values


def _read_parquet(table: Table, columns: list[Column]) -> Chunks:
    for first, batch in parquet_batches(table, columns):
        yield first, [_to_bytes(table, column, batch[column]) for column in columns]


def parquet_batches(table: Table, columns: list[Column] | None = None) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Yield the columns of a Parquet file, all if None, as they are; each batch with the number of its first row."""
    try:
        with pq.ParquetFile(table.path) as file:
            _require(table, columns or file.schema_arrow.names, file.schema_arrow.names)
            groups = [file.metadata.row_group(index) for index in range(file.num_row_groups)]
            row_size = sum(group.total_byte_size for group in groups) // max(1, file.metadata.num_rows)
            rows = 1 << min(16, max(1, BLOCK // max(1, row_size)).bit_length() - 1)  # whole chunks for a network
            first = 1
            for batch in file.iter_batches(rows, columns=None if columns is None else list(dict.fromkeys(columns))):
                yield first, batch
                first += batch.num_rows
    except (pa.ArrowInvalid, OSError):
        raise UserError(
            f"{table.name}: not a whole Parquet file: cut short, damaged or of another format; get it again"
        ) from None


def strings(table: Table, first: int, column: Column, values: pa.Array) -> pa.Array:
    """Return a column of Parquet as `read` has it: `string[rows]`."""
    return _decode(table, first, _to_bytes(table, column, values))


def _to_bytes(table: Table, column: Column, values: pa.Array) -> pa.Array:
    if not pa.types.is_binary(values.type):
        try:
            values = values.cast(pa.string())
        except pa.ArrowNotImplementedError:
            raise UserError(f"{table.name}: column {column!r} holds {values.type}, not strings or numbers") from None
    return values.cast(pa.binary())


def open_plain(table: Table) -> BinaryIO:
    """Open a file for reading, unzipped if it is compressed with gzip."""
    with table.path.open("rb") as file:
        is_gzip = file.read(2) == b"\x1f\x8b"
    return cast(BinaryIO, gzip.open(table.path)) if is_gzip else table.path.open("rb")


def _require(table: Table, columns: list[Column], known: list[Column]) -> None:
    for column in columns:
        if column not in known:
            raise UserError(f"{table.name}: no column {column!r}; there are {listed(known)}")
        if known.count(column) > 1:
            raise UserError(f"{table.name}: {known.count(column)} columns are called {column!r}; rename them")


def _decode(table: Table, first: int, column: pa.Array) -> pa.Array:
    try:
        return column.cast(pa.string())
    except pa.ArrowInvalid:
        for row, value in enumerate(column.to_pylist(), first):
            try:
                (value or b"").decode()
            except UnicodeDecodeError as error:
                raise UserError(_not_utf8(f"{table.name}: row {row}", error)) from None
        raise


def _not_utf8(where: str, error: UnicodeDecodeError) -> str:
    excerpt = error.object[max(0, error.start - 10) : error.end + 10]
    return f"{where}: not UTF-8: {short(excerpt)}; save the file as UTF-8"
