"""Word vectors that were trained on more text than yours, as GloVe, word2vec and fastText publish them.

Their text format is one word per line: the word, then its numbers, separated by spaces; a first line may say how many
words and numbers there are. Of the file, what the vocabulary lacks is passed over.
"""

import gzip
import zlib
from pathlib import Path

import numpy as np

from flaxtext.artifacts.pretrained import Pretrained
from flaxtext.core.errors import UserError
from flaxtext.text.vocabulary import Vocabulary


def find_vectors(path: str | Path, words: Vocabulary) -> Pretrained:
    """Read the vectors of the vocabulary's words, the first of each, from a text file, `.gz` or not.

    Memory grows with the vocabulary, not with the file. Raises `UserError` where the file is not as it should be.
    """
    ids = {word.encode(): index for index, word in enumerate(words.words.to_pylist(), start=1)}
    found: dict[int, np.ndarray] = {}
    dim = 0
    try:
        with (gzip.open if Path(path).suffix == ".gz" else open)(path, "rb") as lines:
            for number, line in enumerate(lines, start=1):
                word, _, rest = line.rstrip().partition(b" ")
                if number == 1 and word.isdigit() and rest.isdigit():
                    dim = int(rest)
                    continue
                dim = dim or len(rest.split())
                index = ids.get(word, 0)
                if not index or index in found:
                    continue
                fields = rest.split()
                if len(fields) > dim > 0:  # "new york 0.1 ...": no word of a vocabulary
                    continue
                found[index] = _vector(fields)
                if len(found[index]) != dim or not np.isfinite(found[index]).all() or not dim:
                    raise UserError(f"{path}, line {number}: expected a word and {dim or 'its'} numbers")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file, which build_vocab.vectors of params.yaml names") from None
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
    if not found:
        raise UserError(f"{path}: has a vector for none of the {len(words):,} words of the vocabulary")
    order = sorted(found)
    return Pretrained(np.array(order, np.int32), np.stack([found[index] for index in order]))


def _vector(fields: list[bytes]) -> np.ndarray:
    try:
        return np.array(fields, "S").astype(np.float32)
    except ValueError:
        return np.array([np.nan], np.float32)
