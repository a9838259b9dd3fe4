"""Marks: punctuation and symbols between words, for models that read them.

A mark is a run of one character that parts words and can be seen: `(`, `--`, `>>>`. Its code is four times its code
point, plus its length, of which no more than three is told.
"""

import unicodedata
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flaxtext.core.arrow import numpy_array, text_scalar
from flaxtext.text.words import BEGINS, SEPARATOR, SEPARATORS, Tokenizer, code_points, segment

LONGEST = 3
"""Up to so many characters of a run are told apart."""


class Marks(NamedTuple):
    """The marks of n documents; those of document i are from `offsets[i]` to before `offsets[i + 1]`.

    Attributes:
        codes: int32[k]; above 0.
        places: int32[k]; how many words of the document come before each.
        offsets: int64[n + 1], from 0.
    """

    codes: np.ndarray
    places: np.ndarray
    offsets: np.ndarray


NO_MARKS = Marks(np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(1, np.int64))


def find_marks(texts: pa.Array, tokenizer: Tokenizer) -> Marks:
    """Find the marks of `texts: string[n]`, null-free."""
    ended = pc.binary_join_element_wise(*(part.cast(pa.large_string()) for part in (texts, text_scalar(""), _END)))
    codes = code_points("".join(ended.to_pylist()))
    starts = np.concatenate([[0], np.cumsum(numpy_array(pc.utf8_length(ended)), dtype=np.int64)])
    if tokenizer == "keras":
        parts = np.isin(codes, code_points(SEPARATORS))
        begins = ~parts & np.append(True, parts[:-1])
    else:
        places = segment(codes) if len(codes) else np.zeros(0, np.uint8)
        parts, begins = places == SEPARATOR, places == BEGINS
    found = np.flatnonzero(parts & _can_be_seen(codes))
    is_first = np.append(True, (np.diff(found) != 1) | (codes[found[1:]] != codes[found[:-1]]))[: len(found)]
    first = found[is_first]
    lengths = np.diff(np.append(np.flatnonzero(is_first), len(found)))
    words = np.append(0, np.cumsum(begins))
    offsets = np.searchsorted(first, starts)
    place = words[first] - np.repeat(words[starts[:-1]], np.diff(offsets))
    marks = 4 * codes[first].astype(np.int32) + np.minimum(lengths, LONGEST).astype(np.int32)
    return Marks(marks, place.astype(np.int32), offsets)


_END = text_scalar("\n")
"""What parts one text from the next: no run goes on there."""


def _can_be_seen(codes: np.ndarray) -> np.ndarray:
    """Tell punctuation and symbols from white space and what is not seen, `bool[n]`."""
    kinds = np.unique(codes)
    is_seen = np.array([unicodedata.category(chr(code))[0] in "PS" for code in kinds.tolist()], bool)
    result: np.ndarray = np.isin(codes, kinds[is_seen])
    return result
