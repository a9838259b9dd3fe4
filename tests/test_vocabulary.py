"""Ids as Keras' Tokenizer gives them."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras.src.legacy.preprocessing.text import Tokenizer

from flaxtext.artifacts.vocabulary import FORMAT, SCHEMA, read_vocabulary, write_vocabulary
from flaxtext.core.errors import UserError
from flaxtext.text.vocabulary import fit_vocabulary

texts_of_few_words = st.lists(st.text(alphabet="abAB .é", max_size=15), max_size=20)


def batches(texts, size):
    return [pa.array(texts[start : start + size], pa.string()) for start in range(0, len(texts), size)]


def keras_index(texts):
    tokenizer = Tokenizer()
    tokenizer.fit_on_texts(texts)
    return tokenizer


@given(texts_of_few_words, st.integers(1, 7))
def test_equals_keras(texts, batch):
    fitted = fit_vocabulary(batches(texts, batch), tokenizer="keras")
    reference = keras_index(texts)
    assert dict(zip(fitted.words.to_pylist(), range(1, fitted.rows), strict=True)) == reference.word_index
    assert dict(zip(fitted.words.to_pylist(), fitted.counts.tolist(), strict=True)) == reference.word_counts


def test_equals_keras_on_ag_news(ag_news_texts):
    fitted = fit_vocabulary(batches(ag_news_texts, 8192))
    assert fitted.words.to_pylist() == list(keras_index(ag_news_texts).word_index)


def test_many_small_batches_make_the_same_vocabulary(ag_news_texts):
    texts = ag_news_texts[:20_000]
    small, large = fit_vocabulary(batches(texts, 100)), fit_vocabulary(batches(texts, 20_000))
    assert small.words.equals(large.words)
    assert np.array_equal(small.counts, large.counts)


def test_ties_go_by_first_appearance_across_batches():
    fitted = fit_vocabulary([pa.array(["d c"]), pa.array(["b a b"]), pa.array(["a d c"])])
    assert fitted.words.to_pylist() == ["d", "c", "b", "a"]
    assert fitted.counts.tolist() == [2, 2, 2, 2]


def test_max_words_and_min_count():
    texts = [pa.array(["a a a b b c"])]
    assert fit_vocabulary(texts, max_words=2).words.to_pylist() == ["a", "b"]
    assert fit_vocabulary(texts, min_count=2).words.to_pylist() == ["a", "b"]
    assert fit_vocabulary(texts, min_count=4).words.to_pylist() == []


def test_ids_of_words():
    fitted = fit_vocabulary([pa.array(["a a b"])])
    ids = fitted.ids(pa.array(["b", "x", "a"]))
    assert ids.tolist() == [2, 0, 1]
    assert ids.dtype == np.int32


def test_saved_and_loaded(tmp_path):
    fitted = fit_vocabulary([pa.array(["a a b"])])
    write_vocabulary(tmp_path / "vocab.parquet", fitted)
    table = pq.read_table(tmp_path / "vocab.parquet")
    assert table.schema.equals(pa.schema([("word", pa.string()), ("count", pa.int64()), ("id", pa.int32())]))
    assert table.to_pydict() == {"word": ["a", "b"], "count": [2, 1], "id": [1, 2]}
    assert read_vocabulary(tmp_path / "vocab.parquet").words.equals(fitted.words)
    assert read_vocabulary(tmp_path / "vocab.parquet").tokenizer == "unicode"
    write_vocabulary(tmp_path / "vocab.parquet", fit_vocabulary([pa.array(["a"])], tokenizer="keras"))
    assert read_vocabulary(tmp_path / "vocab.parquet").tokenizer == "keras"


def test_a_file_that_is_no_vocabulary(tmp_path):
    path = tmp_path / "vocab.parquet"
    with pytest.raises(UserError, match="no such file; run `dvc repro` to make it"):
        read_vocabulary(path)
    path.write_bytes(b"PAR1")
    with pytest.raises(UserError, match=r"not vocabulary, or damaged: .*; run `dvc repro`$"):
        read_vocabulary(path)
    table = pa.table({"word": ["a"], "count": [1], "id": pa.array([2], pa.int32())})
    pq.write_table(table, path, compression="none")
    with pytest.raises(UserError, match=r"not vocabulary of version 2: another version of flaxtext wrote it; run `dvc"):
        read_vocabulary(path)
    pq.write_table(table.cast(FORMAT.stamp(SCHEMA)), path, compression="none")
    with pytest.raises(UserError, match="not a vocabulary: expected word, count and id, sorted by id from 1; run"):
        read_vocabulary(path)
    for words, said in ((["a", None], "a word, count or id is missing"), (["a", "a"], "a word occurs twice")):
        columns = [pa.array(words), pa.array([1, 1]), pa.array([1, 2], pa.int32())]
        pq.write_table(pa.table(columns, schema=FORMAT.stamp(SCHEMA)), path)
        with pytest.raises(UserError, match=f"not a vocabulary: {said}; run `dvc repro`$"):
            read_vocabulary(path)
    for details, said in (({}, "None"), ({"tokenizer": "words"}, "'words'")):
        pq.write_table(
            pa.table([["a"], [1], pa.array([1], pa.int32())], schema=SCHEMA).cast(FORMAT.stamp(SCHEMA, **details)), path
        )
        with pytest.raises(UserError, match=f"of the tokenizer {said}; there are unicode, keras; run `dvc repro`$"):
            read_vocabulary(path)
    FORMAT.write(path, pa.table({"word": ["a"], "count": [1]}))
    with pytest.raises(UserError, match="not a vocabulary: expected word, count and id, sorted by id from 1; run"):
        read_vocabulary(path)
