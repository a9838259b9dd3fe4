"""Reads CSV and TSV: every field a string, and the row of every fault.

A header is row 1, a blank line is a row, and a field with line breaks does not add rows. The file is cut into blocks of
whole records, which Arrow parses; it must find as many as were cut.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv

from flaxtext.core.errors import UserError, one_line
from flaxtext.io import streams
from flaxtext.io.dialect import find_dialect
from flaxtext.io.quotes import first_quoted_line, hold_rows
from flaxtext.io.records import Block, Dialect, cut_records, split_fields
from flaxtext.io.table import (
    MAX_COLUMNS,
    Column,
    Keep,
    Part,
    Parts,
    Rows,
    Table,
    UndecodableError,
    decode,
    excerpt,
    not_utf8,
    require,
)

MAX_CELLS = 1 << 22
"""Fields that are parsed at a time: a blank line is a byte, and a row of a field a column."""
CACHED = 1 << 19
"""Bytes that Arrow takes at a time, which is faster where they stay in a processor's cache."""
AHEAD = 1
"""Blocks that are parsed while the caller works."""
MARK = b"\xef\xbb\xbf"
ASCII_ALONE = bytes(range(128)) + b"?" * 128
"""Turns text into what Arrow can quote in any case, line for line and field for field."""


@dataclass(frozen=True)
class Parsed:
    """A block that was parsed.

    Attributes:
        part: its rows, up to the first that is wrong.
        error: what is wrong with that one.
        joined: rows that may be several, joined by a stray quote.
    """

    part: Part
    error: UserError | None
    joined: list[int]


def csv_parts(table: Table, columns: list[Column], keep: Keep) -> Parts:
    """Yield the rows of a file, about `streams.BLOCK` bytes at a time; a missing value is an empty string.

    Raises:
        UserError: in the place of the first row that is wrong: of too few or too many fields, not in the file's
            encoding, with a quote that closes inside a field or is not closed. Before all rows, if the file is empty,
            or a column is missing.
    """
    with streams.open_plain(table) as file:
        head = file.read(streams.BLOCK)
        if not head:
            raise UserError(f"{table.name}: the file is empty")
        dialect = find_dialect(table, columns, head, whole=len(head) < streams.BLOCK)
        pieces = chain([head], iter(partial(file.read, streams.BLOCK), b""))
        blocks = cut_records(table, pieces, dialect)
        first = next(blocks)
        known = _columns(table, first, dialect, file.encoding)
        require(table, columns, known, dialect.advice)
        if keep != "nothing":
            require(table, known, known)
        if table.options.header:
            first = first.part(1, first.count)
        parser = Parser(table, dialect, file.encoding, columns, known, keep)
        joined: list[int] = []
        try:
            for parsed in _map_ahead(parser.parse, _few_cells(chain([first], blocks), len(known))):
                joined += parsed.joined
                if len(parsed.part[0]):
                    yield parsed.part
                if parsed.error:
                    raise parsed.error
        finally:
            if joined:
                table.say("warning", _joined(joined))


def _joined(rows: list[int]) -> str:
    return (
        f"row {rows[0]} has lines in quotes that look like rows"
        + (f", and {len(rows) - 1:,} more have" if len(rows) > 1 else "")
        + "; if a quote is a stray one, set quoting: none"
    )


def _columns(table: Table, first: Block, dialect: Dialect, encoding: str) -> list[Column]:
    """Return the names in the header or, without one, the numbers of the fields of the first row that has any."""
    if table.options.header:
        record = first.record(0)
        if not record:
            raise UserError(f"{table.name}: row 1 is blank; the names of the columns are expected there")
    else:
        record = next((record for record in map(first.record, range(first.count)) if record), b"")
    fields = split_fields(record, dialect)
    if len(fields) > MAX_COLUMNS:
        raise UserError(f"{table.name}: row 1: more than {MAX_COLUMNS:,} columns")
    if not table.options.header:
        return list(range(1, len(fields) + 1))
    try:
        return [field.decode() for field in fields]
    except UnicodeDecodeError as error:
        raise UserError(not_utf8(table, 1, error, encoding)) from None


def _few_cells(blocks: Iterable[Block], columns: int) -> Iterator[Block]:
    """Cut blocks further that have many rows for their size."""
    rows = max(1, MAX_CELLS // columns)
    for block in blocks:
        for start in range(0, block.count, rows):
            yield block.part(start, min(start + rows, block.count))


def _map_ahead(parse: Callable[[Block], Parsed], blocks: Iterator[Block]) -> Iterator[Parsed]:
    """Yield `parse(block)` for each block, in order, with the next ones under way; then what `blocks` raises."""
    with ThreadPoolExecutor(AHEAD) as pool:
        under_way: deque[Future[Parsed]] = deque()
        raised = None
        try:
            for block in blocks:
                under_way.append(pool.submit(parse, block))
                if len(under_way) > AHEAD:
                    yield under_way.popleft().result()
        except (UserError, OSError, *streams.GZIP_ERRORS) as error:
            raised = error
        while under_way:
            yield under_way.popleft().result()
        if raised:
            raise raised


def _longest(block: Block) -> int:
    """Return how many bytes the longest record has, or `CACHED` if none has more."""
    window = CACHED // 2
    if block.lines and all(block.data.find(b"\n", at, at + window) >= 0 for at in range(0, len(block.data), window)):
        return CACHED
    return int(np.diff(block.ends, prepend=0).max())


class Parser:
    """Parses blocks of one file; safe to use in several threads at once."""

    def __init__(
        self, table: Table, dialect: Dialect, encoding: str, columns: list[Column], known: list[Column], keep: Keep
    ) -> None:
        self._table = table
        self._dialect = dialect
        self._encoding = encoding
        self._keep = keep
        self._known = [str(column) for column in known]
        # Names of our own, of which each is another.
        names = [str(index) for index in range(len(known))]
        self._asked = [names[known.index(column)] for column in columns]
        self._wanted = names if keep != "nothing" else list(dict.fromkeys(self._asked))
        self._names = names
        types = dict.fromkeys(self._wanted, pa.binary())
        self._conversion = csv.ConvertOptions(column_types=types, include_columns=self._wanted, null_values=[])

    def parse(self, block: Block) -> Parsed:
        """Parse a block up to the first row that is wrong."""
        if stray := self._stray(block):
            return self._cut(block, *stray)
        try:
            batch = self._arrow(block)
        except pa.ArrowInvalid as error:
            return self._cut(block, *self._fault(block, error))
        if batch.num_rows != block.count:
            where = f"{self._table.name}: rows {block.rows[0]} to {block.rows[-1]}"
            raise UserError(
                f"{where}: {block.count:,} rows by their line ends, {batch.num_rows:,} as parsed; please report this"
            )
        strings: dict[str, pa.StringArray] = {}
        errors = []
        for name in self._wanted:
            try:
                strings[name] = decode(self._table, block.rows, batch[name].combine_chunks(), self._encoding)
            except UndecodableError as error:
                errors.append(error)
        if errors:
            first = min(errors, key=lambda error: error.row)
            return self._cut(block, first.row - block.first, first)
        rows: Rows = None
        if self._keep != "nothing":
            rows = pa.record_batch(list(strings.values()), names=self._known)
        return Parsed((block.rows, [strings[name] for name in self._asked], rows), None, self._joined(block))

    def _cut(self, block: Block, at: int, error: UserError) -> Parsed:
        """Parse the rows before the one that is wrong, where another may be wrong in another way."""
        if not at:
            return Parsed((range(0), [], None), error, [])
        parsed = self.parse(block.part(0, at))
        return replace(parsed, error=parsed.error or error)

    def _arrow(self, block: Block, on_bad_row: Callable[[Any], str] | None = None) -> pa.Table:
        data = block.data
        if data.startswith(MARK):
            data = MARK + data  # Arrow skips one, and here it is text
        # Where a block of Arrow's ends with CR, it drops the LF that follows, in quotes as well: then one holds all.
        several = block.lines or b"\r" not in data
        size = max(CACHED, _longest(block) + len(MARK)) if several else len(data)
        reading = csv.ReadOptions(column_names=self._names, block_size=size, use_threads=False)
        parsing = csv.ParseOptions(
            delimiter=self._dialect.delimiter,
            quote_char='"' if self._dialect.quoted else False,
            newlines_in_values=True,
            ignore_empty_lines=False,  # which would shift the numbers of rows
            invalid_row_handler=on_bad_row,
        )
        return csv.read_csv(pa.BufferReader(data), reading, parsing, self._conversion)

    def _fault(self, block: Block, error: Exception) -> tuple[int, UserError]:
        """Find the first row that Arrow refused: its index, and what is wrong."""
        found: list[Any] = []

        def note(row: Any) -> str:
            found.append(row)
            return "error"

        with suppress(pa.ArrowInvalid):
            self._arrow(replace(block, data=block.data.translate(ASCII_ALONE)), note)
        if not found:
            raise UserError(f"{self._table.name}: rows from {block.first} on: {one_line(error)}")
        [bad] = found
        at = bad.number - 1
        record = block.record(at)
        try:
            text = record.decode()[:200]
        except UnicodeDecodeError as undecodable:
            return at, UserError(not_utf8(self._table, block.rows[at], undecodable, self._encoding))
        advice = "quote fields with delimiters or line breaks"
        if not self._dialect.quoted:
            advice = "quotes are text here; set quoting: csv if they hold fields together"
        where = f"{self._table.name}: row {block.rows[at]}"
        found_fields = f"expected {bad.expected_columns} fields, found {bad.actual_columns}"
        return at, UserError(f"{where}: {found_fields}: {excerpt(text)}; {advice}")

    def _stray(self, block: Block) -> tuple[int, UserError] | None:
        """Find the first row whose quotes mean something else than was found out at the start of a TSV file."""
        delimiter = self._dialect.delimiter
        if not self._dialect.guessed or delimiter != "\t":
            return None
        if self._dialect.quoted:
            suspects = hold_rows(block, delimiter, len(self._known), sure=False)
            at = int(suspects[0]) if len(suspects) else None
            problem = "lines in quotes look like rows; set quoting: none if quotes are text, csv if this is one row"
        else:
            at = first_quoted_line(block, delimiter)
            problem = (
                "a field in quotes, the first one; set quoting: csv if quotes enclose fields, none if they are text"
            )
        if at is None:
            return None
        text = block.record(at)[:200].decode("utf-8", "replace")
        return at, UserError(f"{self._table.name}: row {block.rows[at]}: {excerpt(text)}: {problem}")

    def _joined(self, block: Block) -> list[int]:
        """Return rows that may be several, in a file whose quotes were believed for want of other signs."""
        delimiter = self._dialect.delimiter
        if not (self._dialect.guessed and self._dialect.quoted) or delimiter == "\t":
            return []
        return [block.rows[at] for at in hold_rows(block, delimiter, len(self._known), sure=True)]
