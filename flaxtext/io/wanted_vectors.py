"""Which words of a file of vectors are kept: those of the vocabulary, and the first of those that it lacks."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flaxtext.artifacts.pretrained import Pretrained
from flaxtext.core.arrow import numpy_array, string_array
from flaxtext.text.tokenizers import tokenize
from flaxtext.text.vocabulary import Vocabulary
from flaxtext.text.words import Tokenizer

MOST_EXTRA = 2**17
"""So many words of the file, its first, are kept though the vocabulary lacks them: 26 MB where vectors have 50 numbers.
Files begin with the most frequent words."""


class WantedVectors:
    """The vectors that are kept, as the words of a file go by, in its order.

    A word is looked up as the tokenizer writes it. Of several spellings of a word the one that is written so counts,
    otherwise the first; what is no word, or several, is passed over. Memory grows with what is kept, not with the file.

    Attributes:
        ids: the vocabulary: word -> id.
    """

    def __init__(self, vocabulary: Vocabulary, max_words: int | None) -> None:
        self._tokenizer = vocabulary.tokenizer
        self.ids = {word: index for index, word in enumerate(vocabulary.words.to_pylist(), start=1)}
        self._first = min(max_words or MOST_EXTRA, MOST_EXTRA)
        self._seen = 0
        self._known: dict[str, tuple[int, np.ndarray]] = {}  # word -> rank, vector
        self._extra: dict[str, tuple[int, np.ndarray]] = {}
        self._exact: set[str] = set()

    def __len__(self) -> int:
        """How many words of the vocabulary have a vector by now."""
        return len(self._known)

    def wanted(self, spellings: list[bytes]) -> Iterator[tuple[int, str]]:
        """Yield place and word of those of the next `spellings` whose vector is asked for, to be handed to `keep`."""
        first = self._seen
        self._seen += len(spellings)
        for place, word in enumerate(_words(spellings, self._tokenizer)):
            if word is None or (word not in self.ids and first + place >= self._first):
                continue
            kept = self._known if word in self.ids else self._extra
            if word not in kept or (word not in self._exact and word.encode() == spellings[place]):
                yield place, word

    def keep(self, word: str, spelling: bytes, rank: int, vector: np.ndarray) -> None:
        """Keep a vector `float32[dim]` that was wanted; `rank` is the word's place in the file, from 1."""
        kept = self._known if word in self.ids else self._extra
        kept.pop(word, None)  # by rank, whichever spelling it is
        kept[word] = rank, vector
        if word.encode() == spelling:
            self._exact.add(word)

    def result(self) -> Pretrained:
        """Return what was kept, of which at least one is a word of the vocabulary."""
        known = sorted((self.ids[word], *kept) for word, kept in self._known.items())
        dim = len(known[0][2])
        return Pretrained(
            ids=np.array([index for index, _, _ in known], np.int32),
            vectors=np.stack([vector for _, _, vector in known]),
            ranks=np.array([rank for _, rank, _ in known], np.int32),
            words=string_array(self._extra),
            extra=np.array([vector for _, vector in self._extra.values()], np.float32).reshape(-1, dim),
            extra_ranks=np.array([rank for rank, _ in self._extra.values()], np.int32),
        )


def _words(spellings: list[bytes], tokenizer: Tokenizer) -> list[str | None]:
    """Return each as the tokenizer writes it; None for what is no word, or several, or not UTF-8."""
    texts = string_array(spelling.decode(errors="replace") for spelling in spellings)
    found = tokenize(texts, tokenizer)
    single = numpy_array(found.value_lengths().cast("int64")) == 1
    firsts = numpy_array(found.offsets)[:-1][single]
    words = np.full(len(spellings), None, object)
    words[single] = found.values.take(pa.array(firsts)).to_pylist()
    damaged = pc.match_substring(texts, "\N{REPLACEMENT CHARACTER}")
    words[numpy_array(damaged)] = None
    return list(words)
