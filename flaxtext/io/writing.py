"""Writes frames of a table with columns added, in CSV, TSV, JSON Lines or Parquet."""

import gzip
import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq

from flaxtext.core.arrow import string_array
from flaxtext.core.errors import UserError
from flaxtext.core.files import open_output
from flaxtext.io.formulas import neutralize
from flaxtext.io.reading import Frame
from flaxtext.io.table import Record, Table, excerpt


def encode_frame(frame: Frame, added: dict[str, pa.Array], table: Table, *, escape: bool = True) -> Any:
    """Add columns to a frame that kept its rows, and bring it into the form that the writer of `table`'s format takes.

    It is safe to call in several threads at once. With `escape`, cells of CSV and TSV that a spreadsheet would take
    for a formula get a leading apostrophe; numbers do not.

    Raises:
        UserError: a column of that name is there already, or one that the format cannot hold.
    """
    if isinstance(frame.rows, list):
        for number, record in zip(frame.numbers, frame.rows, strict=True):
            _refuse_clash(table, f"row {number} of the input", added, list(record))
        new = pa.RecordBatch.from_pydict(added).to_pylist()
        return _json_lines(record | values for record, values in zip(frame.rows, new, strict=True))
    batch: Any = frame.rows
    _refuse_clash(table, "the input", added, batch.schema.names)
    for name, array in added.items():
        batch = batch.append_column(name, array)
    if table.format == "parquet":
        return batch
    if table.format == "jsonl":
        return _json_lines(batch.to_pylist())
    return _csv_lines(batch, table, header=table.options.header and frame.index == 0, escape=escape)


def _refuse_clash(table: Table, where: str, added: dict[str, pa.Array], names: Sequence[str]) -> None:
    for name in added:
        if name in names:
            raise UserError(f"{table.name}: {where} has a column {name!r} already; give the new ones a --prefix")


@contextmanager
def open_writer(table: Table) -> Iterator[Callable[[Any], object]]:
    """Yield a function that writes what `encode_frame` returned, in order; the file appears, whole, at the end.

    A device, a pipe or standard output has it block by block. CSV, TSV and JSON Lines are compressed with gzip if their
    name ends in .gz.
    """
    with ExitStack() as stack:
        file: Any = stack.enter_context(open_output(table.path) if table.stream is None else _flushed(table.stream))
        if table.format == "parquet":
            yield stack.enter_context(_parquet_writer(file))
            return
        if table.path.name.lower().endswith(".gz"):  # no name inside, no clock: the same bytes every time
            file = stack.enter_context(gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0))
        yield file.write


@contextmanager
def _flushed(stream: BinaryIO) -> Iterator[BinaryIO]:
    yield stream
    stream.flush()  # here, where a full disk is told before success is


@contextmanager
def _parquet_writer(file: Any) -> Iterator[Callable[[pa.RecordBatch], object]]:
    writers: list[pq.ParquetWriter] = []

    def write(batch: pa.RecordBatch) -> None:
        if not writers:
            writers.append(pq.ParquetWriter(file, batch.schema, compression="zstd"))
        writers[0].write_batch(batch)

    try:
        yield write
        for writer in writers:
            writer.close()
    except BaseException:
        for writer in writers:
            writer.is_open = False  # or it would write its end as Python lets go of it, where there may be no room
        raise


def _csv_lines(batch: pa.RecordBatch, table: Table, *, header: bool, escape: bool) -> bytes:
    columns = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        column = _csv_column(table, name, column)
        columns[name] = neutralize(column) if escape and pa.types.is_string(column.type) else column
    names = string_array(columns)
    lines = pa.record_batch(list(columns.values()), names=(neutralize(names) if escape else names).to_pylist())
    sink = pa.BufferOutputStream()
    csv.write_csv(lines, sink, csv.WriteOptions(include_header=header, delimiter=table.delimiter))
    data: bytes = sink.getvalue().to_pybytes()
    return data


def _csv_column(table: Table, name: str, column: pa.Array) -> pa.Array:
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.dictionary_decode()
        kind = column.type
    if pa.types.is_primitive(kind) or pa.types.is_string(kind) or pa.types.is_null(kind):
        return column
    try:
        return column.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise UserError(
            f"{table.name}: column {name!r} holds {excerpt(str(kind))}, which CSV cannot; write .jsonl or .parquet"
        ) from None


def _json_lines(records: Any) -> bytes:
    return b"".join(_json_line(record) for record in records)


def _json_line(record: Record) -> bytes:
    try:
        line = json.dumps(record, ensure_ascii=False, allow_nan=False, default=_as_json)
    except ValueError:  # NaN and infinity, which JSON does not have
        line = json.dumps(_finite(record), ensure_ascii=False, allow_nan=False, default=_as_json)
    try:
        return line.encode() + b"\n"
    except UnicodeEncodeError:  # half a surrogate pair, which came in as an escape
        return json.dumps(json.loads(line)).encode() + b"\n"


def _as_json(value: Any) -> Any:
    """Turn what Parquet knows and JSON does not, such as dates, into strings."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
