"""Writes frames of a table with columns added, in CSV, TSV, JSON Lines or Parquet."""

import gzip
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq

from flaxtext.core.arrow import string_array
from flaxtext.core.errors import UserError, one_line
from flaxtext.core.files import open_output
from flaxtext.io.formulas import neutralize
from flaxtext.io.json_values import parse
from flaxtext.io.reading import Frame
from flaxtext.io.table import Keep, Table, excerpt
from flaxtext.io.values import NoTextError, json_tokens, object_template, quote_text, value_texts

ESCAPED_KEY = re.compile(rb'"[^"]*\\u[^"]*"[ \t]*:')
"""A key of JSON that is written with an escape, or what looks like one."""


KEEP: dict[str, Keep] = {"csv": "texts", "tsv": "texts", "jsonl": "records", "parquet": "batch"}
"""Format of a file to write -> what is to be kept of the rows that are read for it."""


def encode_frame(frame: Frame, added: dict[str, pa.Array], table: Table, *, escape: bool = False) -> Any:
    """Add columns to a frame that kept its rows as `KEEP` says, and bring it into the form that the writer takes.

    Values stay as they are; docs/formats.md lists the forms of those that the format of `table` does not have. It is
    safe to call in several threads at once. With `escape`, cells of CSV and TSV that a spreadsheet would take for a
    formula get a leading apostrophe; numbers do not.

    Raises:
        UserError: a column of that name is there already, or one that the format cannot hold.
    """
    if isinstance(frame.rows, list):
        _refuse_clash_of_lines(table, frame, added)
        return _extended(frame.rows, added)
    batch: Any = frame.rows
    _refuse_clash(table, "the input", added, batch.schema.names)
    for name, array in added.items():
        batch = batch.append_column(name, array)
    if table.format == "parquet":
        return batch
    if table.format == "jsonl":
        return _json_lines(table, batch)
    return _csv_lines(batch, table, header=table.options.header and frame.index == 0, escape=escape)


def _refuse_clash(table: Table, where: str, added: dict[str, pa.Array], names: Sequence[str]) -> None:
    for name in added:
        if name in names:
            raise UserError(f"{table.name}: {where} has a column {excerpt(name)} already; give the new ones a --prefix")


def _refuse_clash_of_lines(table: Table, frame: Frame, added: dict[str, pa.Array]) -> None:
    """Refuse lines of JSON that have a key of one of the new ones."""
    keys = [quote_text(name).encode() for name in added]
    for number, line in zip(frame.numbers, frame.rows or (), strict=True):
        # What is quoted may be a value, and a key may be written with escapes; both are rare enough to look again.
        if any(key in line for key in keys) or ESCAPED_KEY.search(line):
            _refuse_clash(table, f"row {number} of the input", added, list(parse(line.decode())))


@contextmanager
def open_writer(table: Table) -> Iterator[Callable[[Any], object]]:
    """Yield a function that writes what `encode_frame` returned, in order; the file appears, whole, at the end.

    A device, a pipe or standard output has it block by block. CSV, TSV and JSON Lines are compressed with gzip if their
    name ends in .gz.
    """
    with ExitStack() as stack:
        file: Any = stack.enter_context(open_output(table.path) if table.stream is None else _flushed(table.stream))
        if table.format == "parquet":
            yield stack.enter_context(_parquet_writer(table, file))
            return
        if table.path.name.lower().endswith(".gz"):  # no name inside, no clock: the same bytes every time
            file = stack.enter_context(gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0))
        yield file.write


@contextmanager
def _flushed(stream: BinaryIO) -> Iterator[BinaryIO]:
    yield stream
    stream.flush()  # here, where a full disk is told before success is


@contextmanager
def _parquet_writer(table: Table, file: Any) -> Iterator[Callable[[pa.RecordBatch], object]]:
    writers: list[pq.ParquetWriter] = []

    def write(batch: pa.RecordBatch) -> None:
        if not writers:
            try:
                writers.append(pq.ParquetWriter(file, batch.schema, compression="zstd"))
            except pa.ArrowNotImplementedError as error:
                raise UserError(f"{table.name}: Parquet cannot hold it: {one_line(error)}; write .jsonl") from None
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
    columns = [_csv_column(table, name, own) for name, own in zip(batch.schema.names, batch.columns, strict=True)]
    names = string_array(batch.schema.names)
    if escape:
        columns = [neutralize(own) if pa.types.is_string(own.type) else own for own in columns]
        names = neutralize(names)
    lines = pa.record_batch(columns, names=names.to_pylist())
    sink = pa.BufferOutputStream()
    csv.write_csv(lines, sink, csv.WriteOptions(include_header=header, delimiter=table.delimiter))
    data: bytes = sink.getvalue().to_pybytes()
    return data


def _csv_column(table: Table, name: str, column: pa.Array) -> pa.Array:
    kind = column.type
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_float32(kind) or pa.types.is_float64(kind):
        return column  # written by Arrow, without quotes
    with _explained(table, name, column):
        return value_texts(column)


def _extended(lines: list[bytes], added: dict[str, pa.Array]) -> bytes:
    """Write objects as they came, to the letter, with members added at their end."""
    template = object_template([quote_text(name) for name in added], ", ", ": ") + "\n"
    rows = zip(*(json_tokens(array) for array in added.values()), strict=True)
    parts = []
    for line, row in zip(lines, rows, strict=True):
        own = line[:-1].rstrip()
        comma = b"" if own == b"{" else b", "
        parts += [own, comma, (template % row)[1:].encode()]
    return b"".join(parts)


def _json_lines(table: Table, batch: pa.RecordBatch) -> bytes:
    columns = []
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        with _explained(table, name, column):
            columns.append(json_tokens(column))
    template = object_template(list(map(quote_text, batch.schema.names)), ", ", ": ") + "\n"
    return "".join(template % row for row in zip(*columns, strict=True)).encode()


@contextmanager
def _explained(table: Table, name: str, column: pa.Array) -> Iterator[None]:
    """Say in a line that a column is of a type that has no form as text."""
    try:
        yield
    except (NoTextError, RecursionError, pa.ArrowNotImplementedError):
        raise UserError(
            f"{table.name}: column {excerpt(name)} holds {one_line(column.type)}, which only .parquet can; write that"
        ) from None
