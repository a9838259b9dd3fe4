r"""Text to words, word for word as Keras' `Tokenizer()` does it, over whole record batches.

A text is lower-cased, every character of `FILTERS` and the space separate words, and nothing else does.
The work is done on the bytes of an Arrow string array: in UTF-8 a byte below 128 is always a character of
its own, so a table of 256 bytes lower-cases ASCII and turns separators into spaces, and the words are what
is left between the spaces.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flaxtext.core.arrow import number_array, string_array

FILTERS = '!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n'
"""The characters that Keras' `Tokenizer` takes out by default."""

_SPACE = ord(" ")
_TABLE = bytes(_SPACE if chr(byte) in FILTERS else byte for byte in range(256)).lower()


def tokenize(texts: pa.Array) -> pa.LargeListArray:
    """Split `texts: string[n]`, null-free, into words: `large_list<large_string>[n]`, a list a text."""
    texts = _lower(texts).cast(pa.large_string())
    offsets = np.frombuffer(texts.buffers()[1], np.int64)[texts.offset : texts.offset + len(texts) + 1]
    first, last = (offsets[0], offsets[-1]) if len(texts) else (0, 0)
    data = texts.buffers()[2][first:last].to_pybytes().translate(_TABLE) if first < last else b""
    offsets = offsets - first

    # A word begins at a letter that follows a space or begins its text, and ends likewise.
    letter = np.frombuffer(data, np.uint8) != _SPACE
    gap = np.ones(len(data) + 1, bool)  # gap[i]: a word cannot run on from byte i-1 to byte i
    np.logical_not(letter[:-1] & letter[1:], out=gap[1:-1])
    gap[offsets] = True
    begins = np.flatnonzero(letter & gap[:-1])
    ends = np.flatnonzero(letter & gap[1:]) + 1
    word_offsets = np.concatenate([[0], np.cumsum(ends - begins)])
    letters = np.compress(letter, np.frombuffer(data, np.uint8))
    words = pa.LargeStringArray.from_buffers(len(begins), pa.py_buffer(word_offsets), pa.py_buffer(letters))
    return pa.LargeListArray.from_arrays(number_array(np.searchsorted(begins, offsets)), words)


def _lower(texts: pa.Array) -> pa.Array:
    """Lower-case what is beyond ASCII as Python does; ASCII itself is left to the table.

    Arrow's `utf8_lower` maps one character to one character; Python, and so Keras, follows the full
    mapping of Unicode, which differs for İ (two characters) and for Σ at the end of a word (ς).
    """
    foreign = pc.invert(pc.string_is_ascii(texts))
    if not pc.any(foreign).as_py():
        return texts
    lowered = [text.lower() for text in texts.filter(foreign).to_pylist()]
    return pc.replace_with_mask(texts, foreign, string_array(lowered).cast(texts.type))
