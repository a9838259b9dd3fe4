"""The tables that `predict` is told to read and write: files by their endings, standard input and output, pipes."""

import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import typer

from flaxtext.cli.options import check_target
from flaxtext.core.errors import UserError
from flaxtext.core.files import NO_ROOM, descriptor, follow, is_special
from flaxtext.io.table import Column, Options, Table, format_of

KNOWN = ".csv, .tsv, .jsonl (.gz too) or .parquet"


def input_table(path: Path, given: str | None, options: Options) -> Table:
    """Return the table that `path` names, or standard input for `-`, in the `given` format if its ending tells none.

    Raises `typer.BadParameter` for no known format, or options that it does not have.
    """
    standard = _is_standard(path, 0)
    name = "standard input" if standard else str(path)
    found = _format(path, standard, given)
    if found is None:
        raise typer.BadParameter(_unknown(name, standard, given), param_hint="--input")
    for option, value, formats in (
        ("--delimiter", options.delimiter, ("csv", "tsv")),
        ("--quoting", options.quoting, ("csv", "tsv")),
        ("--encoding", options.encoding, ("csv", "tsv", "jsonl")),
    ):
        if value is not None and found not in formats:
            raise typer.BadParameter(f"{name}: a {found} file has none", param_hint=option)
    return Table(name, path, found, options, sys.stdin.buffer if standard else None)


def prepare_input(source: Table, stack: ExitStack) -> Table:
    """Return a table that can be read: Parquet, which is read from its end, from a file.

    What comes through a pipe is put into a temporary file first, which `stack` closes. It has no name, so that nothing
    is left of it however the process ends.

    Raises:
        UserError: no such file, a folder, no space for a copy.
    """
    path, stream = source.path, source.stream
    if stream is not None:
        if stream.isatty():
            print(f"reading {source.format} from the terminal; Ctrl-D ends", file=sys.stderr)
    elif not path.exists():
        raise UserError(f"{source.name}: no such file")
    elif path.is_dir():
        raise UserError(f"{source.name}: a folder, not a file")
    if source.format != "parquet":
        return source
    if stream is not None:
        return replace(source, path=_spooled(source, stream, stack), stream=None)
    if path.is_fifo():
        with path.open("rb") as pipe:
            return replace(source, path=_spooled(source, pipe, stack))
    return source


def output_table(path: Path, given: str | None, source: Table) -> Table:
    """Return the table to write to `path`, or to standard output for `-`.

    Where the ending tells no format, it is the `given` one or, for what is no file, the source's. Fields are separated
    by a comma in .csv and a tab in .tsv, whatever separates those of the source.

    Raises:
        typer.BadParameter: no known format, a folder, or Parquet for a terminal.
    """
    standard = _is_standard(path, 1)
    name = "standard output" if standard else str(path)
    check_target(None if standard else path, "--output")
    found = _format(path, standard, given)
    if found is None and (standard or is_special(path)):
        found = source.format
    if found is None:
        raise typer.BadParameter(_unknown(name, standard, given), param_hint="--output")
    options = Options(header=source.options.header)
    if not standard:
        return Table(name, path, found, options)
    if found == "parquet" and sys.stdout.isatty():
        raise typer.BadParameter("a terminal cannot show Parquet; name a file, or --format csv", param_hint="--output")
    sys.stdout.flush()
    return Table(name, Path("-"), found, options, sys.stdout.buffer)


def refuse_same(source: Table, target: Table) -> None:
    """Raise `UserError` where both are one file, by whatever name: writing would go over what is read."""
    read, written = (_status(table, number) for number, table in enumerate((source, target)))
    if read and written and stat.S_ISREG(read.st_mode) and os.path.samestat(read, written):
        raise UserError(f"{target.name}: the input itself; write to another file, then rename it")


def to_columns(names: Sequence[str], source: Table, option: str) -> list[Column]:
    """Return columns as the reader takes them: numbers in CSV and TSV without a header, otherwise names."""
    if source.options.header or source.format not in ("csv", "tsv"):
        return [*names]
    if not all(name.isascii() and name.isdigit() for name in names):
        raise typer.BadParameter("with --no-header, columns go by number, from 1", param_hint=option)
    return [int(name) for name in names]


def _is_standard(path: Path, number: int) -> bool:
    return str(path) == "-" or descriptor(path) == number


def _format(path: Path, standard: bool, given: str | None) -> str | None:
    known = None if standard else format_of(path.name)
    if known == "parquet" and path.suffix.lower() == ".gz":
        return None
    return known or given


def _unknown(name: str, standard: bool, given: str | None) -> str:
    if standard:
        return f"{name}: say with --format which it is: csv, tsv, jsonl or parquet"
    remedy = "" if given else "; --format says which it is"
    return f"{name}: unknown ending; {KNOWN} are known{remedy}"


def _status(table: Table, number: int) -> os.stat_result | None:
    """Return what the system knows of the file that is read or written; None if there is none, or it is not one."""
    try:
        if table.stream is not None:
            return os.fstat(number)
        return follow(table.path).stat()
    except FileNotFoundError:
        return None


def _spooled(source: Table, stream: BinaryIO, stack: ExitStack) -> Path:
    file = stack.enter_context(tempfile.TemporaryFile(prefix="flaxtext-"))  # noqa: SIM115, which knows no stacks
    try:
        shutil.copyfileobj(stream, file, 1 << 20)
        file.flush()
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        told = f"no space for it in {tempfile.gettempdir()}; let TMPDIR name another folder"
        raise UserError(f"{source.name}: {told}") from None
    return Path(f"/dev/fd/{file.fileno()}")
