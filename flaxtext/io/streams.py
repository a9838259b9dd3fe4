"""The bytes of a user's file or of standard input: decompressed where they are compressed with gzip, and in UTF-8."""

import gzip
import io
import os
import select
import stat
import time
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import BinaryIO, cast

from flaxtext.core.errors import UserError
from flaxtext.io.encoding import Recoded, encoding_of, is_utf8, unmarked_utf16
from flaxtext.io.table import Table

BLOCK = 4 << 20
"""Bytes read at a time."""
MAX_RECORD = 16 << 20
"""About the most bytes that a row may take: some 3 million words. A prediction takes up to 35 times as much memory."""
HEAD = 1024
"""Bytes at the start of a file that say what it is."""
PIPE_WAIT = 5.0
"""Seconds that a named pipe may be without anyone who writes to it."""
GZIP_ERRORS = (EOFError, gzip.BadGzipFile, zlib.error)
"""What reading a gzip file raises that is cut short or damaged."""
GZIP = b"\x1f\x8b"
ZIP = b"PK\x03\x04"


class Plain(io.BufferedReader):
    """The text of a file in UTF-8, without a byte order mark.

    Attributes:
        encoding: what the file itself is written in.
    """

    encoding: str


@contextmanager
def open_plain(table: Table) -> Iterator[Plain]:
    """Open the file of a table for reading, once, or read its stream from where it stands.

    Its first bytes tell whether it is to be decompressed, and its byte order mark what it is written in.

    Raises:
        UserError: no file, a pipe that no one writes to, bytes that are no text.
    """
    with ExitStack() as stack:
        head, file = b"", table.stream
        if file is None:
            head, file = _open(table)
            stack.enter_context(file)
        head += _take(file, len(GZIP) - len(head))
        raw: BinaryIO = cast(BinaryIO, _Resumed(head, file))
        if head == GZIP:
            packed = io.BufferedReader(cast(io.RawIOBase, raw), 1 << 17)
            file = cast(BinaryIO, stack.enter_context(gzip.GzipFile(fileobj=packed)))
        else:
            file = raw
        head = _take(file, HEAD)
        encoding, mark = encoding_of(head, table.options.encoding)
        _refuse_binary(table, head, marked=mark > 0)
        raw = cast(BinaryIO, _Resumed(head[mark:], file))
        if not is_utf8(encoding):
            raw = cast(BinaryIO, Recoded(raw, encoding))
        plain = Plain(cast(io.RawIOBase, raw), BLOCK)
        plain.encoding = encoding
        yield plain


class _Resumed(io.RawIOBase):
    """A file from its start, the first bytes of which were read already: a pipe does not go back."""

    def __init__(self, head: bytes, file: BinaryIO) -> None:
        super().__init__()
        self._head = head
        self._file = file

    def readable(self) -> bool:
        return True

    def readinto(self, target: memoryview) -> int:  # type: ignore[override]
        if not self._head:
            return cast(io.BufferedReader, self._file).readinto(target)
        count = min(len(target), len(self._head))
        target[:count] = self._head[:count]
        self._head = self._head[count:]
        return count


def _take(file: BinaryIO, size: int) -> bytes:
    """Read `size` bytes, fewer at the end alone: a pipe may give a few at a time."""
    taken = b""
    while len(taken) < size and (more := file.read(size - len(taken))):
        taken += more
    return taken


def _refuse_binary(table: Table, head: bytes, *, marked: bool) -> None:
    """Raise `UserError` for the start of what is no text, and of text that says nothing of its encoding."""
    if head.startswith(GZIP):
        raise UserError(f"{table.name}: compressed with gzip twice; decompress it once")
    if head.startswith(ZIP):
        raise UserError(f"{table.name}: a ZIP archive, as Excel's workbooks are; unpack it, or save it as CSV UTF-8")
    if not marked and table.options.encoding is None and (guess := unmarked_utf16(head)):
        kind = guess[:6].upper()
        raise UserError(f"{table.name}: {kind} without a byte order mark, as it looks; set encoding: {guess}")


def _open(table: Table) -> tuple[bytes, BinaryIO]:
    """Open a file, unbuffered, or a named pipe; nothing else, which may have no end. Return what was read of it too."""
    try:
        mode = table.path.stat().st_mode
        if stat.S_ISFIFO(mode):
            return _open_pipe(table)
        if not stat.S_ISREG(mode):
            raise UserError(f"{table.name}: not a file")
        return b"", cast(BinaryIO, table.path.open("rb", buffering=0))
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{table.name}: no such file") from None
    except OSError as error:
        raise UserError(f"{table.name}: cannot be read: {(error.strerror or str(error)).lower()}") from None


def _open_pipe(table: Table) -> tuple[bytes, BinaryIO]:
    """Open a named pipe once someone writes to it."""
    descriptor = os.open(table.path, os.O_RDONLY | os.O_NONBLOCK)  # which waits for no one
    file = cast(BinaryIO, os.fdopen(descriptor, "rb", buffering=0))
    try:
        head = _first_byte(descriptor)
        if head is None:
            raise UserError(f"{table.name}: a pipe that nothing writes to; waited {PIPE_WAIT:g} s")
        os.set_blocking(descriptor, True)
    except BaseException:
        file.close()
        raise
    return head, file


def _first_byte(descriptor: int) -> bytes | None:
    """Wait for a writer: b"" once there is one, or the byte that it wrote meanwhile; None if none comes."""
    events = select.poll()
    events.register(descriptor, select.POLLIN)
    end = time.monotonic() + PIPE_WAIT
    while time.monotonic() < end:
        if events.poll(20):  # bytes, or a writer that came and went
            return b""
        try:
            if byte := os.read(descriptor, 1):
                return byte
        except BlockingIOError:  # there is a writer, who has written nothing yet
            return b""
        time.sleep(0.02)
    return None
