"""Texts as Python users have them, and a classifier's answers: labels, probabilities, none for what is missing."""

from collections import UserDict

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from flaxtext.model.architecture import Architecture, unflatten_parameters
from flaxtext.model.classifier import Classifier, ModelInfo
from flaxtext.model.texts import as_texts
from flaxtext.text.features import Features, Reading
from flaxtext.text.vocabulary import fit_vocabulary

TEXTS = ["A good film!", "", "bad", "naïve 🦊"]
WITH_GAPS = ["good", None, "bad"]

WHOLE = {
    "list": TEXTS,
    "tuple": tuple(TEXTS),
    "generator": iter(TEXTS),
    "dictionary's keys": dict.fromkeys(TEXTS).keys(),
    "NumPy objects": np.array(TEXTS, object),
    "NumPy str": np.array(TEXTS),
    "NumPy str scalars": [np.str_(text) for text in TEXTS],
    "NumPy StringDType": np.array(TEXTS, np.dtypes.StringDType()),
    "Series": pd.Series(TEXTS),
    "Series with another index": pd.Series(TEXTS, index=[9, 8, 7, 6]),
    "Series of Arrow": pd.Series(TEXTS, dtype="string[pyarrow]"),
    "categorical": pd.Series(TEXTS, dtype="category"),
    "column": pd.DataFrame({"text": TEXTS, "n": 1})["text"],
    "index": pd.Index(TEXTS),
    "Arrow": pa.array(TEXTS),
    "large Arrow": pa.array(TEXTS, pa.large_string()),
    "Arrow views": pa.array(TEXTS, pa.string_view()),
    "slice": pa.array(["before", *TEXTS, "after"])[1:-1],
    "dictionary": pa.array(TEXTS).dictionary_encode(),
    "dictionary of large strings": pa.array(TEXTS, pa.large_string()).dictionary_encode(),
    "chunked": pa.chunked_array([TEXTS[:1], [], TEXTS[1:]]),
    "chunked dictionaries": pa.chunked_array([pa.array(part).dictionary_encode() for part in (TEXTS[:2], TEXTS[2:])]),
    "table's column": pa.table({"text": TEXTS})["text"],
}
GAPS = {
    "list": WITH_GAPS,
    "float NaN": ["good", float("nan"), "bad"],
    "NumPy NaN": ["good", np.float32("nan"), "bad"],
    "NumPy objects": np.array(WITH_GAPS, object),
    "Series of None": pd.Series(WITH_GAPS),
    "Series of NaN": pd.Series(["good", np.nan, "bad"]),
    "Series of NA": pd.Series(["good", pd.NA, "bad"], dtype="string"),
    "NA in a list": ["good", pd.NA, "bad"],
    "categorical": pd.Series(WITH_GAPS, dtype="category"),
    "reindexed": pd.Series({"a": "good", "c": "bad"}).reindex(["a", "b", "c"]),
    "Arrow": pa.array(WITH_GAPS),
    "dictionary": pa.array(WITH_GAPS).dictionary_encode(),
    "chunked": pa.chunked_array([WITH_GAPS[:2], WITH_GAPS[2:]]),
}
NONE = {
    "list": [],
    "NumPy": np.array([], object),
    "Series": pd.Series([], dtype=object),
    "Arrow": pa.array([], pa.string()),
    "Arrow nulls": pa.nulls(0),
    "no chunks": pa.chunked_array([], pa.string()),
}


@pytest.mark.parametrize("name", WHOLE)
def test_one_text_per_item(name):
    found = as_texts(WHOLE[name] if name != "generator" else iter(TEXTS))
    assert found.type == pa.string()
    assert found.to_pylist() == TEXTS


@pytest.mark.parametrize("name", GAPS)
def test_what_is_missing_is_null(name):
    assert as_texts(GAPS[name]).to_pylist() == WITH_GAPS


@pytest.mark.parametrize("name", NONE)
def test_no_texts(name):
    found = as_texts(NONE[name])
    assert (found.type, len(found)) == (pa.string(), 0)


def test_nothing_but_what_is_missing():
    assert as_texts(pa.nulls(2)).to_pylist() == as_texts([None, float("nan")]).to_pylist() == [None, None]


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ("one text", "expected texts, one per item, got one string; pass a list, such as ['one text']"),
        (np.str_("one text"), "expected texts, one per item, got one string; pass a list, such as ['one text']"),
        ("", "expected texts, one per item, got one string; pass a list, such as ['']"),
        (b"bytes", "expected texts, one per item, got bytes; decode them, and pass a list of str"),
        (bytearray(b""), "expected texts, one per item, got bytearray; decode them, and pass a list of str"),
        (UserDict(title=["a"]), "got a table; choose one of its columns: title"),
        (np.zeros((0, 2), object), "expected texts, one per item, got ndarray: '[]'"),
        (pd.DataFrame({"title": ["a"], "body": ["b"]}), "got a table; choose one of its columns: title, body"),
        (pd.DataFrame({"text": ["a"]}), "got a table; choose one of its columns: text"),
        (pa.table({"title": ["a"], "body": ["b"]}), "got a table; choose one of its columns: title, body"),
        (pa.record_batch({"title": ["a"], "body": ["b"]}), "got a table; choose one of its columns: title, body"),
        ({"title": ["a"]}, "got a table; choose one of its columns: title"),
        (7, "expected texts, one per item, got int: '7'"),
        (None, "expected texts, one per item, got NoneType: 'None'"),
        (np.array("one text"), "expected texts, one per item, got ndarray: 'one text'"),
        (["a", 7], "expected texts, got int at position 1: '7'"),
        ([0.5, "a"], "expected texts, got float at position 0: '0.5'"),
        (["a", b"b"], "expected texts, got bytes at position 1"),
        (["a", ["b"]], "expected texts, got list at position 1"),
        (np.array([["a", "b"]]), "expected texts, one per item, got ndarray: \"[['a' 'b']]\""),
        (np.array([1, 2]), "expected texts, got int64 at position 0: '1'"),
        (pd.Series([1.5, 2]), "expected texts, got float at position 0: '1.5'"),
        (pa.array([1, 2]), "expected texts, got a column of int64"),
        (pa.array([1, 2]).dictionary_encode(), "expected texts, got a column of int64"),
        (pa.chunked_array([[1.5]]), "expected texts, got a column of double"),
    ],
)
def test_what_is_no_column_of_texts_says_so(texts, message):
    with pytest.raises(TypeError) as error:
        as_texts(texts)
    assert message in str(error.value)
    assert str(error.value).isprintable()


def test_half_a_surrogate_pair_is_no_text():
    with pytest.raises(ValueError, match=r"^no text at position 2: half of a surrogate pair, 'a\\ud800'$"):
        as_texts(["a", None, "a\ud800", "b\udc00"])
    assert as_texts(["\U0001f98a"]).to_pylist() == ["🦊"]


@pytest.fixture(scope="module")
def model():
    words = fit_vocabulary([pa.array(["a good film", "a bad film"])])
    features = Features(words.words, Reading())
    own = Architecture(rows=features.rows, classes=3, max_len=4, pooling="padded_mean", embed_dim=3)
    rng = np.random.default_rng(1)
    named = {path: rng.normal(size=shape).astype(np.float32) for path, shape in own.shapes.items()}
    named["output.bias"] *= 0  # the words alone decide
    return Classifier(ModelInfo(["bad", "good", "so so"]), own, [unflatten_parameters(named)], words, features)


def test_labels_are_those_of_the_highest_probabilities(model):
    probability, labels = model.predict_proba(TEXTS), model.predict(TEXTS)
    assert (probability.shape, probability.dtype) == ((4, 3), np.float32)
    np.testing.assert_allclose(probability.sum(axis=1), 1, rtol=1e-5)
    assert model.classes_.tolist() == model.classes == ["bad", "good", "so so"]
    assert (labels.shape, labels.dtype) == ((4,), object)
    assert labels.tolist() == [model.classes[column] for column in probability.argmax(axis=1)]
    assert len(set(model.predict(["good", "bad", "film", "a"]))) > 1


@pytest.mark.parametrize("name", [name for name in WHOLE if name != "generator"])
def test_the_answers_do_not_depend_on_what_holds_the_texts(model, name):
    assert np.array_equal(model.predict_proba(WHOLE[name]), model.predict_proba(TEXTS))
    assert model.predict(WHOLE[name]).tolist() == model.predict(TEXTS).tolist()


@pytest.mark.parametrize("name", GAPS)
def test_what_is_missing_gets_no_prediction(model, name):
    probability, labels = model.predict_proba(GAPS[name]), model.predict(GAPS[name])
    assert np.isnan(probability).tolist() == [[False] * 3, [True] * 3, [False] * 3]
    assert np.array_equal(probability[[0, 2]], model.predict_proba(["good", "bad"]))
    assert labels[1] is None
    assert labels[[0, 2]].tolist() == model.predict(["good", "bad"]).tolist()


@pytest.mark.parametrize("name", NONE)
def test_no_texts_have_no_answers(model, name):
    assert model.predict(NONE[name]).shape == (0,)
    assert model.predict_proba(NONE[name]).shape == (0, 3)


@pytest.mark.parametrize("texts", ["one text", b"one", pd.DataFrame({"text": ["a"]}), [1, 2], 7])
def test_a_classifier_refuses_what_is_no_column_of_texts(model, texts):
    for ask in (model.predict, model.predict_proba, model.tokenize, model.probabilities, model.each):
        with pytest.raises(TypeError, match="expected "):
            ask(texts)


@pytest.mark.parametrize("ids", [["a text"], np.array(["a text"]), np.array([1, 2]), np.ones((2, 4)), pa.array(["a"])])
def test_probabilities_of_ids_take_no_texts(model, ids):
    with pytest.raises(TypeError, match=r"^expected documents as read\(\) gives them, got .*; predict_proba takes"):
        model.probabilities(ids)


def test_words_are_split_from_any_column_and_looked_up_by_the_list(model):
    assert model.tokenize(pd.Series(WITH_GAPS)) == [["good"], [], ["bad"]]
    assert model.token_ids(("a", "no such word")).tolist() == [1, 0]
    with pytest.raises(TypeError, match=r"^expected words, got one string; pass a list, such as \['good'\]$"):
        model.token_ids("good")


def test_labels_belong_into_the_users_frame(model):
    frame = pd.DataFrame({"text": WITH_GAPS})
    frame["label"] = model.predict(frame["text"])
    assert frame["label"].isna().tolist() == [False, True, False]
