"""What a classifier answers for shortened documents is what it answers for each of them by itself."""

from dataclasses import asdict

import numpy as np
import pyarrow as pa
import pytest
from test_features import MARKS, UNKNOWN, WORDS, draw, number
from tiny_models import untrained

from flaxtext.model import shortening
from flaxtext.model.architecture import Architecture, unflatten_parameters
from flaxtext.model.classifier import Classifier, ModelInfo
from flaxtext.model.shortening import Shortened, answer_shortened
from flaxtext.text.features import Reading, fit_features
from flaxtext.text.token_ids import TokenIds, offsets_of
from flaxtext.text.vocabulary import Vocabulary

EVERYTHING = Reading(prefix=3, ngrams=3, marks=True, characters=3)


def classifier(reading=EVERYTHING, *, tokenizer="unicode", members=1, embed_dim=3, output=False, **own):
    """A model of random parameters that knows `WORDS`."""
    features = fit_features(pa.array(WORDS), number(draw(60, reading)), reading)
    sizes = {"pooling": "tfidf", "embed_dim": embed_dim, "output": output, **own, **asdict(reading)}
    architecture = Architecture(features.rows, 3, **sizes)
    rng = np.random.default_rng(0)
    parameters = [
        unflatten_parameters(
            {name: rng.normal(size=shape).astype(np.float32) for name, shape in architecture.shapes.items()}
        )
        for _ in range(members)
    ]
    if architecture.weighs:
        idf = rng.random(architecture.rows).astype(np.float32)
        for one in parameters:  # trained on the same documents
            one["embedding"]["idf"] = idf
    words = Vocabulary(pa.array(WORDS), np.ones(len(WORDS), np.int64), tokenizer)
    info = ModelInfo(["a", "b", "c"], seeds=members, ensemble=members > 1)
    return Classifier(info, architecture, parameters, words, features)


def shortened(lists, seed=0, forms=9):
    """Documents, each with words left out in several ways; some words always stay."""
    rng = np.random.default_rng(seed)
    documents, found = number(lists), []
    for place, tokens in enumerate(lists):
        n_columns = int(rng.integers(0, 5))
        columns = rng.integers(-1, n_columns, len(tokens)).astype(np.int32)
        kept = rng.random((forms, n_columns)) < 0.6
        found.append(Shortened(documents[place : place + 1], columns, kept))
    return found


def one_by_one(model, documents):
    """The answer for each form as a document of its own."""
    answers = []
    for one in documents:
        forms = []
        for kept in one.kept:
            stays = np.array([column < 0 or kept[column] for column in one.columns], bool)
            ids = one.document.ids[stays]
            alone = TokenIds(ids, np.array([0, len(ids)], np.int64), one.document.unknown)
            forms.append(model.probabilities(model.cut(alone), "numpy")[0])
        answers.append(np.array(forms))
    return answers


MODELS = {
    "words": lambda: classifier(Reading()),
    "everything": classifier,
    "characters alone": lambda: classifier(Reading(characters=4)),
    "marks": lambda: classifier(Reading(ngrams=2, marks=True)),
    "low rank": lambda: classifier(embed_dim=5, output=True),
    "a hidden layer": lambda: classifier(embed_dim=5, output=True, hidden=4),
    "an ensemble": lambda: classifier(members=2),
    "keras": lambda: classifier(Reading(ngrams=2, characters=2), tokenizer="keras"),
    "more words than there are": lambda: classifier(max_len=50),
    "four words": lambda: classifier(max_len=4),
    "four words, keras": lambda: classifier(Reading(ngrams=2), tokenizer="keras", max_len=4),
    "mean": lambda: classifier(EVERYTHING, pooling="mean", output=True),
    "flatten": lambda: classifier(Reading(ngrams=2), pooling="flatten", output=True, max_len=5),
}


@pytest.mark.parametrize("name", MODELS)
def test_answers_are_those_of_each_shortened_document(name):
    model = MODELS[name]()
    lists = draw(30, Reading(marks=model.architecture.marks), seed=2)
    documents = shortened([*lists, ["zzz"], [*UNKNOWN]])
    found = answer_shortened(model, documents)
    for one, expected in zip(found, one_by_one(model, documents), strict=True):
        assert one.dtype == np.float32
        np.testing.assert_allclose(one, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["everything", "four words", "mean"])
@pytest.mark.parametrize("size", [1, 40, 10**4])
def test_how_many_are_worked_out_at_a_time_changes_nothing(monkeypatch, name, size):
    model = MODELS[name]()
    documents = shortened(draw(12, EVERYTHING, seed=3))
    whole = answer_shortened(model, documents)
    monkeypatch.setattr(shortening, "BLOCK_WORDS", size)
    monkeypatch.setattr(shortening, "BLOCK_VALUES", size)
    for one, other in zip(answer_shortened(model, documents), whole, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("max_len", [None, 3])
@pytest.mark.parametrize("pooling", ["tfidf", "mean"])
def test_answers_are_those_of_the_shortened_text(pooling, max_len):
    texts = ["the naïve runner is running on", "running zzz the the runner", "nothing else"]
    model = untrained(
        ["the naïve runner", "running the the runner is", "on the naïve runner"],
        pooling=pooling, embed_dim=4, ngrams=2, characters=3, max_len=max_len,
    )  # fmt: skip
    rng = np.random.default_rng(0)
    for text in texts:
        tokens = text.split()
        kept = rng.random((20, len(tokens))) < 0.6
        one = Shortened(model.number(pa.array([text])), np.arange(len(tokens), dtype=np.int32), kept)
        joined = [" ".join(token for token, stays in zip(tokens, form, strict=True) if stays) for form in kept]
        [found] = answer_shortened(model, [one])
        np.testing.assert_allclose(found, model.predict_proba(joined), rtol=1e-4, atol=1e-6)


def test_a_document_without_words_and_one_of_which_all_stay():
    model = classifier()
    nothing, whole = number([[], ["the", "runner"]]), None
    empty = Shortened(nothing[:1], np.zeros(0, np.int32), np.ones((3, 0), bool))
    whole = Shortened(nothing[1:], np.full(2, -1, np.int32), np.zeros((2, 0), bool))
    found = answer_shortened(model, [empty, whole])
    np.testing.assert_allclose(found[0], np.tile(model.predict_proba([""]), (3, 1)), rtol=1e-6)
    np.testing.assert_allclose(found[1], np.tile(model.predict_proba(["the runner"]), (2, 1)), rtol=1e-5)


def test_forms_are_laid_out_as_documents():
    one = Shortened(number([["the", "zzz", "runner", "the"]]), np.array([0, 1, -1, 0], np.int32), np.eye(2, dtype=bool))
    forms = one.forms()
    assert forms.ids.tolist() == [3, 2, 3, 10, 2]
    assert forms.offsets.tolist() == [0, 3, 5]
    assert forms.unknown.to_pylist() == UNKNOWN
    assert [part.kept.tolist() for part in one.parts(1)] == [[[True, False]], [[False, True]]]


TOKENS = [["the", "zzz", MARKS[0], "runner", "runs"], ["zzz", "zzz", "the"], [], ["the"]]


@pytest.mark.parametrize(
    ("own", "reached"),
    [
        ({"reading": Reading(ngrams=2)}, [[1, 0, 0, 1, 0], [0, 0, 1], [], [1]]),
        ({"reading": Reading(characters=2)}, [[1, 1, 0, 1, 1], [1, 1, 1], [], [1]]),
        ({"reading": Reading(ngrams=2), "max_len": 2}, [[1, 0, 0, 0, 0], [0, 0, 0], [], [1]]),
        ({"reading": Reading(ngrams=2), "max_len": 2, "tokenizer": "keras"}, [[1, 0, 0, 1, 0], [0, 0, 1], [], [1]]),
        ({"reading": Reading(characters=2), "max_len": 1, "tokenizer": "keras"}, [[1, 0, 0, 0, 0], [0, 0, 1], [], [1]]),
    ],
)
def test_words_that_can_matter(own, reached):
    """Beyond what is read, no word does, nor an unknown one if its characters are not read; marks are no words."""
    model = classifier(**own)
    documents = number(TOKENS)
    assert model.reach(documents).astype(int).tolist() == [flag for flags in reached for flag in flags]
    each = [model.reach(documents[place : place + 1]).astype(int).tolist() for place in range(len(TOKENS))]
    assert each == reached


def test_what_a_model_reads_of_documents():
    documents = number(TOKENS)
    assert classifier(max_len=2).cut(documents).ids.tolist() == [3, 10, -1, 10, 10, 3]
    keras = classifier(Reading(), tokenizer="keras", max_len=2).cut(documents)
    assert (keras.ids.tolist(), keras.offsets.tolist()) == ([3, -1, 2, 3, 3], [0, 3, 4, 4, 5])
    long = TokenIds(np.full(2**15 + 9, 3, np.int32), offsets_of(np.array([2**15 + 9])))
    assert classifier().cut(long).lengths.tolist() == [2**15]
