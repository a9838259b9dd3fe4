"""Tells quoted fields from stray quotes, by what the lines look like that they would join.

A stray quote at the start of one row and another at the end of a later one are, to a parser, one field that holds all
the rows between. In text, commas are common, tabs are not: so a TSV file must show that its quotes mean something,
and a field of several lines that each look like a row is not believed.
"""

import re
from functools import lru_cache
from itertools import pairwise

import numpy as np

from flaxtext.io.bitmaps import bitmap, positions
from flaxtext.io.records import CR, Block, line_ends, quoted_field

MAX_DOUBTS = 100
"""Quoted fields in doubt after which quotes are believed to be text."""
LONG = 1 << 20
"""Bytes of a record within which its lines are looked at."""
_LINE_END = re.compile(rb"\r\n|\r|\n")


def has_quoted_fields(head: bytes, delimiter: str, *, whole: bool) -> bool:
    """Tell whether the start of a file, or a `whole` one, shows a field that is quoted beyond doubt.

    It starts and ends as fields do, and either holds neither delimiters nor line ends, or the lines that it is in would
    not be rows if the quotes were text.
    """
    mark = delimiter.encode()
    text = b"\n" + head
    wanted = _LINE_END.split(head, 1)[0].count(mark)
    position = doubts = 0
    while doubts < MAX_DOUBTS and (match := quoted_field(delimiter).search(text, position)):
        position = match.start() + 1
        closed = match.group(1) and (text[match.end()] in b"\r\n" + mark if match.end() < len(text) else whole)
        if not closed:
            continue
        if not any(byte in match.group() for byte in (mark, b"\r", b"\n")):
            return True
        first, *inner = _LINE_END.split(_lines_around(text, *match.span()))
        last = inner.pop() if inner else first
        like_a_row = first.count(mark) == last.count(mark) == wanted
        if not like_a_row and not any(mark in line for line in inner):
            return True
        doubts += 1
    return False


def _lines_around(text: bytes, start: int, stop: int) -> bytes:
    """Return the lines of `text` that hold it from `start` to `stop`."""
    begin = max(text.rfind(b"\n", 0, start), text.rfind(b"\r", 0, start)) + 1
    end = _LINE_END.search(text, stop)
    return text[begin : end.start() if end else len(text)]


def first_quoted_line(block: Block, delimiter: str) -> int | None:
    """Return the index of the first record that has a well-formed quoted field on one line, without delimiters."""
    if b'"' not in block.data:
        return None
    match = _simple_field(delimiter).search(b"\n" + block.data)
    return None if match is None else int(np.searchsorted(block.ends, match.start() - 1, "right"))


@lru_cache
def _simple_field(delimiter: str) -> re.Pattern[bytes]:
    mark = re.escape(delimiter.encode())
    return re.compile(rb'(?<=[\r\n%s])"[^"\r\n%s]*+(?:""[^"\r\n%s]*+)*+"(?=[\r\n%s]|\Z)' % (mark, mark, mark, mark))


def hold_rows(block: Block, delimiter: str, columns: int, *, sure: bool) -> np.ndarray:
    """Return the indices of records of several lines of which those inside look like rows of so many `columns`.

    The first and the last line, too, have the delimiters of a row at least. With `sure`, two lines inside are needed,
    all of them like rows; otherwise one is enough, or there are none. Of a record that is longer than `LONG`, what
    comes later is not looked at. Rows of one column look like any line, and are not told.
    """
    if block.lines or columns == 1:
        return np.zeros(0, np.int64)
    begins = np.append(0, block.ends[:-1])
    groups = np.flatnonzero(np.diff(begins // LONG, prepend=-1)).tolist()
    found = [
        start + _hold_rows(block.part(start, stop), delimiter, columns, sure=sure)
        for start, stop in pairwise([*groups, block.count])
    ]
    return np.concatenate(found)


def _hold_rows(block: Block, delimiter: str, columns: int, *, sure: bool) -> np.ndarray:
    """Return these indices among records that begin within `LONG` bytes."""
    data, record_ends = block.data, block.ends
    if len(data) > 2 * LONG:  # the last record is long
        data = data[: max(data.rfind(b"\n", 0, 2 * LONG), data.rfind(b"\r", 0, 2 * LONG)) + 1] or data[: 2 * LONG]
        record_ends = np.append(record_ends[:-1], len(data))
    array = np.frombuffer(data, np.uint8)
    ends = positions(line_ends(data))
    if not len(ends) or ends[-1] != len(array) - 1:
        ends = np.append(ends, len(array))
    counts = np.diff(np.searchsorted(positions(bitmap(array, ord(delimiter))), ends), prepend=0)
    starts = np.append(0, ends[:-1] + 1)
    lengths = ends - starts
    blank = (lengths == 0) | ((lengths == 1) & (array[np.minimum(starts, len(array) - 1)] == CR))
    last = np.searchsorted(ends, record_ends - 1)
    first = np.append(0, last[:-1] + 1)
    like_rows = _sums(counts == columns - 1, first + 1, last)
    inside = last - first - 1 - _sums(blank, first + 1, last)
    framed = (last > first) & (counts[first] >= columns - 1) & (counts[last] >= columns - 1)
    if sure:
        return np.flatnonzero(framed & (inside >= 2) & (like_rows == inside))
    return np.flatnonzero((last > first) & ((like_rows > 0) | (framed & (inside <= 0))))


def _sums(values: np.ndarray, starts: np.ndarray, stops: np.ndarray) -> np.ndarray:
    """Return the sums of `values` from each of `starts` to each of `stops`, 0 where that is before."""
    sums = np.append(0, np.cumsum(values))
    total: np.ndarray = sums[np.maximum(starts, stops)] - sums[starts]
    return total
