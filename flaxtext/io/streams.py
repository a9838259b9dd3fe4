"""The bytes of a user's file, decompressed where they are compressed with gzip."""

import gzip
import io
import threading
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import BinaryIO, cast

from flaxtext.io.table import Table

BLOCK = 4 << 20
"""Bytes read at a time, and about the most that a row may take. Arrow reads some 30 blocks ahead."""
RECORD = 64 << 20
"""Bytes that a row may take."""
GZIP_ERRORS = (EOFError, gzip.BadGzipFile, zlib.error)
"""What reading a gzip file raises that is cut short or damaged."""


@contextmanager
def open_plain(table: Table) -> Iterator[BinaryIO]:
    """Open a file for reading, once, or read an open one; its first bytes tell whether it is to be decompressed."""
    with ExitStack() as stack:
        stream = table.stream
        file = (
            stack.enter_context(table.path.open("rb"))
            if stream is None
            else io.BufferedReader(cast(io.RawIOBase, stream))
        )
        if file.peek(2)[:2] == b"\x1f\x8b":
            yield cast(BinaryIO, stack.enter_context(gzip.GzipFile(fileobj=file)))
        else:
            yield cast(BinaryIO, file)
        if stream is not None:
            file.detach()  # or it would be closed


class Resumed:
    """A file from its start, the first bytes of which were read already: a pipe does not go back, nor gzip for free.

    Arrow reads it in a thread of its own. After `close`, which waits for that thread, it is at its end.
    """

    def __init__(self, head: bytes, file: BinaryIO) -> None:
        self._head = head
        self._file = file
        self._reading = threading.Lock()
        self.closed = False

    def read(self, size: int) -> bytes:
        """Return the next `size` bytes, fewer at the end alone."""
        with self._reading:
            if self.closed:
                return b""
            if not self._head:
                return self._file.read(size)
            taken, self._head = self._head[:size], self._head[size:]
            return taken if len(taken) == size else taken + self._file.read(size - len(taken))

    def close(self) -> None:
        """Let nothing more be read; the file itself is left to whoever opened it."""
        with self._reading:
            self.closed = True
