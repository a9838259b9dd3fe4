"""Ids of documents as Keras' texts_to_sequences and pad_sequences make them."""

import csv
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras.src.legacy.preprocessing.text import Tokenizer
from keras.utils import pad_sequences

from flaxtext.artifacts.token_ids import (
    read_token_ids,
    read_unknown_words,
    write_token_ids,
    write_unknown_words,
)
from flaxtext.core.errors import UserError
from flaxtext.text.token_ids import (
    Examples,
    TokenIds,
    UnknownWords,
    insert_marks,
    number_words,
    offsets_of,
    part_marks,
    renumber,
)
from flaxtext.text.vocabulary import fit_vocabulary


def keras_ids(fit_on, texts, max_len):
    tokenizer = Tokenizer()
    tokenizer.fit_on_texts(fit_on)
    sequences = tokenizer.texts_to_sequences(texts)
    return pad_sequences(sequences, maxlen=max_len, padding="post", truncating="post", dtype="int32")


def own_ids(fit_on, texts, max_len):
    fitted = fit_vocabulary([pa.array(fit_on, pa.string())], tokenizer="keras")
    return as_keras(number_words(pa.array(texts, pa.string()), fitted), fitted.rows, max_len)


def as_keras(documents, rows, max_len):
    """Documents of known words alone, cut and padded: `int32[n, max_len]`."""
    return documents.known(rows).first(max_len).padded(max_len)


@pytest.mark.parametrize(
    "fit_on_all",
    [True, pytest.param(False, marks=pytest.mark.slow)],
    ids=["train and test", "train alone"],
)
def test_ag_news_equals_keras(ag_news_texts, fit_on_all):
    fit_on = ag_news_texts if fit_on_all else ag_news_texts[:-7600]
    assert np.array_equal(own_ids(fit_on, ag_news_texts, 50), keras_ids(fit_on, ag_news_texts, 50))


def test_the_embedded_corpus_equals_keras(pydocs_texts):
    assert np.array_equal(own_ids(pydocs_texts, pydocs_texts, 50), keras_ids(pydocs_texts, pydocs_texts, 50))


few_words = st.text(alphabet="abcdAB .é", max_size=30)


@given(st.lists(few_words), st.lists(few_words, min_size=1), st.integers(1, 6))
def test_equals_keras_with_unknown_words(fit_on, texts, max_len):
    assert np.array_equal(own_ids(fit_on, texts, max_len), keras_ids(fit_on, texts, max_len))


def test_the_token_pattern_of_the_tutorials_first_vectors(goldens):
    """Equal ids where and only where the words are equal; the ids themselves need the whole corpus."""
    with (goldens / "first_three_train_rows.csv").open(encoding="utf-8", newline="") as file:
        texts = [f"{title} {description}" for _, title, description in csv.reader(file)]
    printed = np.array(json.loads((goldens / "tutorial.json").read_text(encoding="utf-8"))["first_train_vectors"])
    ours = own_ids(texts, texts, 50)
    assert ours.shape == printed.shape
    assert np.array_equal(ours == 0, printed == 0)
    ours, printed = ours[ours > 0], printed[printed > 0]
    assert np.array_equal(ours[:, None] == ours[None, :], printed[:, None] == printed[None, :])


def test_unknown_words_are_dropped_before_the_cut():
    assert own_ids(["a b c"], ["x a x b x c"], 2).tolist() == [[1, 2]]


@pytest.mark.parametrize("ending", ["parquet", "npz"])
def test_documents_are_kept_whole_and_unknown_words_in_their_place(tmp_path, ending):
    """They are cut, and unknown words dropped, when a model reads them."""
    words = fit_vocabulary([pa.array(["a b c a"])])
    unknown = UnknownWords(words)
    batches = [
        (pa.array(["a x b", ""]), np.array([0, 1], np.int32)),
        (pa.array(["y c x x a"]), np.array([1], np.int32)),
    ]
    path = tmp_path / f"train.{ending}"
    write_token_ids(path, unknown.number(batches), **ABOUT)
    found = read_token_ids(path).documents
    assert (unknown.words, words.rows) == (["x", "y"], 4)
    assert found.ids.tolist() == [1, 4, 2, 5, 3, 4, 4, 1]
    assert found.offsets.tolist() == [0, 3, 3, 8]
    assert as_keras(found, words.rows, 3).tolist() == [[1, 2, 0], [0, 0, 0], [3, 1, 0]]
    assert as_keras(found, words.rows, 1).tolist() == [[1], [0], [3]]
    assert found.first(2).padded(2).tolist() == [[1, 4], [0, 0], [5, 3]]
    alone = number_words(pa.array(["a x b", "", "y c x x a"]), words)
    assert (alone.ids.tolist(), alone.unknown.to_pylist()) == (found.ids.tolist(), ["x", "y"])
    assert np.array_equal(alone.offsets, found.offsets)


def ragged(lists):
    ids = np.array([number for own in lists for number in own], np.int32)
    return TokenIds(ids, offsets_of(np.array([len(own) for own in lists], np.int64)), pa.array(["seven", "eight"]))


def as_lists(documents):
    assert (documents.ids.dtype, documents.offsets.dtype) == (np.int32, np.int64)
    assert documents.unknown.to_pylist() == ["seven", "eight"]
    return [part.tolist() for part in np.split(documents.ids, documents.offsets[1:-1])] if len(documents) else []


some_lists = st.lists(st.lists(st.integers(-2, 6), max_size=9), max_size=6)


@given(some_lists, st.integers(1, 8))
def test_documents_are_cut_and_padded_and_unknown_words_dropped(lists, max_len):
    documents = ragged(lists)
    counts = [np.cumsum([number > 0 for number in own]) for own in lists]  # marks, below 0, are no words
    first = [own[: int((count <= max_len).sum())] for own, count in zip(lists, counts, strict=True)]
    assert as_lists(documents.first(max_len)) == first
    assert documents.first(None) is documents
    assert documents.word_counts.tolist() == [sum(number > 0 for number in own) for own in lists]
    assert as_lists(documents.known(5)) == [[number for number in own if number and number < 5] for own in lists]
    known = [[number for number in own if 0 < number < 5] for own in lists]
    found = documents.known(5).select(documents.known(5).ids > 0).first(max_len).padded(max_len)
    assert found.dtype == np.int32
    assert found.tolist() == [own[:max_len] + [0] * (max_len - len(own[:max_len])) for own in known]
    words, marks = part_marks(documents)
    assert as_lists(words) == [[number for number in own if number >= 0] for own in lists]
    assert as_lists(insert_marks(words, marks)) == lists


@given(some_lists, st.data())
def test_documents_are_taken_as_those_of_a_list_are(lists, data):
    documents = ragged(lists)
    assert documents.lengths.tolist() == [len(own) for own in lists]
    first, last = data.draw(st.integers(-8, 8)), data.draw(st.integers(-8, 8) | st.none())
    assert as_lists(documents[first:last]) == lists[first:last]
    chosen = data.draw(st.lists(st.integers(0, len(lists) - 1), max_size=9)) if lists else []
    assert as_lists(documents.take(np.array(chosen, np.int64))) == [lists[place] for place in chosen]
    which = np.array(data.draw(st.lists(st.booleans(), min_size=len(lists), max_size=len(lists))), bool)
    kept = [own for own, is_kept in zip(lists, which, strict=True) if is_kept]
    assert as_lists(documents.take(which)) == kept
    labels = np.arange(len(lists), dtype=np.int32)
    assert Examples(documents, labels).select(which).labels.tolist() == np.flatnonzero(which).tolist()


def test_a_slice_takes_documents_that_follow_one_another():
    with pytest.raises(ValueError, match="documents follow one another in a slice"):
        ragged([[1], [2], [3]])[::2]


def test_unknown_words_have_the_same_numbers_however_the_batches_are_cut():
    words = fit_vocabulary([pa.array(["a"])])
    texts = ["x a y", "y z", "x a", "w z"]

    def numbered(size):
        unknown = UnknownWords(words)
        labels = np.zeros(size, np.int32)
        batches = [(pa.array(texts[start : start + size]), labels) for start in range(0, 4, size)]
        return np.concatenate([documents.ids for documents, _ in unknown.number(batches)]).tolist(), unknown.words

    assert numbered(1) == numbered(2) == numbered(4) == ([2, 1, 3, 3, 4, 2, 1, 5, 4], ["x", "y", "z", "w"])


LABELS = np.array([0, 1, 0, 1], np.int32)
DOCUMENTS = TokenIds(np.arange(1, 10, dtype=np.int32), np.array([0, 3, 3, 8, 9], np.int64))


ABOUT = {"classes": ["bad", "good"], "origin": {"source": "films", "checksums": {"train": "ab"}}}


def part(first, last):
    offsets = DOCUMENTS.offsets[first : last + 1]
    return TokenIds(DOCUMENTS.ids[offsets[0] : offsets[-1]], offsets - offsets[0]), LABELS[first:last]


def same(found):
    assert np.array_equal(found.documents.ids, DOCUMENTS.ids)
    assert np.array_equal(found.documents.offsets, DOCUMENTS.offsets)
    assert np.array_equal(found.labels, LABELS)
    assert {"classes": found.classes, "origin": found.origin} == ABOUT
    assert (found.documents.ids.dtype, found.documents.offsets.dtype, found.labels.dtype) == (
        np.int32,
        np.int64,
        np.int32,
    )


@pytest.mark.parametrize("ending", ["parquet", "npz"])
def test_written_and_read(tmp_path, ending):
    path = tmp_path / f"train.{ending}"
    write_token_ids(path, [part(0, 3), part(3, 4)], **ABOUT)
    same(read_token_ids(path))
    first = path.read_bytes()
    write_token_ids(path, [part(0, 3), part(3, 4)], **ABOUT)
    assert path.read_bytes() == first
    write_token_ids(path, [], **ABOUT)
    empty = read_token_ids(path)
    assert (len(empty.documents), empty.documents.padded(3).shape, len(empty.labels)) == (0, (0, 3), 0)


def test_what_stands_in_the_parquet_file(tmp_path):
    write_token_ids(tmp_path / "train.parquet", [part(0, 3), part(3, 4)], **ABOUT)
    table = pq.read_table(tmp_path / "train.parquet")
    types = dict.fromkeys(["ids", "marks", "mark_places"], pa.list_(pa.int32()))
    types |= {"label": pa.int32(), "row": pa.int64(), "held_out": pa.bool_()}
    assert table.schema.equals(pa.schema(types))
    assert table.to_pydict() == {
        "ids": [[1, 2, 3], [], [4, 5, 6, 7, 8], [9]],
        "marks": [[]] * 4,
        "mark_places": [[]] * 4,
        "label": [0, 1, 0, 1],
        "row": [0, 1, 2, 3],
        "held_out": [False] * 4,
    }


@pytest.mark.parametrize("ending", ["parquet", "npz"])
def test_marks_are_read_where_they_are_asked_for(tmp_path, ending):
    documents = ragged([[-7, 1, 2, -9, -7], [], [3], [-5]])
    path = tmp_path / f"train.{ending}"
    write_token_ids(path, [(documents[:2], LABELS[:2]), (documents[2:], LABELS[2:])], **ABOUT)
    with_marks, without = (read_token_ids(path, marks=marks).documents for marks in (True, False))
    assert (with_marks.ids.tolist(), with_marks.offsets.tolist()) == (documents.ids.tolist(), [0, 5, 5, 6, 7])
    assert (without.ids.tolist(), without.offsets.tolist()) == ([1, 2, 3], [0, 2, 2, 3, 3])
    assert np.array_equal(with_marks.without_marks().ids, without.ids)


def test_a_larger_vocabulary_numbers_the_words_that_it_knows_anew():
    """Words beyond it keep their order; those whose spelling is not told come after all others."""
    small, large = (fit_vocabulary([pa.array([text])]) for text in ("a b", "a b c"))
    documents = TokenIds(np.array([1, 4, -7, 3, 5, 2], np.int32), np.array([0, 6]), pa.array(["x", "c"]))
    found = renumber(documents, small.rows, large)
    assert (small.rows, large.rows) == (3, 4)
    assert found.ids.tolist() == [1, 3, -7, 4, 5, 2]
    assert found.unknown.to_pylist() == ["x"]
    untold = renumber(TokenIds(documents.ids, documents.offsets), small.rows, large)
    assert untold.ids.tolist() == [1, 4, -7, 4, 4, 2]
    assert renumber(documents, large.rows, large) is documents


@pytest.mark.parametrize("ending", ["parquet", "npz"])
def test_the_validation_split_is_in_the_file(tmp_path, ending):
    held_out = np.array([False, True, False, True])
    write_token_ids(tmp_path / f"train.{ending}", [part(0, 3), part(3, 4)], **ABOUT, held_out=held_out)
    found = read_token_ids(tmp_path / f"train.{ending}")
    assert (found.held_out.dtype, found.held_out.tolist()) == (bool, held_out.tolist())
    same(found)


def test_a_folder_of_parts_reads_as_one(tmp_path):
    write_token_ids(tmp_path / "parts/0.parquet", [part(0, 2)], **ABOUT)
    write_token_ids(tmp_path / "parts/1.parquet", [part(2, 4)], **ABOUT)
    same(read_token_ids(tmp_path / "parts"))


@pytest.mark.parametrize("ending", ["parquet", "npz"])
def test_a_file_that_holds_no_token_ids(tmp_path, ending):
    path = tmp_path / f"train.{ending}"
    with pytest.raises(UserError, match="no such file; run `dvc repro` to make it"):
        read_token_ids(path)
    write_token_ids(path, [part(0, 4)], **ABOUT)
    whole = path.read_bytes()
    for content in (b"nothing of the kind", b"", whole[:-20], whole[:40]):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"not token ids, or damaged: .*; run `dvc repro`$"):
            read_token_ids(path)


def test_numpy_files_of_another_version_and_other_arrays(tmp_path):
    path = tmp_path / "train.npz"
    np.savez(path, details=np.array('{"version": 99}'), ids=DOCUMENTS.ids, offsets=DOCUMENTS.offsets, labels=LABELS)
    with pytest.raises(UserError, match="another version of flaxtext wrote it; run `dvc repro`"):
        read_token_ids(path)
    np.savez(path, ids=DOCUMENTS.ids.reshape(3, 3), labels=LABELS)  # as the last version wrote them
    with pytest.raises(UserError, match="not token ids, or damaged"):
        read_token_ids(path)
    with path.open("wb") as file:
        np.save(file, LABELS)
    with pytest.raises(UserError, match="not token ids, or damaged"):
        read_token_ids(path)


def test_an_unknown_ending(tmp_path):
    with pytest.raises(UserError, match=r"token ids go to \.parquet or \.npz"):
        write_token_ids(tmp_path / "train.csv", [], **ABOUT)


def test_the_words_that_the_vocabulary_lacks(tmp_path):
    write_unknown_words(tmp_path / "unknown.parquet", ["x", "ü"], 7)
    first, found = read_unknown_words(tmp_path / "unknown.parquet")
    assert (first, found.to_pylist()) == (7, ["x", "ü"])
    write_token_ids(tmp_path / "test.parquet", [part(0, 4)], **ABOUT)
    documents = read_token_ids(tmp_path / "test.parquet", tmp_path / "unknown.parquet").documents
    assert documents.unknown.to_pylist() == ["x", "ü"]
    write_unknown_words(tmp_path / "unknown.parquet", [], 7)
    first, found = read_unknown_words(tmp_path / "unknown.parquet")
    assert (first, found.to_pylist()) == (0, [])
