"""Cuts the bytes of a CSV or TSV file into blocks of whole records, and refuses quotes that may mean two things.

A record ends with a line: at LF, CR LF or CR, as Arrow's parser has it, except inside a quoted field. A quote opens a
quoted field where a field starts, and is text anywhere else outside; inside, two quotes are one of the text, and one
closes the field. What follows then must be a delimiter or the end of the line. Arrow would take it for the field's
text, and so a stray quote swallow rows up to the next one, whatever they hold.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from itertools import islice

import numpy as np

from flaxtext.core.errors import UserError
from flaxtext.io import bitmaps, streams
from flaxtext.io.bitmaps import Bitmap, bitmap
from flaxtext.io.table import MAX_COLUMNS, Table, excerpt

LF, CR, QUOTE = 10, 13, 34
REMEDY = "write quotes inside quoted fields twice, or set quoting: none, which takes quotes as text"


@dataclass(frozen=True)
class Dialect:
    """How fields and records are told apart.

    Attributes:
        delimiter: between two fields.
        quoted: whether fields may be quoted; otherwise quotes are text.
        guessed: whether `quoted` was found out, not given.
        advice: what to say after a column that is missing.
    """

    delimiter: str
    quoted: bool
    guessed: bool = False
    advice: str = ""


@dataclass(frozen=True)
class Block:
    """Some whole records.

    Attributes:
        data: their bytes.
        first: the number of the first one.
        count: how many they are.
        lines: whether each is one line.
        find_ends: returns `ends`.
    """

    data: bytes
    first: int
    count: int
    lines: bool
    find_ends: Callable[[], np.ndarray]

    @cached_property
    def ends(self) -> np.ndarray:
        """Return where each record ends in `data`, its line end included: `int64[count]`."""
        return self.find_ends()

    @property
    def rows(self) -> range:
        """The numbers of the records."""
        return range(self.first, self.first + self.count)

    def record(self, index: int) -> bytes:
        """Return a record without its line end."""
        return self.data[self._start(index) : self._start(index + 1)].rstrip(b"\r\n")

    def part(self, start: int, stop: int) -> "Block":
        """Return the records from index `start` on and before `stop`."""
        if (start, stop) == (0, self.count):
            return self
        begin, end = self._start(start), self._start(stop)
        ends = self.ends[start:stop] - begin
        return Block(self.data[begin:end], self.first + start, stop - start, self.lines, lambda: ends)

    def _start(self, index: int) -> int:
        return int(self.ends[index - 1]) if index else 0


@dataclass(frozen=True)
class Scan:
    """What `scan` found in a piece of a file.

    Attributes:
        ends: where records end: the last byte of each line end outside quoted fields.
        inside: whether the piece ends inside a quoted field.
        lines: whether no line ends inside a quoted field.
        fault: where a quote closes a field that goes on; None if none does. Nothing is said of what follows.
    """

    ends: Bitmap
    inside: bool
    lines: bool
    fault: int | None = None


def cut_records(table: Table, pieces: Iterable[bytes], dialect: Dialect) -> Iterator[Block]:
    """Yield the records of a file in blocks, about as many bytes at a time as come.

    Raises:
        UserError: in the place of a record with a quote that closes inside a field or that is not closed, or of one of
            more than `streams.MAX_RECORD` bytes, after all records before it.
    """
    row = 1
    parts: list[bytes] = []  # of a record that has no end yet, scanned up to here
    size = 0
    held = b""  # what cannot be understood without what comes next
    before, inside, lines = LF, False, True
    for piece, final in _with_last(pieces):
        undecided = b"" if final else _undecided(piece, dialect)
        if undecided == piece and held[-1:] != b"\r":  # nothing but quotes; or nothing
            piece, held = b"", held + undecided
        else:
            piece, held = held + piece[: len(piece) - len(undecided)], undecided
        found = scan(piece, dialect, before, inside)
        lines = lines and found.lines
        last = bitmaps.last(found.ends)
        cut = 0 if last is None else last + 1
        if cut:
            data = b"".join([*parts, memoryview(piece)[:cut]])
            count = bitmaps.count(found.ends)
            yield Block(data, row, count, lines, partial(_ends, found.ends, size))
            row += count
            parts, size, lines, before = [], 0, found.lines, LF
        if found.fault is not None:
            record = b"".join([*parts, piece[cut : found.fault + 20]])
            raise _refusal(table, row, "a quote closes inside a field", record, dialect)
        if cut < len(piece):
            parts.append(piece[cut:])
            size += len(piece) - cut
            before = piece[-1]
        inside = found.inside
        if final and parts:
            record = b"".join(parts)
            if inside:
                raise _refusal(table, row, "a quote is not closed", record, dialect)
            yield Block(record, row, 1, lines, partial(np.array, [size]))
        elif size + len(held) > streams.MAX_RECORD:
            problem = f"longer than {streams.MAX_RECORD:,} bytes" + ("; is a quote not closed?" if inside else "")
            raise UserError(f"{table.name}: row {row}: {problem}")


def _undecided(piece: bytes, dialect: Dialect) -> bytes:
    """Return the end of a piece that what comes next decides of: half of CR LF, or quotes, which are one or two."""
    if piece.endswith(b"\r"):
        return b"\r"
    return piece[len(piece.rstrip(b'"')) :] if dialect.quoted else b""


def _ends(marks: Bitmap, offset: int) -> np.ndarray:
    return bitmaps.positions(marks) + (offset + 1)


def _with_last(pieces: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Yield each piece, and whether it is the last one."""
    waiting = None
    for piece in pieces:
        if waiting is not None:
            yield waiting, False
        waiting = piece
    yield waiting or b"", True


def scan(piece: bytes, dialect: Dialect, before: int = LF, inside: bool = False) -> Scan:
    """Find the ends of records in a piece of a file.

    Args:
        piece: the bytes; it ends with the file, or before quotes or CR are decided, see `cut_records`.
        dialect: how records are told apart.
        before: the byte before it.
        inside: whether it begins inside a quoted field.
    """
    array = np.frombuffer(piece, np.uint8)
    ends = line_ends(piece)
    if not len(piece) or not dialect.quoted or not (inside or b'"' in piece):
        nothing = np.zeros_like(ends)
        return Scan(nothing if inside else ends, inside, not (inside and ends.any()))
    quotes = bitmap(array, QUOTE)
    within = bitmaps.odd_before(quotes, inside)
    # A quote is a border, too: of two in a row inside a field, the first closes, as it were, and the second opens.
    borders = ends | quotes | bitmap(array, ord(dialect.delimiter))
    if b"\r" in piece:
        borders |= bitmap(array, CR)
    may_open = bitmaps.after(borders, before in _borders(dialect.delimiter))
    may_close = bitmaps.before(borders)
    end, place = divmod(len(piece) - 1, 64)
    may_close[end] |= np.uint64(1 << place)
    # Where each second quote stands as one that opens does, and each other as one that closes, that is what they are.
    if (quotes & within & ~may_open).any() or (quotes & ~within & ~may_close).any():
        return _scan_exactly(piece, dialect, before, inside, ends)
    ends_inside = inside ^ bool(bitmaps.count(quotes) % 2)
    return Scan(ends & ~within, ends_inside, not (ends & within).any())


def _scan_exactly(piece: bytes, dialect: Dialect, before: int, inside: bool, ends: Bitmap) -> Scan:
    """Find the ends of records quoted field by quoted field, some of the quotes being text."""
    text = b'\n"' + piece if inside else bytes([before]) + piece  # inside: as if the field began here
    shift = len(text) - len(piece)
    borders = _borders(dialect.delimiter)
    spans: list[tuple[int, int]] = []
    fault = None
    open_field = False
    for match in quoted_field(dialect.delimiter).finditer(text):
        start, stop = match.span()
        open_field = not match.group(1)
        if not open_field and stop < len(text) and text[stop] not in borders:
            fault = stop - 1 - shift
            break
        spans.append((start, stop))
    limits = np.array(spans, np.int64).reshape(-1, 2) - shift
    places = bitmaps.positions(ends)
    outside = np.searchsorted(limits[:, 0], places) == np.searchsorted(limits[:, 1], places, "right")
    if open_field:
        outside &= places < limits[-1, 0]
    if fault is not None:
        outside &= places < match.start() - shift
    whole = bool(outside.all()) and fault is None
    return Scan(bitmaps.marked(places[outside], len(piece)), open_field, whole, fault)


def line_ends(data: bytes) -> Bitmap:
    """Mark the last byte of each line end, LF, CR LF or CR."""
    array = np.frombuffer(data, np.uint8)
    ends = bitmap(array, LF)
    if b"\r" in data:
        ends |= bitmap(array, CR) & ~bitmaps.before(ends)
    return ends


@lru_cache
def _borders(delimiter: str) -> bytes:
    """Return the bytes that stand before a quote that opens, or after one that closes."""
    return b"\r\n" + delimiter.encode()


@lru_cache
def quoted_field(delimiter: str) -> re.Pattern[bytes]:
    """Return what finds quoted fields behind a byte that a field may follow; group 1 is the closing quote, if any."""
    return re.compile(rb'(?<=[\r\n%s])"[^"]*+(?:""[^"]*+)*+("?)' % re.escape(delimiter.encode()))


def split_fields(record: bytes, dialect: Dialect) -> list[bytes]:
    """Return the fields of a record without its line end; of more than `MAX_COLUMNS`, one more than these."""
    mark = dialect.delimiter.encode()
    if not dialect.quoted or b'"' not in record:
        return record.split(mark, MAX_COLUMNS)
    found = islice(_field(dialect.delimiter).finditer(record), MAX_COLUMNS + 1)
    fields = []
    for match in found:
        quoted, plain, _ = match.groups()
        fields.append(plain if quoted is None else quoted.replace(b'""', b'"'))
        if not match.group(3):
            break
    return fields


@lru_cache
def _field(delimiter: str) -> re.Pattern[bytes]:
    mark = re.escape(delimiter.encode())
    return re.compile(rb'(?:"([^"]*+(?:""[^"]*+)*+)"|([^%s]*+))(%s|\Z)' % (mark, mark))


def _refusal(table: Table, row: int, problem: str, record: bytes, dialect: Dialect) -> UserError:
    """Say what is wrong with the last quoted field of a record."""
    text = b"\n" + record
    [*_, last] = quoted_field(dialect.delimiter).finditer(text)
    field = text[last.start() : last.start() + 200].decode("utf-8", "replace")
    return UserError(f"{table.name}: row {row}: {problem}: {excerpt(field)}; {REMEDY}")
