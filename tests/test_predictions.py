"""Predictions: what a variant and each of its seeds answered, by split."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from flaxtext.artifacts.predictions import TOP, Answers, highest, read_predictions, write_predictions
from flaxtext.core.errors import UserError

CLASSES = ["a", "b", "c"]
PROBABILITIES = np.float32([[0.2, 0.5, 0.3], [0.6, 0.3, 0.1], [0.1, 0.2, 0.7], [0.3, 0.4, 0.3]])
SPLITS = np.array(["train", "test", "validation", "test"], object)


def write(path, **changes):
    values = {
        "classes": CLASSES,
        "splits": SPLITS,
        "rows": np.array([0, 1, 1, 0]),
        "labels": np.array([1, 0, 2, 2], np.int32),
        "probabilities": PROBABILITIES,
        "by_seed": np.array([[1, 0, 2, 1], [1, 2, 2, 0]]),
        **changes,
    }
    answers = Answers.of(values.pop("probabilities"), values["labels"], values.pop("by_seed"))
    write_predictions(path, answers=answers, **values)
    return path


def test_one_split_is_read_in_the_order_of_its_rows(tmp_path):
    found = read_predictions(write(tmp_path / "v.parquet"))
    assert found.classes == CLASSES
    assert found.rows.tolist() == [0, 1]
    assert found.labels.tolist() == [2, 0]
    assert found.predicted.tolist() == [1, 0]
    assert np.array_equal(found.probabilities, PROBABILITIES[[3, 1]])
    assert found.by_seed.tolist() == [[1, 0], [0, 2]]
    assert found.top is None
    assert np.array_equal(found.confidence, np.float32([0.4, 0.6]))
    assert np.array_equal(found.label_probability, np.float32([0.3, 0.6]))
    assert (found.labels.dtype, found.predicted.dtype, found.probabilities.dtype) == (np.int32, np.int32, np.float32)
    assert read_predictions(tmp_path / "v.parquet", "train").labels.tolist() == [1]
    assert read_predictions(tmp_path / "v.parquet", "validation").rows.tolist() == [1]


def test_a_split_without_documents(tmp_path):
    found = read_predictions(write(tmp_path / "v.parquet", splits=np.array(["train"] * 4, object)))
    assert (len(found.rows), found.probabilities.shape, found.by_seed.shape) == (0, (0, 3), (2, 0))


def test_an_open_file_is_read_as_well(tmp_path):
    found = read_predictions(io.BytesIO(write(tmp_path / "v.parquet").read_bytes()))
    assert found.predicted.tolist() == [1, 0]


def test_what_stands_in_the_file(tmp_path):
    table = pq.read_table(write(tmp_path / "v.parquet"))
    assert table.schema.equals(
        pa.schema(
            {
                "row": pa.int64(),
                "split": pa.string(),
                "label": pa.string(),
                "predicted": pa.string(),
                "probabilities": pa.list_(pa.float32(), 3),
                "by_seed": pa.list_(pa.string(), 2),
            }
        )
    )
    assert table.slice(1, 1).to_pylist()[0] == {
        "row": 1,
        "split": "test",
        "label": "a",
        "predicted": "a",
        "probabilities": PROBABILITIES[1].tolist(),
        "by_seed": ["a", "c"],
    }


def test_the_same_split_or_another(tmp_path):
    one = read_predictions(write(tmp_path / "one.parquet"))
    assert one.is_of_the_same_split(
        read_predictions(write(tmp_path / "two.parquet", probabilities=PROBABILITIES[::-1]))
    )
    for changes in (
        {"labels": np.array([1, 0, 2, 0], np.int32)},
        {"rows": np.array([0, 2, 1, 0])},
        {"splits": np.array(["train", "test", "test", "test"], object)},
        {"classes": ["a", "b", "d"]},
    ):
        assert not one.is_of_the_same_split(read_predictions(write(tmp_path / "two.parquet", **changes)))


@pytest.mark.parametrize("column", ["row", "predicted", "by_seed"])
def test_further_columns_and_another_order_of_them_change_nothing(tmp_path, column):
    path = write(tmp_path / "v.parquet")
    before = read_predictions(path)
    table = pq.read_table(path)
    moved = table.drop_columns([column]).append_column(table.field(column), table[column])
    pq.write_table(moved.append_column("note", pa.array(["x"] * 4)), path)
    found = read_predictions(path)
    assert found.is_of_the_same_split(before)
    assert np.array_equal(found.by_seed, before.by_seed)


def test_own_columns_stand_beside_the_answers_of_their_documents(tmp_path):
    kept = [
        pa.record_batch({"id": ["1", None], "lang": ["en", "de"]}),
        pa.record_batch({"id": ["3"], "lang": ["fr"]}),
        pa.record_batch({"id": ["4"], "lang": ["it"]}),
    ]
    path = write(tmp_path / "v.parquet", kept=iter(kept))
    alone = write(tmp_path / "alone.parquet")
    found, without = pq.read_table(path), pq.read_table(alone)
    assert found.select(["id", "lang"]).to_pydict() == {"id": ["1", None, "3", "4"], "lang": ["en", "de", "fr", "it"]}
    assert found.drop_columns(["id", "lang"]).equals(without)
    assert found.schema.metadata == without.schema.metadata
    assert read_predictions(path).is_of_the_same_split(read_predictions(alone))
    with pytest.raises(UserError, match="4 documents, but 3 rows of own columns; run `dvc repro`"):
        write(tmp_path / "short.parquet", kept=iter(kept[:2]))
    with pytest.raises(UserError, match="4 documents, but 6 rows of own columns"):
        write(tmp_path / "long.parquet", kept=iter([*kept, kept[0]]))
    assert not (tmp_path / "short.parquet").exists()


def test_of_many_classes_the_highest_probabilities_and_the_labels_are_kept(tmp_path):
    classes, labels = [f"c{i}" for i in range(300)], np.array([7, 299, 3, 150], np.int32)
    probabilities = np.random.default_rng(0).dirichlet(np.ones(300), 4).astype(np.float32)
    probabilities[3] = 1 / 300  # as likely as each other: the first are kept
    by_seed = np.stack([probabilities.argmax(axis=1), labels])
    path = write(tmp_path / "v.parquet", classes=classes, labels=labels, probabilities=probabilities, by_seed=by_seed)
    table = pq.read_table(path)
    assert table.schema.names == [
        *("row", "split", "label", "predicted"),
        *("top_classes", "top_probabilities", "label_probability", "by_seed"),
    ]
    assert table["top_classes"][0].as_py()[0] == table["predicted"][0].as_py()
    assert table["label_probability"].to_pylist() == probabilities[np.arange(4), labels].tolist()
    found = read_predictions(path)
    whole = probabilities[[3, 1]]
    assert found.labels.tolist() == [150, 299]
    assert found.predicted.tolist() == whole.argmax(axis=1).tolist()
    assert found.top.tolist() == np.argsort(-whole, axis=1, kind="stable")[:, :TOP].tolist()
    assert found.top[0].tolist() == list(range(TOP))
    assert np.array_equal(found.probabilities, -np.sort(-whole, axis=1)[:, :TOP])
    assert np.array_equal(found.confidence, whole.max(axis=1))
    assert np.array_equal(found.label_probability, whole[[0, 1], [150, 299]])
    assert found.by_seed.tolist() == by_seed[:, [3, 1]].tolist()


@pytest.mark.parametrize("classes", [3, 150])
def test_answers_in_parts_are_those_of_the_whole(classes):
    rng = np.random.default_rng(0)
    probabilities, labels = rng.dirichlet(np.ones(classes), 30), rng.integers(0, classes, 30)
    by_seed = rng.integers(0, classes, (2, 30))
    whole = Answers.of(probabilities, labels, by_seed)
    cuts = [slice(0, 10), slice(10, 11), slice(11, 30)]
    joined = Answers.join([Answers.of(probabilities[cut], labels[cut], by_seed[:, cut]) for cut in cuts])
    for name, value in vars(whole).items():
        np.testing.assert_array_equal(vars(joined)[name], value)
    which = labels % 2 == 0
    assert np.array_equal(whole.select(which).label_probability, whole.label_probability[which])
    assert np.array_equal(whole.select(which).by_seed, by_seed[:, which])


@given(hnp.arrays(np.float32, (3, 40), elements=st.sampled_from([0, 1e-30, 0.25, 0.5, 1])), st.integers(1, 50))
def test_the_highest_are_those_of_a_stable_sort(values, k):
    assert np.array_equal(highest(values, k), np.argsort(-values, axis=1, kind="stable")[:, :k])
