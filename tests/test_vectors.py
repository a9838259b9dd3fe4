"""Rows of ids as Keras' texts_to_sequences and pad_sequences make them."""

import csv
import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras.src.legacy.preprocessing.text import Tokenizer
from keras.utils import pad_sequences

from flaxtext.core.errors import UserError
from flaxtext.text import vectors, vocabulary
from flaxtext.artifacts.token_ids import Vectors


def keras_vectors(fit_on, texts, max_len):
    tokenizer = Tokenizer()
    tokenizer.fit_on_texts(fit_on)
    sequences = tokenizer.texts_to_sequences(texts)
    return pad_sequences(sequences, maxlen=max_len, padding="post", truncating="post", dtype="int32")


def own_vectors(fit_on, texts, max_len):
    fitted = vocabulary.fit([pa.array(fit_on, pa.string())])
    return vectors.vectorize(pa.array(texts, pa.string()), fitted, max_len)


@pytest.mark.parametrize("fit_on_all", [True, False], ids=["train and test", "train alone"])
def test_ag_news_equals_keras(ag_news_texts, fit_on_all):
    fit_on = ag_news_texts if fit_on_all else ag_news_texts[:-7600]
    assert np.array_equal(own_vectors(fit_on, ag_news_texts, 50), keras_vectors(fit_on, ag_news_texts, 50))


def test_the_embedded_corpus_equals_keras(pydocs_texts):
    assert np.array_equal(own_vectors(pydocs_texts, pydocs_texts, 50), keras_vectors(pydocs_texts, pydocs_texts, 50))


few_words = st.text(alphabet="abcdAB .é", max_size=30)


@given(st.lists(few_words), st.lists(few_words, min_size=1), st.integers(1, 6))
def test_equals_keras_with_unknown_words(fit_on, texts, max_len):
    assert np.array_equal(own_vectors(fit_on, texts, max_len), keras_vectors(fit_on, texts, max_len))


def test_the_token_pattern_of_the_tutorials_first_vectors(goldens):
    """Equal ids where and only where the words are equal; the ids themselves need the whole corpus."""
    with (goldens / "first_three_train_rows.csv").open(encoding="utf-8", newline="") as file:
        texts = [f"{title} {description}" for _, title, description in csv.reader(file)]
    printed = np.array(json.loads((goldens / "tutorial.json").read_text(encoding="utf-8"))["first_train_vectors"])
    ours = own_vectors(texts, texts, 50)
    assert ours.shape == printed.shape
    assert np.array_equal(ours == 0, printed == 0)
    ours, printed = ours[ours > 0], printed[printed > 0]
    assert np.array_equal(ours[:, None] == ours[None, :], printed[:, None] == printed[None, :])


def test_unknown_words_are_dropped_before_the_cut():
    assert own_vectors(["a b c"], ["x a x b x c"], 2).tolist() == [[1, 2]]


@pytest.mark.parametrize("ending", ["parquet", "npz"])
def test_written_and_read(tmp_path, ending):
    ids, labels = np.arange(12, dtype=np.int32).reshape(4, 3), np.array([0, 1, 0, 1], np.int32)
    path = tmp_path / f"vectors.{ending}"
    vectors.write(path, [Vectors(ids[:3], labels[:3]), Vectors(ids[3:], labels[3:])], rows=4, max_len=3)
    found = vectors.read(path)
    assert np.array_equal(found.ids, ids)
    assert np.array_equal(found.labels, labels)
    assert (found.ids.dtype, found.labels.dtype) == (np.int32, np.int32)
    first = path.read_bytes()
    vectors.write(path, [Vectors(ids[:3], labels[:3]), Vectors(ids[3:], labels[3:])], rows=4, max_len=3)
    assert path.read_bytes() == first


def test_a_folder_of_parts_reads_as_one(tmp_path):
    ids, labels = np.arange(12, dtype=np.int32).reshape(4, 3), np.array([0, 1, 0, 1], np.int32)
    for part in range(2):
        rows = slice(2 * part, 2 * part + 2)
        vectors.write(tmp_path / f"parts/{part}.parquet", [Vectors(ids[rows], labels[rows])], rows=2, max_len=3)
    assert np.array_equal(vectors.read(tmp_path / "parts").ids, ids)


@pytest.mark.parametrize("ending", ["parquet", "npz"])
def test_a_file_that_holds_no_vectors(tmp_path, ending):
    path = tmp_path / f"vectors.{ending}"
    with pytest.raises(UserError, match="no such file; run `dvc repro` to make it"):
        vectors.read(path)
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(UserError, match="not a file of vectors"):
        vectors.read(path)


def test_an_unknown_ending(tmp_path):
    with pytest.raises(UserError, match=r"vectors go to \.parquet or \.npz"):
        vectors.write(tmp_path / "vectors.csv", [], rows=0, max_len=3)
