"""The report's box, "try it": the variants, made small enough for a page that answers as they do."""

from collections.abc import Mapping
from typing import NamedTuple

import pyarrow as pa

from flaxtext.core.parallel import ordered_map
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


class Packed(NamedTuple):
    """A model made small, how often it agrees with the whole one, and the characters that it takes of the page."""

    model: Portable
    agreement: float
    size: int


def pack_models(models: Mapping[str, Classifier], texts: list[str], *, words: int, ngrams: int, size: int) -> Box:
    """Pack models into about `size` bytes, with as many words and n-grams as fit, up to those asked for.

    They are compared with the whole ones on `texts`.
    """
    first = next(iter(models.values())).vocabulary
    vocabulary = first.words
    lists = tokenize(pa.array(texts, pa.string()), first.tokenizer)
    left_out = {
        variant: "it has another vocabulary"
        for variant, model in models.items()
        if not model.vocabulary.words.equals(vocabulary)
    }
    fraction = 1.0
    tried: dict[tuple[str, int, int], Packed | NotPortableError] = {}
    while True:
        kept = min(max(FEWEST_WORDS, int(fraction * words)), words, len(vocabulary))
        known = " ".join(vocabulary.slice(0, kept).to_pylist())
        lighter: dict[tuple[str, int, int], Classifier] = {}
        for variant, model in models.items():
            if variant not in left_out:
                fewer = with_fewer_ngrams(model, int(fraction**2 * ngrams))  # words matter more
                lighter[variant, kept, len(fewer.features.keys)] = fewer
        new = [key for key in lighter if key not in tried]
        jobs = [(models[key[0]], lighter[key], kept, lists) for key in new]
        tried.update(zip(new, ordered_map(_pack_model, jobs), strict=True))  # NumPy and zlib run side by side
        packed: dict[str, Packed] = {}
        for key in lighter:
            result = tried[key]
            if isinstance(result, Packed):
                packed[key[0]] = result
            else:
                left_out[key[0]] = str(result)
        total = sum(own.size for own in packed.values()) + len(pack_text(known))
        if total <= size or not packed:
            small = {variant: own.model for variant, own in packed.items()}
            return Box(known, small, {variant: own.agreement for variant, own in packed.items()}, left_out)
        if fraction * words > FEWEST_WORDS:
            fraction *= min(0.95, (size / total) ** 0.75)  # not all of it shrinks as fraction does
        else:
            left_out[max(packed, key=lambda variant: packed[variant].size)] = "it is too large for this page"


def _pack_model(job: tuple[Classifier, Classifier, int, pa.LargeListArray]) -> Packed | NotPortableError:
    """Pack a lighter form of a model with so many words, and compare it with the whole one on lists of words."""
    whole, lighter, words, lists = job
    documents = TokenIds(whole.vocabulary.ids(lists.values), lists.offsets.to_numpy())
    max_len = whole.architecture.max_len
    seen = documents.cut(max_len, words + 1)
    try:
        small = portable(lighter, words, seen)
    except NotPortableError as error:
        return error
    expected = whole.probabilities(documents.cut(max_len), backend="numpy").argmax(axis=1)
    agreement = float((small.probabilities(seen).argmax(axis=1) == expected).mean())
    return Packed(small, agreement, len(to_json(small.encoded)))
