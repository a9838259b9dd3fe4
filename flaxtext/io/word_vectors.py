"""Word vectors that were trained on more text than yours, as GloVe, word2vec and fastText publish them.

Their text format is one word per line: the word, then its numbers, separated by spaces or tabs; a first line may say
how many words and numbers there are. `glove` instead of a file is the one in a package (`glove_package`).
"""

import codecs
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from flaxtext.artifacts.pretrained import Pretrained
from flaxtext.core.errors import UserError, one_line
from flaxtext.io.glove_package import GLOVE, read_glove
from flaxtext.io.wanted_vectors import WantedVectors
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


def find_vectors(source: str | Path, words: Vocabulary, max_words: int | None = None) -> Pretrained:
    """Read the vectors of the vocabulary's words, and of those of the source's first words that the vocabulary lacks.

    `source` is the path of a text file in UTF-8, plain or gzip, or `"glove"`. Its first words are `max_words`, and no
    more than `wanted_vectors.MOST_EXTRA`. Memory grows with what is kept, not with the file. Raises `UserError` where
    the file is not as it should be, or has none of the vocabulary's words.
    """
    kept = WantedVectors(words, max_words)
    if source == GLOVE:
        read_glove(kept)
    else:
        _read_file(source, kept)
    if not len(kept):
        raise UserError(
            f"{source}: has a vector for none of the {len(words):,} words of the vocabulary; are both of one "
            "language? Name another file in build_vocab.vectors of params.yaml, or null"
        )
    return kept.result()


def _read_file(path: str | Path, kept: WantedVectors) -> None:
    """Read a file in the text format. Raises `UserError`."""
    dim = promised = present = 0
    phrase = 0  # the line of a word of the vocabulary with more than its numbers
    for first, lines in _blocks(path):
        numbers, spellings, rests = [], [], []
        for number, line in enumerate(lines, start=first):
            spelling, rest = _parted(line)
            if not spelling:
                continue
            if not dim:  # the first line
                fields = rest.split()
                if spelling.isdigit() and len(fields) == 1 and fields[0].isdigit():
                    promised, dim = int(spelling), int(fields[0])
                    continue
                dim = _count_numbers(fields)
            present += 1
            numbers.append(number)
            spellings.append(spelling)
            rests.append(rest)
        for place, word in kept.wanted(spellings):
            fields = rests[place].split()
            ours = word in kept.ids
            if len(fields) > dim > 0:  # "new york 0.1 ...": no word of a vocabulary
                phrase = phrase or (numbers[place] if ours else 0)
                continue
            vector = _vector(fields)
            if len(vector) == dim > 0 and np.isfinite(vector).all():
                kept.keep(word, spellings[place], present - len(spellings) + place + 1, vector)
            elif ours:
                raise UserError(f"{path}, line {numbers[place]}: expected a word and {dim or 'its'} numbers")
    if present < promised:
        raise UserError(
            f"{path}: {present:,} words, and its first line says {promised:,}: it was cut short; get it again, or "
            "correct that line"
        )
    if not len(kept) and phrase:
        raise UserError(f"{path}, line {phrase}: expected a word and {dim} numbers")


def _parted(line: bytes) -> tuple[bytes, bytes]:
    """Part a line into its word and the rest; an empty word where there is none."""
    if line[:1] <= b" ":  # none, or white space
        line = line.strip()
    word, _, rest = line.partition(b" ")
    if b"\t" in word:
        word, _, rest = line.partition(b"\t")
    return word, rest


def _blocks(path: str | Path) -> Iterator[tuple[int, list[bytes]]]:
    """Yield lines, about `BLOCK` bytes at a time, and the number of the first, from 1. Raises `UserError`."""
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
                    yield 1 + number, lines
                    number += len(lines)
                yield 1 + number, [rest]
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
            return np.array(list(map(float, fields)), np.float32)
    except ValueError:
        return np.array([np.nan], np.float32)
