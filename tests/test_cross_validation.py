"""Each document is answered about by a model that has learned from others alone."""

import numpy as np
import pyarrow as pa
import pytest

from flaxtext.config.build_vocab import BuildVocab
from flaxtext.config.train import LinearVariant
from flaxtext.config.vectorize import Vectorize
from flaxtext.core.errors import UserError
from flaxtext.text.token_ids import Examples, choose_validation, number_words
from flaxtext.text.vocabulary import fit_vocabulary
from flaxtext.train.cross_validation import Settings, answer, choose_folds, cross_validate, train_on
from flaxtext.train.variants import train_variant

CLASSES = ["cats", "dogs", "birds"]
WORDS = [["purr", "meow", "claw"], ["bark", "bone", "paw"], ["tweet", "wing", "beak"]]


def pets(n=60, only=None):
    """Texts in batches of 7, and labels; birds are a third, or one document."""
    rng = np.random.default_rng(0)
    labels = (np.arange(n) % (2 if only else 3)).astype(np.int32)
    if only:
        labels[5] = 2
    texts = [
        " ".join([*rng.choice(WORDS[label], 3), *rng.choice(["tail", "eye", f"x{row}"], 2)])
        for row, label in enumerate(labels)
    ]
    return [pa.array(texts[first : first + 7]) for first in range(0, n, 7)], labels


def linear(**build_vocab):
    variant = LinearVariant(model="linear", ngrams=2)
    return Settings(variant, BuildVocab(**build_vocab), Vectorize(validation=0.2), "linear")


def test_folds_share_each_class_and_all_documents_evenly():
    labels = np.repeat([0, 1, 2, 3], [10, 7, 2, 1]).astype(np.int32)[np.random.default_rng(1).permutation(20)]
    folds = choose_folds(labels, 3, seed=0)
    assert folds.dtype == np.int32
    counts = np.array([np.bincount(folds[labels == code], minlength=3) for code in range(4)])
    assert counts.sum(axis=1).tolist() == [10, 7, 2, 1]
    assert (counts.max(axis=1) - counts.min(axis=1) <= 1).all()
    assert sorted(counts.sum(axis=0)) == [6, 7, 7]
    assert np.array_equal(choose_folds(labels, 3, seed=0), folds)
    assert not np.array_equal(choose_folds(labels, 3, seed=1), folds)


@pytest.mark.parametrize(("folds", "documents"), [(1, 5), (6, 5), (2, 0)])
def test_there_are_as_many_documents_as_folds(folds, documents):
    with pytest.raises(UserError, match=f"{folds} folds of {documents} documents; take 2 to as many as there are"):
        choose_folds(np.zeros(documents, np.int32), folds, seed=0)


def test_a_fold_is_answered_about_by_what_learned_from_the_others():
    texts, labels = pets()
    found = cross_validate(linear(min_count=2), lambda: texts, labels, CLASSES, folds=4, seed=3)
    assert np.array_equal(found.folds, choose_folds(labels, 4, 3))
    assert found.probabilities.dtype == np.float32
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1, rtol=1e-5)
    assert (found.probabilities.argmax(axis=1) == labels).mean() > 0.9
    everything = pa.concat_arrays(texts)
    for fold in range(4):  # by hand
        is_out = found.folds == fold
        known, own = everything.filter(pa.array(~is_out)), labels[~is_out]
        words = fit_vocabulary([known], min_count=2)
        assert not set(words.words.to_pylist()) & {f"x{row}" for row in np.flatnonzero(is_out)}
        examples = Examples(number_words(known, words), own)
        held_out = choose_validation(own, 0.2, 0)
        model = train_variant(
            linear().variant,
            examples.select(~held_out),
            examples.select(held_out),
            name="linear",
            words=words,
            classes=CLASSES,
            origin={"source": "pets"},
        ).model
        expected = model.predict_proba(everything.filter(pa.array(is_out)))
        np.testing.assert_allclose(found.probabilities[is_out], expected, rtol=1e-5)  # other batches round otherwise


def test_the_same_seed_gives_the_same_probabilities():
    texts, labels = pets(30)
    first, second = (cross_validate(linear(), lambda: texts, labels, CLASSES, folds=2) for _ in range(2))
    np.testing.assert_array_equal(first.probabilities, second.probabilities)


def test_nothing_is_known_of_a_class_in_the_fold_of_its_only_document():
    texts, labels = pets(30, only=True)
    found = cross_validate(linear(), lambda: texts, labels, CLASSES, folds=3)
    assert np.isfinite(found.probabilities).all()
    in_fold = found.folds == found.folds[5]
    assert not (found.probabilities[in_fold].argmax(axis=1) == 2).any()


def test_a_variant_that_watches_test_learns_from_all_of_the_other_documents():
    texts, labels = pets(30)
    lines = []
    settings = linear()._replace(variant=LinearVariant(model="linear", validation_from="test"))
    model = train_on(settings, lambda: texts, labels, CLASSES, np.arange(30) < 20, say=lines.append)
    assert lines[0] == "linear: 20 documents, 0 for validation"
    assert answer(model, lambda: texts, np.arange(30) >= 20).shape == (10, 3)
    assert answer(model, lambda: texts, np.zeros(30, bool)).shape == (0, 3)


def test_texts_and_labels_are_of_the_same_documents():
    texts, labels = pets(30)
    with pytest.raises(ValueError, match="31 documents were expected, and 30 texts came"):
        cross_validate(linear(), lambda: texts, np.append(labels, np.int32(0)), CLASSES, folds=2)


def test_documents_without_words_are_refused():
    settings, labels = linear(), np.array([0, 1, 0, 1], np.int32)
    with pytest.raises(UserError, match=r"linear: no word is left; lower build_vocab\.min_count or look at the texts"):
        cross_validate(settings, lambda: [pa.array(["", " ", "", "."])], labels, CLASSES, folds=2)
