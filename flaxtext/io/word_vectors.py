"""Word vectors that were trained on more text than yours, as GloVe, word2vec and fastText publish them.

Their text format is one word per line: the word, then its numbers, separated by spaces or tabs; a first line may say
how many words and numbers there are. Of the file, what the vocabulary lacks is passed over.
"""

import codecs
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from flaxtext.artifacts.pretrained import Pretrained
from flaxtext.core.errors import UserError, one_line
from flaxtext.text.vocabulary import Vocabulary

BLOCK = 2**20
"""Bytes that are read at a time, and of a line at most: a word and tens of thousands of numbers."""
FOREIGN = {
    codecs.BOM_UTF16_LE: "in UTF-16 or UTF-32; save it as UTF-8",
    codecs.BOM_UTF16_BE: "in UTF-16; save it as UTF-8",
    codecs.BOM_UTF32_BE: "in UTF-32; save it as UTF-8",
    b"PK\x03\x04": "a zip archive; unpack it",
    b"BZh": "compressed by bzip2; unpack it, or compress it by gzip",
    b"\xfd7zXZ\x00": "compressed by xz; unpack it, or compress it by gzip",
    b"\x28\xb5\x2f\xfd": "compressed by zstd; unpack it, or compress it by gzip",
}
"""How files begin that are not read, and what to say of them."""


def find_vectors(path: str | Path, words: Vocabulary) -> Pretrained:
    """Read the vectors of the vocabulary's words, the first of each, from a text file in UTF-8, plain or gzip.

    Memory grows with the vocabulary, not with the file. Raises `UserError` where the file is not as it should be.
    """
    ids = {word.encode(): index for index, word in enumerate(words.words.to_pylist(), start=1)}
    found: dict[int, np.ndarray] = {}
    dim = promised = present = 0
    phrase = 0  # the line of a word of the vocabulary with more than its numbers
    for number, line in _lines(path):
        if line[:1] <= b" ":  # none, or white space
            line = line.strip()
            if not line:
                continue
        word, _, rest = line.partition(b" ")
        if b"\t" in word:
            word, _, rest = line.partition(b"\t")
        if not dim:  # the first line
            fields = rest.split()
            if word.isdigit() and len(fields) == 1 and fields[0].isdigit():
                promised, dim = int(word), int(fields[0])
                continue
            dim = _count_numbers(fields)
        present += 1
        index = ids.get(word, 0)
        if not index or index in found:
            continue
        fields = rest.split()
        if len(fields) > dim > 0:  # "new york 0.1 ...": no word of a vocabulary
            phrase = phrase or number
            continue
        found[index] = _vector(fields)
        if len(found[index]) != dim or not np.isfinite(found[index]).all() or not dim:
            raise UserError(f"{path}, line {number}: expected a word and {dim or 'its'} numbers")
    if present < promised:
        raise UserError(
            f"{path}: {present:,} words, and its first line says {promised:,}: it was cut short; get it again, or "
            "correct that line"
        )
    if not found and phrase:
        raise UserError(f"{path}, line {phrase}: expected a word and {dim} numbers")
    if not found:
        raise UserError(f"{path}: has a vector for none of the {len(words):,} words of the vocabulary")
    order = sorted(found)
    return Pretrained(np.array(order, np.int32), np.stack([found[index] for index in order]))


def _lines(path: str | Path) -> Iterator[tuple[int, bytes]]:
    """Yield the number of each line, from 1, and the line. Raises `UserError`."""
    try:
        with open(path, "rb") as raw:  # noqa: PTH123, as the user wrote it
            begins = raw.read(6)
            for mark, reason in FOREIGN.items():
                if begins.startswith(mark):
                    raise UserError(f"{path}: {reason}")
            raw.seek(0)
            with gzip.open(raw) if begins.startswith(b"\x1f\x8b") else raw as file:
                file.seek(len(codecs.BOM_UTF8) if file.peek(3).startswith(codecs.BOM_UTF8) else 0)
                number, rest = 0, b""
                while block := file.read(BLOCK):
                    *lines, rest = (rest + block).split(b"\n")
                    zero = block.find(b"\0", 0, BLOCK if number == 0 else 0)  # of the first block alone
                    if zero >= 0 or len(rest) > BLOCK:
                        wrong = 1 + block[:zero].count(b"\n") if zero >= 0 else 1 + number + len(lines)
                        raise UserError(f"{path}, line {wrong}: not text; word vectors are read in their text format")
                    yield from enumerate(lines, start=1 + number)
                    number += len(lines)
                yield 1 + number, rest
    except FileNotFoundError:
        raise UserError(f"{path}: no such file, which build_vocab.vectors of params.yaml names") from None
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path}: cannot be read: {one_line(error)}") from None


def _count_numbers(fields: list[bytes]) -> int:
    """Count the numbers at the end of a line, less what is still part of the word, as in "new york 0.1 0.2"."""
    words = [position for position, field in enumerate(fields, start=1) if np.isnan(_vector([field])).any()]
    return len(fields) - max(words, default=0)


def _vector(fields: list[bytes]) -> np.ndarray:
    """Turn numbers into `float32[n]`; one NaN where one is none."""
    try:
        with np.errstate(over="ignore"):  # infinite, which is refused
            return np.array(fields, "S").astype(np.float32)
    except ValueError:
        return np.array([np.nan], np.float32)
