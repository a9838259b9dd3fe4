"""The report's box, "try it": the variants, made small enough for a page that answers as they do."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from flaxtext.core.arrow import string_array
from flaxtext.core.parallel import ordered_map
from flaxtext.model.classifier import Classifier
from flaxtext.report.packing import pack_text, to_json
from flaxtext.report.portable import (
    MAX_VALUES,
    NotPortableError,
    Portable,
    answer,
    count_ngrams,
    expand,
    lighten,
    portable,
)
from flaxtext.text.vocabulary import Vocabulary

FEWEST_WORDS = 1000
"""Before it knows fewer words than this, the box leaves out the largest variant."""

TRIED = 1000
"""Test documents, the first, on which a packed model is compared with its original."""

TRIED_CHARACTERS = 2**21
"""Characters of those documents: where they are long, fewer are tried."""

TOO_LARGE = "it is too large for this page"


class Box(NamedTuple):
    """What "try it" carries.

    Attributes:
        words: those that it knows, the most frequent first, with spaces between them.
        models: by variant.
        agreement: by variant, the fraction of the documents tried that it puts into the class that the whole model
            names.
        tried: how many documents that is.
        left_out: the other variants, and why.
    """

    words: str
    models: dict[str, Portable]
    agreement: dict[str, float]
    tried: int
    left_out: dict[str, str]


class Packed(NamedTuple):
    """A model made small, how often it agrees with the whole one, and the characters that it takes of the page."""

    model: Portable
    agreement: float
    size: int


def pack_models(models: Mapping[str, Classifier], texts: list[str], *, words: int, ngrams: int, size: int) -> Box:
    """Pack models into about `size` bytes, with as many words and n-grams as fit, up to those asked for.

    They are compared with the whole ones on `texts`, up to `TRIED_CHARACTERS`.
    """
    vocabulary, left_out = _common_words(models)
    strings = string_array(_first(texts))
    expected = dict(zip(models, ordered_map(lambda model: _name_classes(model, strings), models.values()), strict=True))
    fraction = 1.0
    tried: dict[tuple[str, int, int], Packed | NotPortableError] = {}
    widest = max((_width(model) for variant, model in models.items() if variant not in left_out), default=1)
    words = min(words, max(FEWEST_WORDS, MAX_VALUES // widest))
    while True:
        kept = min(max(FEWEST_WORDS, int(fraction * words)), words, len(vocabulary))
        known = " ".join(vocabulary.words.slice(0, kept).to_pylist())
        lighter: dict[tuple[str, int, int], Classifier] = {}
        for variant, model in models.items():
            if variant in left_out:
                continue
            room = MAX_VALUES // _width(model) - kept * (2 if model.architecture.vectors else 1)
            if room < 0:
                left_out[variant] = TOO_LARGE
                continue
            fewer = lighten(model, kept, min(int(fraction**2 * ngrams), room))  # words matter more
            lighter[variant, kept, count_ngrams(fewer.features)] = fewer
        new = [key for key in lighter if key not in tried]
        jobs = [(lighter[key], strings, expected[key[0]]) for key in new]
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
            agreement = {variant: own.agreement for variant, own in packed.items()}
            return Box(known, small, agreement, len(strings), left_out)
        if fraction * words > FEWEST_WORDS:
            fraction *= min(0.95, (size / total) ** 0.75)  # not all of it shrinks as fraction does
        else:
            left_out[max(packed, key=lambda variant: packed[variant].size)] = TOO_LARGE


def _common_words(models: Mapping[str, Classifier]) -> tuple[Vocabulary, dict[str, str]]:
    """Find the vocabulary with which those of all models begin, and which models have another.

    Pretrained vectors bring further words.
    """
    common = next(iter(models.values())).vocabulary
    left_out: dict[str, str] = {}
    for variant, model in models.items():
        shorter, longer = sorted((common, model.vocabulary), key=len)
        same = longer.words.slice(0, len(shorter)).equals(shorter.words) and longer.tokenizer == shorter.tokenizer
        common = shorter if same else common
        left_out |= {} if same else {variant: "it has another vocabulary"}
    return common, left_out


def _first(texts: list[str]) -> list[str]:
    """Take the first texts, of `TRIED_CHARACTERS` together; one at least."""
    room = TRIED_CHARACTERS
    for number, text in enumerate(texts):
        room -= len(text)
        if room < 0:
            return texts[: max(1, number)]
    return texts


def _width(model: Classifier) -> int:
    """Count the values that a row takes of the page."""
    return len(model.answering) * model.architecture.embed_dim


def _name_classes(model: Classifier, texts: pa.StringArray) -> np.ndarray:
    """Name the class, by number, that a model puts each text into."""
    classes: np.ndarray = answer(model, expand(model, model.read(texts))).argmax(axis=1)
    return classes


def _pack_model(job: tuple[Classifier, pa.StringArray, np.ndarray]) -> Packed | NotPortableError:
    """Pack a lighter form of a model, and compare it with the classes that the whole one puts texts into."""
    model, texts, expected = job
    documents = model.read(texts)
    try:
        small = portable(model, documents)
    except NotPortableError as error:
        return error
    found = small.probabilities(expand(model, documents)).argmax(axis=1)
    return Packed(small, float((found == expected).mean()), len(to_json(small.encoded)))
