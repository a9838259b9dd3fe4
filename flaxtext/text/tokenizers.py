"""Texts to words, over whole record batches; `flaxtext.text.words` says what a word is.

ASCII is worked on as the bytes of an Arrow string array: a table of 256 bytes lower-cases letters and turns separators
into spaces, and the words are what is left between the spaces. So is other text for `keras`, once Python has
lower-cased it: in UTF-8 a byte below 128 is always a character of its own.
"""

from itertools import chain, pairwise
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flaxtext.core.arrow import number_array, numpy_array, string_array, text_scalar
from flaxtext.text.words import BEGINS, INSIDE, SEPARATORS, Tokenizer, code_points, fold_codes, segment

_SPACE = ord(" ")
_TABLE = bytes(_SPACE if chr(byte) in SEPARATORS and byte < 128 else byte for byte in range(256)).lower()
_TO_SPACES = {ord(separator): " " for separator in SEPARATORS if not separator.isascii()}


class _Words(NamedTuple):
    """The words of n texts.

    Attributes:
        offsets: `int64[n + 1]`; text i has the words from `offsets[i]` to before `offsets[i + 1]`.
        word_offsets: `int64[words + 1]`, where each begins in `letters`.
        letters: UTF-8, one word directly after the other.
    """

    offsets: np.ndarray
    word_offsets: np.ndarray
    letters: np.ndarray | bytes


def tokenize(texts: pa.Array, tokenizer: Tokenizer) -> pa.LargeListArray:
    """Split `texts: string[n]`, null-free, into words: `large_list<large_string>[n]`, a list for each text."""
    texts = texts.cast(pa.large_string())
    foreign = pc.invert(pc.string_is_ascii(texts))
    is_foreign = numpy_array(foreign)
    if not is_foreign.any():
        found = _split(texts)
    elif tokenizer == "keras":
        found = _split(_lower(texts, foreign))
    elif is_foreign.all():
        found = _split_unicode(texts)
    else:
        found = _interleave(is_foreign, _split(texts.filter(pc.invert(foreign))), _split_unicode(texts.filter(foreign)))
    words = pa.LargeStringArray.from_buffers(
        len(found.word_offsets) - 1, pa.py_buffer(found.word_offsets), pa.py_buffer(found.letters)
    )
    return pa.LargeListArray.from_arrays(number_array(found.offsets), words)


def _split(texts: pa.Array) -> _Words:
    """Split texts at the separators of ASCII; letters beyond ASCII are taken as they are."""
    offsets, buffer = _bytes(texts)
    data = buffer.to_pybytes().translate(_TABLE)

    # A word begins at a letter that follows a space or begins its text, and ends likewise.
    letter = np.frombuffer(data, np.uint8) != _SPACE
    gap = np.ones(len(data) + 1, bool)  # gap[i]: a word cannot run on from byte i-1 to byte i
    np.logical_not(letter[:-1] & letter[1:], out=gap[1:-1])
    gap[offsets] = True
    begins = np.flatnonzero(letter & gap[:-1])
    ends = np.flatnonzero(letter & gap[1:]) + 1
    word_offsets = np.concatenate([[0], np.cumsum(ends - begins)])
    letters = np.compress(letter, np.frombuffer(data, np.uint8))
    return _Words(np.searchsorted(begins, offsets), word_offsets, letters)


def _split_unicode(texts: pa.Array) -> _Words:
    """Split texts as `unicode` does."""
    empty, end = (text_scalar(text).cast(texts.type) for text in ("", "\n"))
    ended = pc.binary_join_element_wise(texts, empty, end)
    codes = code_points(str(_bytes(ended)[1], "utf-8"))
    places = segment(codes)
    characters = np.concatenate([[0], np.cumsum(numpy_array(pc.utf8_length(ended)), dtype=np.int64)])
    offsets = np.searchsorted(np.flatnonzero(places == BEGINS), characters)

    inside = np.flatnonzero(places >= INSIDE)
    codes, begins = fold_codes(codes.take(inside), np.flatnonzero(places.take(inside) == BEGINS))
    sizes = np.ones(len(codes), np.uint8)  # bytes of each in UTF-8
    for first in (0x80, 0x800, 0x10000):
        sizes += codes >= first
    ends = np.zeros(len(codes) + 1, np.int32 if len(codes) < 2**29 else np.int64)  # the narrow sum is faster
    np.cumsum(sizes, dtype=ends.dtype, out=ends[1:])
    return _Words(
        offsets, ends.take(np.append(begins, len(codes))).astype(np.int64), codes.tobytes().decode("utf-32-le").encode()
    )


def _bytes(texts: pa.LargeStringArray) -> tuple[np.ndarray, pa.Buffer]:
    """Return where each text begins in bytes, `int64[n + 1]` from 0, and the bytes of all."""
    if not len(texts):
        return np.zeros(1, np.int64), pa.py_buffer(b"")
    offsets = np.frombuffer(texts.buffers()[1], np.int64)[texts.offset : texts.offset + len(texts) + 1]
    first, last = offsets[0], offsets[-1]
    return offsets - first, texts.buffers()[2][first:last] if first < last else pa.py_buffer(b"")


def _interleave(is_second: np.ndarray, first: _Words, second: _Words) -> _Words:
    """Bring the words of two parts of n texts into the order of the texts; `is_second: bool[n]`."""
    counts = np.empty(len(is_second), np.int64)
    counts[is_second], counts[~is_second] = np.diff(second.offsets), np.diff(first.offsets)
    of_second = np.repeat(is_second, counts)
    lengths = np.empty(len(of_second), np.int64)
    lengths[of_second], lengths[~of_second] = np.diff(second.word_offsets), np.diff(first.word_offsets)

    # Letters are copied in runs of texts of one part.
    starts = np.append(np.flatnonzero(np.diff(is_second, prepend=not is_second[0])), len(is_second))
    letters = []
    for part, mine in ((first, ~is_second), (second, is_second)):
        ends = part.word_offsets[part.offsets][np.append(0, np.cumsum(mine))[starts]].tolist()
        data = memoryview(bytes(part.letters))
        letters.append([data[start:end] for start, end in pairwise(ends)])
    joined = b"".join(chain.from_iterable(zip(*letters, strict=True)))  # of each run, one of the two is empty
    return _Words(np.append(0, np.cumsum(counts)), np.append(0, np.cumsum(lengths)), joined)


def _lower(texts: pa.Array, foreign: pa.Array) -> pa.Array:
    """Lower-case what is beyond ASCII as Python does, and make its separators spaces; ASCII is left to the table.

    Arrow's `utf8_lower` maps one character to one character; Python, and so Keras, follows the full
    mapping of Unicode, which differs for İ (two characters) and for Σ at the end of a word (ς).
    """
    lowered = [text.lower() for text in texts.filter(foreign).to_pylist()]
    joined = "".join(lowered)  # to look for what is rare in one go takes a tenth of the time
    if any(chr(separator) in joined for separator in _TO_SPACES):
        lowered = [text.translate(_TO_SPACES) for text in lowered]
    return pc.replace_with_mask(texts, foreign, string_array(lowered).cast(texts.type))
