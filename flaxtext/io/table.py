"""A table in a user's file: its format, how to read it, and what messages say of its rows and values."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any, BinaryIO, Literal, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from flaxtext.core.errors import UserError
from flaxtext.core.printable import name_some
from flaxtext.io.encoding import UNDECODABLE, UTF8, check_encoding, is_utf8

Column = str | int
"""A column's name or, in CSV without a header, its number from 1."""
Record = dict[str, Any]
Keep = Literal["nothing", "batch", "texts", "records"]
"""What to keep of a row beside the columns that are asked for: nothing, or all of its columns in a record batch. From
JSON Lines these are of the types that hold their values, or strings ("texts"), or there is the object as it stands in
its line ("records")."""
Rows: TypeAlias = "pa.RecordBatch | list[bytes] | None"
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
ADVISED = "encoding: cp1252"
"""What a file that is not UTF-8 most often needs."""


MAX_COLUMNS = 10_000
"""A table of more is refused: a file of commas would take all memory."""


@dataclass(frozen=True)
class Options:
    """How a file is to be read.

    Attributes:
        header: whether the first row of CSV and TSV holds names; without, columns are numbers from 1.
        delimiter: what separates the fields of CSV and TSV, a single character of ASCII; a tab may be written out, as
            "tab" or a backslash and t. None: detected among comma, semicolon, tab and pipe.
        encoding: of CSV, TSV and JSON Lines, by any name that Python knows; a byte order mark comes before it. None:
            UTF-8 where there is no mark.
        quoting: "csv": in CSV and TSV, a quote at a field's start opens a field that holds delimiters and line breaks.
            "none": quotes are text. None: csv; for TSV, none unless its first block shows a well-formed quoted field.

    Raises:
        UserError: a delimiter, an encoding or a quoting that cannot be.
    """

    header: bool = True
    delimiter: str | None = None
    encoding: str | None = None
    quoting: Literal["csv", "none"] | None = None

    def __post_init__(self) -> None:
        try:
            if self.delimiter is not None:
                object.__setattr__(self, "delimiter", check_delimiter(self.delimiter))
            if self.encoding is not None:
                check_encoding(self.encoding)
        except ValueError as error:
            raise UserError(str(error)) from None
        if self.quoting not in (None, "csv", "none"):
            raise UserError(f"quoting is to be csv or none, not {excerpt(self.quoting)}")


@dataclass(frozen=True)
class Table:
    """A file of rows.

    Attributes:
        name: what to call it in messages.
        path: where it lies; CSV, TSV and JSON Lines may be compressed with gzip.
        format: csv, tsv, jsonl or parquet.
        options: how to read it.
        stream: what to read or write instead of the path, once: standard input or output. It is not closed.
        said: what `say` said already.
    """

    name: str
    path: Path
    format: str
    options: Options = Options()
    stream: BinaryIO | None = None
    said: set[str] = field(default_factory=set, init=False, repr=False, compare=False)

    @property
    def delimiter(self) -> str:
        """What separates the fields of CSV and TSV, if nothing else is found in the file."""
        return self.options.delimiter or DELIMITERS[self.format]

    def say(self, kind: Literal["note", "warning"], message: str) -> None:
        """Tell the user something of this file on stderr, once, however often the file is read."""
        if message not in self.said:
            self.said.add(message)
            print(f"{kind}: {self.name}: {message}", file=sys.stderr)


def check_delimiter(text: str) -> str:
    r"""Return a delimiter, a tab also where it is written as "tab" or "\t". Raises `ValueError`, with a sentence."""
    delimiter = "\t" if text.lower() in ("tab", r"\t") else text
    if len(delimiter) != 1 or not delimiter.isascii() or delimiter in '"\r\n\0':
        raise ValueError(f"a delimiter is to be one character of ASCII, such as ; or \\t, not {excerpt(text)}")
    return delimiter


def format_of(file_name: str) -> str | None:
    """Tell the format from a file's ending, such as .csv or .jsonl.gz; None if it is not known."""
    return ENDINGS.get(PurePath(file_name.lower().removesuffix(".gz")).suffix)


def require(table: Table, columns: Sequence[Column], known: Sequence[Column], advice: str = "") -> None:
    """Raise `UserError` unless each of `columns` is one of the `known` ones, and the only one of its name."""
    for column in columns:
        if column not in known:
            raise UserError(f"{table.name}: no column {excerpt(column)}; there are {name_some(known)}{advice}")
        if (count := known.count(column)) > 1:
            raise UserError(f"{table.name}: {count} columns are called {excerpt(column)}; rename them")


class UndecodableError(UserError):
    """A row is not in the encoding of its file.

    Attributes:
        row: the number of the row.
    """

    def __init__(self, message: str, row: int) -> None:
        super().__init__(message)
        self.row = row


def decode(table: Table, numbers: Sequence[int], values: pa.Array, encoding: str | None = None) -> pa.StringArray:
    """Turn `binary[rows]` into `string[rows]`.

    Args:
        table: where they come from.
        numbers: the number of each row.
        values: UTF-8, with `UNDECODABLE` in what could not be turned into it.
        encoding: of the file, for the message; by default, what the table's options say.

    Raises:
        UndecodableError: a row is not in that encoding.
    """
    try:
        return values.cast(pa.string())
    except pa.ArrowInvalid:
        for number, value in zip(numbers, values.to_pylist(), strict=True):
            try:
                (value or b"").decode()
            except UnicodeDecodeError as error:
                raise UndecodableError(not_utf8(table, number, error, encoding), number) from None
        raise


def not_utf8(table: Table, number: int, error: UnicodeDecodeError, encoding: str | None = None) -> str:
    """Say that row `number` is not in its file's encoding, and show where."""
    around = error.object[max(0, error.start - 10) : error.end + 10]
    encoding = encoding or table.options.encoding or UTF8
    where = f"{table.name}: row {number}: not"
    if table.format == "parquet":
        return f"{where} {UTF8}: {excerpt(around)}; save the file as {UTF8}"
    if is_utf8(encoding):
        return f"{where} {UTF8}: {excerpt(around)}; save the file as {UTF8}, or name its encoding, such as {ADVISED}"
    advice = "correct the row" if table.options.encoding is None else "correct the row, or encoding"
    return f"{where} {encoding}: {excerpt(around.replace(UNDECODABLE, b''))}; {advice}"


def is_blank(texts: pa.StringArray) -> pa.BooleanArray:
    """Tell which of `texts: string[n]` are empty or nothing but white space: `bool[n]`, null where one is missing."""
    has_letters = pc.binary_length(texts).cast(pa.bool_())
    return pc.or_(pc.invert(has_letters), pc.utf8_is_space(texts))


def excerpt(value: Any) -> str:
    """Quote a value for a message, on one line and in at most 40 characters."""
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
