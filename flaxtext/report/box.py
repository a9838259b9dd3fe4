"""The report's box, "try it": the variants, made small enough for a page that answers as they do."""

from collections.abc import Mapping
from typing import NamedTuple

import pyarrow as pa

from flaxtext.model.classifier import Classifier
from flaxtext.report.packing import pack_text, to_json
from flaxtext.report.portable import NotPortableError, Portable, portable, with_fewer_ngrams
from flaxtext.text.token_ids import TokenIds
from flaxtext.text.tokenizers import tokenize

FEWEST_WORDS = 1000
"""Before it knows fewer words than this, the box leaves out the largest variant."""

TRIED = 1000
"""Test documents, the first, on which a packed model is compared with its original."""


class Box(NamedTuple):
    """What "try it" carries.

    Attributes:
        words: those that it knows, the most frequent first, with spaces between them.
        models: by variant.
        agreement: by variant, the fraction of the documents tried that it puts into the class that the whole model
            names.
        left_out: the other variants, and why.
    """

    words: str
    models: dict[str, Portable]
    agreement: dict[str, float]
    left_out: dict[str, str]


def pack_models(models: Mapping[str, Classifier], texts: list[str], *, words: int, ngrams: int, size: int) -> Box:
    """Pack models into about `size` bytes, with as many words and n-grams as fit, up to those asked for.

    They are compared with the whole ones on `texts`.
    """
    vocabulary = next(iter(models.values())).vocabulary.words
    lists = tokenize(pa.array(texts, pa.string()))
    left_out = {
        variant: "it has another vocabulary"
        for variant, model in models.items()
        if not model.vocabulary.words.equals(vocabulary)
    }
    fraction = 1.0
    packed: dict[tuple[str, int, int], tuple[Portable, float]] = {}
    while True:
        kept = min(max(FEWEST_WORDS, int(fraction * words)), words, len(vocabulary))
        known = " ".join(vocabulary.slice(0, kept).to_pylist())
        small: dict[str, Portable] = {}
        agreement: dict[str, float] = {}
        for variant, model in models.items():
            if variant in left_out:
                continue
            lighter = with_fewer_ngrams(model, int(fraction**2 * ngrams))  # words matter more
            key = variant, kept, len(lighter.features.keys)
            try:
                if key not in packed:
                    packed[key] = _pack_model(model, lighter, kept, lists)
            except NotPortableError as error:
                left_out[variant] = str(error)
            else:
                small[variant], agreement[variant] = packed[key]
        sizes = {variant: len(to_json(model.encoded)) for variant, model in small.items()}
        total = sum(sizes.values()) + len(pack_text(known))
        if total <= size or not small:
            return Box(known, small, agreement, left_out)
        if fraction * words > FEWEST_WORDS:
            fraction *= min(0.95, (size / total) ** 0.75)  # not all of it shrinks as fraction does
        else:
            left_out[max(sizes, key=lambda variant: sizes[variant])] = "it is too large for this page"


def _pack_model(whole: Classifier, lighter: Classifier, words: int, lists: pa.LargeListArray) -> tuple[Portable, float]:
    """Pack a model, and measure how often it agrees with the whole one on documents given as lists of words."""
    documents = TokenIds(whole.vocabulary.ids(lists.values), lists.offsets.to_numpy())
    max_len = whole.architecture.max_len
    seen = documents.cut(max_len, words + 1)
    small = portable(lighter, words, seen)
    expected = whole.probabilities(documents.cut(max_len), backend="numpy").argmax(axis=1)
    return small, float((small.probabilities(seen).argmax(axis=1) == expected).mean())
