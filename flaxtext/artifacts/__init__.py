"""What the Parquet files of all formats share: a name and a version in each, and how they are read."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from flaxtext.core.errors import UserError, one_line
from flaxtext.core.files import atomic

KEY = b"flaxtext"
"""Where the schema's metadata says what the file is."""


@dataclass(frozen=True)
class Format:
    """A format of Parquet files, by its name and version."""

    name: str
    version: int

    def stamp(self, schema: pa.Schema, **details: Any) -> pa.Schema:
        """Let a schema say what it describes, and what `details` say, which JSON can hold."""
        said = {"format": self.name, "version": self.version, **details}
        return schema.with_metadata({KEY: json.dumps(said, sort_keys=True, ensure_ascii=False)})

    def check(self, path: str | Path, schema: pa.Schema) -> dict[str, Any]:
        """Return the details that a file's schema holds. Raises `UserError` for another format or version."""
        try:
            said = json.loads((schema.metadata or {})[KEY])
            found = said.pop("format"), said.pop("version")
        except (KeyError, ValueError, AttributeError, TypeError, RecursionError):  # whatever a stranger may write
            found = None
        if found != (self.name, self.version):
            reason = "" if found is None or found[0] != self.name else f", but of version {repr(found[1])[:20]}"
            raise UserError(
                f"{path}: not {self.name} of version {self.version}{reason}: another version of flaxtext wrote it; "
                "run `dvc repro`"
            )
        details: dict[str, Any] = said
        return details

    def write(self, path: str | Path, table: pa.Table, **details: Any) -> None:
        """Write a table, whole or not at all."""
        with atomic(path) as temporary:
            pq.write_table(table.cast(self.stamp(table.schema, **details)), temporary, compression="zstd")

    def read(
        self,
        path: Any,
        columns: list[str] | None = None,
        filters: pc.Expression | None = None,
        optional: Sequence[str] = (),
    ) -> pa.Table:
        """Read a file, a folder of parts or an open file: all columns, or those named and, where there, those optional.

        Raises `UserError` where it is not of this format.
        """
        with reading(path, self.name):
            dataset = pq.ParquetDataset(path, filters=filters)
            if columns is not None:
                columns = [*columns, *(name for name in optional if name in dataset.schema.names)]
            table = dataset.read(columns=columns)
        self.check(path, table.schema)
        return table


@contextmanager
def reading(path: Any, name: str) -> Iterator[None]:
    """Turn what goes wrong when a file is read into one line."""
    try:
        yield
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run `dvc repro` to make it") from None
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        raise UserError(f"{path}: not {name}, or damaged: {one_line(error)}; run `dvc repro`") from None
