"""Files for tests of the readers, and what is read from them."""

from flaxtext.core.errors import UserError
from flaxtext.io.reading import read_frames
from flaxtext.io.table import Options, Table


def table(path, content: bytes, format="csv", **options) -> Table:  # noqa: A002
    """Write a file, which messages call f."""
    path.write_bytes(content)
    return Table("f", path, format, Options(**options))


def read(source: Table, *columns) -> list[tuple] | str:
    """Read the rows, or what is said instead."""
    try:
        frames = list(read_frames(source, columns))
    except UserError as error:
        return str(error)
    return [row for frame in frames for row in zip(*(own.to_pylist() for own in frame.columns), strict=True)]
