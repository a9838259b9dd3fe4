"""A table in a user's file: its format, how to read it, and what messages say of its rows and values."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, Literal, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from flaxtext.core.errors import UserError

Column = str | int
"""A column's name or, in CSV without a header, its number from 1."""
Record = dict[str, Any]
Keep = Literal["nothing", "batch", "records"]
"""What to keep of a row beside the columns that are asked for: nothing; all of its columns in a record batch; or, from
JSON Lines, the object as it was parsed, and from other formats a record batch."""
Rows: TypeAlias = "pa.RecordBatch | list[Record] | None"
Part: TypeAlias = tuple[Sequence[int], list[pa.StringArray], Rows]
"""What the reader of a format yields: the numbers of some rows, the columns asked for, `string[rows]` each, and what is
kept of the rows."""
Parts = Iterator[Part]

ENDINGS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}
DELIMITERS = {"csv": ",", "tsv": "\t"}


@dataclass(frozen=True)
class Options:
    """How a file is to be read.

    Attributes:
        header: whether the first row of CSV and TSV holds names; without, columns are numbers from 1.
        delimiter: what parts the fields of CSV and TSV, a single character; None: detected.
        encoding: of CSV, TSV and JSON Lines; None: by byte order mark (UTF-8, 16 or 32), otherwise UTF-8.
        quoting: whether quotes in CSV and TSV mean something ("csv") or are characters as others ("none"); None: csv,
            and for TSV none unless a well-formed quoted field is seen.
    """

    header: bool = True
    delimiter: str | None = None
    encoding: str | None = None
    quoting: Literal["csv", "none"] | None = None


@dataclass(frozen=True)
class Table:
    """A file of rows.

    Attributes:
        name: what to call it in messages.
        path: where it lies; CSV, TSV and JSON Lines may be compressed with gzip.
        format: csv, tsv, jsonl or parquet.
        options: how to read it.
    """

    name: str
    path: Path
    format: str
    options: Options = Options()

    @property
    def delimiter(self) -> str:
        """What parts the fields of CSV and TSV."""
        return DELIMITERS[self.format]


def format_of(file_name: str) -> str | None:
    """Tell the format from a file's ending, such as .csv or .jsonl.gz; None if it is not known."""
    return ENDINGS.get(PurePath(file_name.lower().removesuffix(".gz")).suffix)


def require(table: Table, columns: Sequence[Column], known: Sequence[Column]) -> None:
    """Raise `UserError` unless each of `columns` is one of the `known` ones, and the only one of its name."""
    for column in columns:
        if column not in known:
            raise UserError(f"{table.name}: no column {column!r}; there are {listed(known)}")
        if (count := known.count(column)) > 1:
            raise UserError(f"{table.name}: {count} columns are called {column!r}; rename them")


def decode(table: Table, numbers: Sequence[int], values: pa.Array) -> pa.StringArray:
    """Turn `binary[rows]` into `string[rows]`. Raises `UserError` with the number of the first row not in UTF-8."""
    try:
        return values.cast(pa.string())
    except pa.ArrowInvalid:
        for number, value in zip(numbers, values.to_pylist(), strict=True):
            try:
                (value or b"").decode()
            except UnicodeDecodeError as error:
                raise UserError(not_utf8(table, number, error)) from None
        raise


def not_utf8(table: Table, number: int, error: UnicodeDecodeError) -> str:
    """Say that row `number` is not in UTF-8, and show where."""
    around = error.object[max(0, error.start - 10) : error.end + 10]
    return f"{table.name}: row {number}: not UTF-8: {excerpt(around)}; save the file as UTF-8"


def is_blank(texts: pa.StringArray) -> pa.BooleanArray:
    """Tell which of `texts: string[n]` are empty or nothing but white space: `bool[n]`, null where one is missing."""
    has_letters = pc.binary_length(texts).cast(pa.bool_())
    return pc.or_(pc.invert(has_letters), pc.utf8_is_space(texts))


def listed(values: Sequence[Any]) -> str:
    """Name up to 20 values for a message."""
    shown = ", ".join(str(value) for value in values[:20])
    return shown if len(values) <= 20 else f"{shown}, ... ({len(values):,} in all)"


def excerpt(value: Any) -> str:
    """Quote a value for a message, on one line and in at most 40 characters."""
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
