"""Reads users' Parquet files. Rows count from 1."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from flaxtext.core.errors import UserError, one_line
from flaxtext.core.printable import name_some
from flaxtext.io import streams
from flaxtext.io.table import MAX_COLUMNS, Column, Keep, Parts, Table, decode, excerpt
from flaxtext.io.values import NoTextError, is_nested, value_texts

MAX_DECODED = 32 << 20
"""Bytes that a batch may take once decoded: a dictionary's value of a megabyte may stand in each of a million rows."""
MAX_ROW = 512 << 20
"""Bytes that a row may take once decoded."""
READ_AHEAD = 1 << 20
"""Bytes of each column that are read at a time, so that memory does not grow with the size of row groups."""


def parquet_parts(table: Table, columns: list[Column], keep: Keep) -> Parts:
    """Yield the rows of a file, about `streams.BLOCK` bytes at a time; a missing value is null.

    A column is the one of that name or, where there is none, a path of fields through structs, such as `meta.label`.

    Raises:
        UserError: no whole Parquet file, a missing column, one of lists, structs or maps, a row not in UTF-8; if they
            are kept, more columns than a table may have, or two of one name.
    """
    first = 1
    with _open(table) as file:
        schema = file.schema_arrow
        paths = [_path_of(table, str(column), schema) for column in columns]
        if keep != "nothing":
            _check_names(table, schema.names)
        wanted = list(dict.fromkeys(".".join(path) for path in paths)) if keep == "nothing" else None
        for batch in _batches(table, file, wanted):
            numbers = range(first, first + batch.num_rows)
            values = [_texts(table, column, _at(batch, path)) for column, path in zip(columns, paths, strict=True)]
            yield numbers, [decode(table, numbers, own) for own in values], None if keep == "nothing" else batch
            first += batch.num_rows
        if first - 1 != file.metadata.num_rows:
            raise UserError(
                f"{table.name}: {first - 1:,} rows were read, but it says that it has {file.metadata.num_rows:,}; "
                "it is damaged; get it again"
            )


@contextmanager
def _open(table: Table) -> Iterator[pq.ParquetFile]:
    """Open a file, and say of every fault of Arrow's in one line what it means."""
    if not table.path.is_file():
        raise UserError(f"{table.name}: {'not a file' if table.path.exists() else 'no such file'}")
    try:
        with _reader(table) as file:
            unit = _int96_unit(table, file)
            if unit is None:
                yield file
                return
        with _reader(table, coerce_int96_timestamp_unit=unit) as file:
            yield file
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        if getattr(error, "errno", None):  # the system's, not Arrow's: no permission, a disk that fails
            raise
        problem = "not a whole Parquet file: cut short, damaged or of another format; get it again"
        if "crypt" in str(error):
            problem = "encrypted; decrypt it first"
        elif isinstance(error, pa.ArrowNotImplementedError):
            problem = f"it cannot be read: {one_line(error)}; write it in another way"
        raise UserError(f"{table.name}: {problem}") from None


def _reader(table: Table, **options: Any) -> pq.ParquetFile:
    # Without pre_buffer, which would keep all that was read until the end.
    return pq.ParquetFile(table.path, pre_buffer=False, **{"buffer_size": READ_AHEAD, **options})


def _batches(table: Table, file: pq.ParquetFile, columns: list[str] | None) -> Iterator[pa.RecordBatch]:
    """Yield the rows in batches of about `streams.BLOCK` bytes, whatever they are in the file."""
    metadata = file.metadata
    groups = [metadata.row_group(index) for index in range(file.num_row_groups)]
    row_size = sum(group.total_byte_size for group in groups) // max(1, metadata.num_rows)
    # A power of two: whole chunks for a network.
    rows = _power_of_two(min(1 << 16, streams.BLOCK // max(1, row_size)))
    sizes = _Sizes(table, file, columns)
    most = [min(rows, sizes.rows_of(index)) for index in range(len(groups))]
    for size, run in groupby(range(len(groups)), lambda index: most[index]):
        parts = file.iter_batches(size, row_groups=list(run), columns=columns)
        yield from parts if size == rows else _joined(parts, rows)


def _power_of_two(number: int) -> int:
    """Return the largest one up to `number`, 1 at least."""
    return 1 << (max(1, number).bit_length() - 1)


def _joined(parts: Iterator[pa.RecordBatch], rows: int) -> Iterator[pa.RecordBatch]:
    """Join batches that had to be small, in case all rows had been as large as the largest value."""
    held: list[pa.RecordBatch] = []
    size = count = 0
    for part in parts:
        held.append(part)
        size += sum(map(_decoded_size, part.columns))
        count += part.num_rows
        if size >= streams.BLOCK or count >= rows:
            yield pa.concat_batches(held)
            held, size, count = [], 0, 0
    if held:
        yield pa.concat_batches(held)


def _decoded_size(values: pa.Array) -> int:
    """Return the bytes of an array; of a dictionary's strings, as many as they take in each of their rows."""
    kind = values.type
    if not pa.types.is_dictionary(kind) or not pa.types.is_string(kind.value_type):
        return int(values.nbytes)
    return int(pc.sum(pc.binary_length(values.dictionary).take(values.indices)).as_py() or 0)


class _Sizes:
    """How many rows of a file may be decoded at a time.

    Few bytes may say that a long value of a dictionary stands in each row, or that a list has a billion items. A look
    at the first row of a row group brings its dictionaries, and with them the longest value.
    """

    def __init__(self, table: Table, file: pq.ParquetFile, columns: list[str] | None) -> None:
        self._table = table
        self._file = file
        self._columns = columns
        schema = file.schema
        self._leaves = [
            index
            for index in range(len(schema))
            if columns is None or any(f"{schema.column(index).path}.".startswith(f"{name}.") for name in columns)
        ]
        self._strings = [
            schema.column(index).path for index in self._leaves if schema.column(index).physical_type == "BYTE_ARRAY"
        ]
        self._repeated = any(schema.column(index).max_repetition_level for index in self._leaves)
        self._reader: pq.ParquetFile | None = None

    def rows_of(self, index: int) -> int:
        """Return how many rows of a row group take at most `MAX_DECODED` bytes, each as large as any; 1 at least.

        Raises:
            UserError: a row may take more than `MAX_ROW`.
        """
        group = self._file.metadata.row_group(index)
        fixed = sum(self._width(leaf) for leaf in self._leaves)
        if not group.num_rows or (
            group.num_rows * (fixed + group.total_byte_size) <= MAX_DECODED and not self._repeated
        ):
            return 1 << 16
        # Before this, what the metadata says of the columns may not be looked at: what is wrong there would abort.
        arrays = self._first_row(index)
        size = sum(self._row_size(group, leaf, array) for leaf, array in zip(self._leaves, arrays, strict=True))
        return _power_of_two(int(MAX_DECODED // max(1, size)))

    def _first_row(self, index: int) -> list[pa.Array | None]:
        """Read the first row of a row group: an array for each leaf, strings with their dictionary if they have one."""
        if self._reader is None:
            self._reader = _reader(
                self._table, metadata=self._file.metadata, read_dictionary=self._strings, buffer_size=1 << 16
            )
        try:
            first = next(self._reader.iter_batches(1, row_groups=[index], columns=self._columns), None)
        except OSError:  # some encodings cannot be read so; or it is damaged, and this says it again
            first = next(self._file.iter_batches(1, row_groups=[index], columns=self._columns), None)
        arrays = [] if first is None else [leaf for column in first.columns for leaf in _leaf_arrays(column)]
        return arrays if len(arrays) == len(self._leaves) else [None] * len(self._leaves)

    def _width(self, leaf: int) -> int:
        """Return the bytes of a value besides those of text."""
        column = self._file.schema.column(leaf)
        if column.physical_type == "FIXED_LEN_BYTE_ARRAY":
            return int(column.length)
        return {"BOOLEAN": 1, "INT32": 4, "FLOAT": 4, "INT96": 8}.get(column.physical_type, 8)

    def _row_size(self, group: Any, leaf: int, array: pa.Array | None) -> float:
        """Return the bytes that a row may take in a column; of lists, on average."""
        column = self._file.schema.column(leaf)
        chunk = group.column(leaf)
        width = self._width(leaf)
        if column.physical_type == "BYTE_ARRAY":
            if "DELTA_BYTE_ARRAY" in chunk.encodings:  # which repeats what is the same as before, as it goes
                width += chunk.total_uncompressed_size
            elif chunk.has_dictionary_page:
                known = array is not None and pa.types.is_dictionary(array.type) and len(array.dictionary)
                width += _longest(array.dictionary) if known and array is not None else chunk.total_uncompressed_size
        whole = chunk.num_values * width
        if width > MAX_ROW or (
            column.max_repetition_level and whole > max(MAX_ROW, 1000 * chunk.total_compressed_size)
        ):
            raise UserError(
                f"{self._table.name}: column {column.path!r}: {chunk.total_compressed_size:,} bytes hold up to "
                f"{max(width, whole):,} once read, too much for a row; write it with shorter values or lists"
            )
        return width * chunk.num_values / group.num_rows if column.max_repetition_level else width


def _longest(values: pa.Array) -> int:
    return int(pc.max(pc.binary_length(values.cast(pa.large_binary()))).as_py() or 0)


def _leaf_arrays(values: pa.Array) -> Iterator[pa.Array]:
    """Yield the arrays that a nested one is made of, in the order of Parquet's columns."""
    kind = values.type
    if isinstance(kind, pa.BaseExtensionType):
        yield from _leaf_arrays(values.storage)
    elif pa.types.is_struct(kind):
        for index in range(kind.num_fields):
            yield from _leaf_arrays(values.field(index))
    elif pa.types.is_map(kind):
        yield from _leaf_arrays(values.keys)
        yield from _leaf_arrays(values.items)
    elif is_nested(kind):
        yield from _leaf_arrays(values.values)
    else:
        yield values


def _int96_unit(table: Table, file: pq.ParquetFile) -> str | None:
    """Return the unit in which the old timestamps of 96 bits are to be read; None for Arrow's own, nanoseconds.

    They reach further than nanoseconds in 64 bits do, where Arrow would return another date without a word.
    """
    schema = file.schema
    columns = [
        schema.column(index).path for index in range(len(schema)) if schema.column(index).physical_type == "INT96"
    ]
    if not columns:
        return None
    with _reader(table) as fine, _reader(table, coerce_int96_timestamp_unit="us") as coarse:
        for pair in zip(fine.iter_batches(columns=columns), coarse.iter_batches(columns=columns), strict=True):
            arrays = [[leaf for column in batch.columns for leaf in _leaf_arrays(column)] for batch in pair]
            for nanoseconds, microseconds in zip(*arrays, strict=True):
                # Without the least precise digits, which are rounded down here and to zero there.
                there, here = (
                    pc.divide(own.cast(pa.int64()), pa.array([by], pa.int64())[0])
                    for own, by in ((nanoseconds, 10**9), (microseconds, 10**6))
                )
                if pc.any(pc.greater(pc.abs(pc.subtract(there, here)), pa.array([1], pa.int64())[0])).as_py():
                    return "us"
    return None


def _check_names(table: Table, names: Sequence[str]) -> None:
    if len(names) > MAX_COLUMNS:
        raise UserError(f"{table.name}: {len(names):,} columns; at most {MAX_COLUMNS:,} can be copied")
    name, count = max(Counter(names).items(), key=lambda item: item[1], default=("", 0))
    if count > 1:
        raise UserError(f"{table.name}: {count} columns are called {excerpt(name)}; rename them")


def _path_of(table: Table, column: str, schema: pa.Schema) -> list[str]:
    """Return the names that lead to a column: its own, or those of structs and of a field in them."""
    fields = list(schema)
    names = [field.name for field in fields]
    if (count := names.count(column)) > 1:
        raise UserError(f"{table.name}: {count} columns are called {excerpt(column)}; rename them")
    path = [column] if count else _nested_path(fields, column)
    if path is None:
        known = list(_nested_names(fields)) if "." in column else names
        raise UserError(f"{table.name}: no column {excerpt(column)}; there are {name_some(known)}")
    return path


def _nested_path(fields: Sequence[pa.Field], column: str) -> list[str] | None:
    for field in fields:
        if field.name == column:
            return [column]
    for field in fields:
        rest = column.removeprefix(f"{field.name}.")
        if rest != column and pa.types.is_struct(field.type) and (path := _nested_path(list(field.type), rest)):
            return [field.name, *path]
    return None


def _nested_names(fields: Sequence[pa.Field]) -> Iterator[str]:
    for field in fields:
        if pa.types.is_struct(field.type):
            yield from (f"{field.name}.{inner}" for inner in _nested_names(list(field.type)))
        else:
            yield field.name


def _at(batch: pa.RecordBatch, path: list[str]) -> pa.Array:
    values = batch.column(batch.schema.get_field_index(path[0]))
    for name in path[1:]:
        values = pc.struct_field(values, [values.type.get_field_index(name)])
    return values


def _texts(table: Table, column: Column, values: pa.Array) -> pa.Array:
    """Return a column as `binary[rows]`, in UTF-8 unless it came otherwise."""
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    kind = values.type
    is_bytes = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view, pa.types.is_fixed_size_binary)
    strings = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    if any(test(kind) for test in (*is_bytes, *strings)):
        return values.cast(pa.binary())
    try:
        if not is_nested(kind):
            return value_texts(values).cast(pa.binary())
    except NoTextError:
        pass
    raise UserError(f"{table.name}: column {excerpt(column)} holds {one_line(kind)}, not strings or numbers")
