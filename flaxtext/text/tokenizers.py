r"""Text to words, word for word as Keras' `Tokenizer()` does it except at ends of lines, over whole record batches.

A text is lower-cased, every character of `SEPARATORS` separates words, and nothing else does. Those are what Keras
takes out, the space, and all that ends a line: Keras knows the line feed alone, and would take `ball\r` of a file with
Windows' line ends for another word than `ball`. AG News has none of the others, so that its words are Keras'.
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

LINE_ENDS = "\r\v\f\x85\u2028\u2029"
"""The characters beside the line feed that end a line, as Unicode says (UAX 14, its classes BK, CR and NL)."""

SEPARATORS = FILTERS + LINE_ENDS + " "

_SPACE = ord(" ")
_TABLE = bytes(_SPACE if chr(byte) in SEPARATORS and byte < 128 else byte for byte in range(256)).lower()
_TO_SPACES = {ord(separator): " " for separator in SEPARATORS if not separator.isascii()}


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
    """Lower-case what is beyond ASCII as Python does, and make its separators spaces; ASCII is left to the table.

    Arrow's `utf8_lower` maps one character to one character; Python, and so Keras, follows the full
    mapping of Unicode, which differs for İ (two characters) and for Σ at the end of a word (ς).
    """
    foreign = pc.invert(pc.string_is_ascii(texts))
    if not pc.any(foreign).as_py():
        return texts
    lowered = [text.lower() for text in texts.filter(foreign).to_pylist()]
    joined = "".join(lowered)  # to look for what is rare in one go takes a tenth of the time
    if any(chr(separator) in joined for separator in _TO_SPACES):
        lowered = [text.translate(_TO_SPACES) for text in lowered]
    return pc.replace_with_mask(texts, foreign, string_array(lowered).cast(texts.type))
