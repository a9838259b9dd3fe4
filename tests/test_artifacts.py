"""The files that stages exchange: each says what it is, and no other is taken for it."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flaxtext.artifacts import corpus, importance, predictions, token_ids, vocabulary
from flaxtext.artifacts.corpus import Corpus, open_corpus
from flaxtext.artifacts.importance import Importance, read_importance, write_importance
from flaxtext.artifacts.metrics import (
    read_json,
    rounded,
    write_accuracies,
    write_class_scores,
    write_confusion,
    write_json,
)
from flaxtext.artifacts.predictions import Answers, read_predictions, write_predictions
from flaxtext.artifacts.pretrained import Pretrained, read_pretrained, write_pretrained
from flaxtext.artifacts.token_ids import (
    read_token_ids,
    read_unknown_words,
    write_token_ids,
    write_unknown_words,
)
from flaxtext.artifacts.vocabulary import read_vocabulary, write_vocabulary
from flaxtext.core.errors import UserError
from flaxtext.text.token_ids import TokenIds
from flaxtext.text.vocabulary import fit_vocabulary

CLASSES = ["cats", "dogs"]


def a_corpus(path, texts=("purr", "bark", "purr"), labels=(0, 1, 0)):
    label = pa.DictionaryArray.from_arrays(pa.array(labels, pa.int32()), CLASSES)
    with open_corpus(path, classes=CLASSES, source="animals", checksums={"train": "ab"}) as writer:
        writer.write_batch(pa.record_batch([pa.array(texts, pa.string()), label], schema=corpus.SCHEMA))


def some_token_ids(path):
    documents = TokenIds(np.arange(1, 4, dtype=np.int32), np.array([0, 2, 3], np.int64))
    write_token_ids(path, [(documents, np.array([0, 1], np.int32))], classes=CLASSES, origin={"source": "animals"})


def some_predictions(path):
    numbers = np.array([0, 1], np.int32)
    write_predictions(
        path,
        classes=CLASSES,
        splits=np.array(["test"] * 2, object),
        rows=np.arange(2),
        labels=numbers,
        answers=Answers.of(np.eye(2), numbers),
    )


def some_importance(path):
    classes, weights = np.array([[0, 1], [1, 0]], np.int32), np.float32([[0.5, -0.25], [0.125, 0]])
    write_importance(path, Importance(["purr", "bark"], np.array([2, 1]), classes, weights))


FILES = {
    "corpus": (corpus.FORMAT, a_corpus, lambda path: list(Corpus(path).texts_and_labels())),
    "vocabulary": (
        vocabulary.FORMAT,
        lambda path: write_vocabulary(path, fit_vocabulary([pa.array(["purr bark"])])),
        read_vocabulary,
    ),
    "token ids": (token_ids.FORMAT, some_token_ids, read_token_ids),
    "unknown words": (token_ids.UNKNOWN, lambda path: write_unknown_words(path, ["x"], 3), read_unknown_words),
    "predictions": (predictions.FORMAT, some_predictions, read_predictions),
    "importance": (importance.FORMAT, some_importance, read_importance),
}


def refused(read, path):
    with pytest.raises(UserError) as error:
        read(path)
    message = str(error.value)
    assert message.startswith(str(path))
    assert message.isprintable()
    assert len(message) < 600
    return message


@pytest.fixture(params=FILES)
def kind(request):
    return FILES[request.param]


def restamp(path, **said):
    table = pq.read_table(path)
    pq.write_table(table.replace_schema_metadata({"flaxtext": json.dumps(said)}), path, compression="none")


def test_each_says_what_it_is(kind, tmp_path):
    form, write, read = kind
    write(tmp_path / "a.parquet")
    said = json.loads(pq.read_schema(tmp_path / "a.parquet").metadata[b"flaxtext"])
    assert (said["format"], said["version"]) == (form.name, form.version)
    read(tmp_path / "a.parquet")
    first = (tmp_path / "a.parquet").read_bytes()
    write(tmp_path / "a.parquet")
    assert (tmp_path / "a.parquet").read_bytes() == first


def test_each_refuses_another_version_in_one_line(kind, tmp_path):
    form, write, read = kind
    write(tmp_path / "a.parquet")
    restamp(tmp_path / "a.parquet", format=form.name, version=99)
    assert refused(read, tmp_path / "a.parquet").endswith(
        f"not {form.name} of version {form.version}, but of version 99: another version of flaxtext wrote it; "
        "run `dvc repro`"
    )


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        {"flaxtext": "[1, 2]"},
        {"flaxtext": "7"},
        {"flaxtext": "{"},
        {"flaxtext": "[" * 100_000},
        {"flaxtext": "{}"},
        {"flaxtext": b"\xff"},
        {"flaxtext": '{"format": "recipes", "version": 1}'},
    ],
)
def test_each_refuses_what_others_write_in_one_line(kind, tmp_path, metadata):
    form, write, read = kind
    write(tmp_path / "a.parquet")
    table = pq.read_table(tmp_path / "a.parquet").replace_schema_metadata(metadata)
    pq.write_table(table, tmp_path / "a.parquet", compression="none", store_schema=False)
    assert f"not {form.name} of version {form.version}" in refused(read, tmp_path / "a.parquet")


def test_an_odd_version_is_still_one_line(kind, tmp_path):
    form, write, read = kind
    write(tmp_path / "a.parquet")
    restamp(tmp_path / "a.parquet", format=form.name, version="1\n2\x1b[31m" * 100)
    refused(read, tmp_path / "a.parquet")


def test_each_refuses_the_others(kind, tmp_path):
    form, _, read = kind
    for other, write, _ in FILES.values():
        if other != form:
            write(tmp_path / "a.parquet")
            refused(read, tmp_path / "a.parquet")


def test_each_refuses_a_damaged_file_in_one_line(kind, tmp_path):
    _, write, read = kind
    path = tmp_path / "a.parquet"
    assert refused(read, path).endswith("no such file; run `dvc repro` to make it")
    write(path)
    whole = path.read_bytes()
    for damaged in (b"", b"PAR1", whole[: len(whole) // 2], whole[:-1], b"text\n" * 100):
        path.write_bytes(damaged)
        refused(read, path)


def test_pages_that_are_damaged_are_one_line_for_a_corpus_that_is_read_by_and_by(tmp_path):
    path = tmp_path / "train.parquet"
    a_corpus(path, [f"text {number}" for number in range(1000)], [0] * 1000)
    whole = bytearray(path.read_bytes())
    whole[4:400] = b"\xff" * 396
    path.write_bytes(whole)
    assert "not corpus, or damaged" in refused(lambda path: list(Corpus(path).texts()), path)


def test_a_folder_of_parts_reads_as_one(tmp_path):
    a_corpus(tmp_path / "train/0.parquet")
    a_corpus(tmp_path / "train/1.parquet", ["tweet"], [1])
    found = Corpus(tmp_path / "train")
    assert len(found) == 4
    assert found.classes == CLASSES
    assert found.origin == {"source": "animals", "checksums": {"train": "ab"}}
    assert pa.concat_arrays(list(found.texts())).to_pylist() == ["purr", "bark", "purr", "tweet"]
    assert np.concatenate([labels for _, labels in found.texts_and_labels()]).tolist() == [0, 1, 0, 1]
    assert found.take({3, 1}) == {1: "bark", 3: "tweet"}
    for form, write, _ in FILES.values():
        if form.name in ("predictions", "importance of words", "unknown words"):
            for part in range(2):
                write(tmp_path / form.name / f"{part}.parquet")
            assert len(form.read(tmp_path / form.name)) == 2 * len(form.read(tmp_path / form.name / "0.parquet"))


def test_importance(tmp_path):
    some_importance(tmp_path / "v.parquet")
    found = read_importance(tmp_path / "v.parquet")
    assert found.words == ["purr", "bark"]
    assert found.documents.tolist() == [2, 1]
    assert np.array_equal(found.classes, [[0, 1], [1, 0]])
    assert np.array_equal(found.weights, [[0.5, -0.25], [0.125, 0]])
    assert found.of_class(1) == {"purr": -0.25, "bark": 0.125}


def test_pretrained_vectors_of_another_version(tmp_path, monkeypatch):
    write_pretrained(tmp_path / "p.safetensors", Pretrained(np.array([1], np.int32), np.float32([[1, 2]])))
    monkeypatch.setattr("flaxtext.artifacts.pretrained.METADATA", {"format": "pretrained vectors", "version": "99"})
    assert refused(read_pretrained, tmp_path / "p.safetensors").endswith(
        "another version of flaxtext wrote it; run `dvc repro`"
    )


def test_json_is_unix_utf8_and_refuses_what_is_not_a_number(tmp_path):
    write_json(tmp_path / "a.json", {"ü": 0.5})
    assert (tmp_path / "a.json").read_bytes() == '{\n  "ü": 0.5\n}\n'.encode()
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"loss": float("nan")})
    assert read_json(tmp_path / "a.json") == {"ü": 0.5}


def test_no_json(tmp_path):
    with pytest.raises(UserError, match=r"a\.json: no such file; run `dvc repro` to make it$"):
        read_json(tmp_path / "a.json")
    for content in (b"{", b"\xff"):
        (tmp_path / "a.json").write_bytes(content)
        with pytest.raises(UserError, match=r"a\.json: not JSON; run `dvc repro` to make it anew$"):
            read_json(tmp_path / "a.json")


def test_rounded():
    assert rounded({"a": [1 / 3, {"b": None, "c": 1}], "d": "x", "e": None}) == {"a": [0.333333, {"c": 1}], "d": "x"}


def test_plots(tmp_path):
    write_confusion(tmp_path / "confusion.csv", [("cats", "dogs"), ('a "b", c', "dogs")])
    assert (tmp_path / "confusion.csv").read_text() == 'label,predicted\ncats,dogs\n"a ""b"", c",dogs\n'
    figures = {"precision": 0.5, "recall": 1.0, "f1": 0.666667, "support": 12345678}
    write_class_scores(tmp_path / "scores.csv", [("test", "cats, or so", figures)])
    assert (tmp_path / "scores.csv").read_text() == (
        'split,class,precision,recall,f1,support\ntest,"cats, or so",0.5,1.0,0.666667,12345678\n'
    )
    write_accuracies(tmp_path / "accuracy.csv", [("one", 0.5, 0.25, 0.75)])
    assert (tmp_path / "accuracy.csv").read_text() == "variant,accuracy,low,high\none,0.500000,0.250000,0.750000\n"
