"""Predictions of several variants as class numbers, and the stage that compares them."""

import importlib
import json
import sys

import numpy as np
import pytest
from conftest import PROJECT
from ruamel.yaml import YAML

from flaxtext.artifacts.predictions import Answers, largest_class, read_predictions, write_predictions
from flaxtext.compare.judged import Judged
from flaxtext.core.errors import UserError

CLASSES = ["a", "b", "c", "d", "e"]


def write(folder, name, labels, predicted, by_seed=None, classes=CLASSES):
    """Write predictions of the test split; the last document is of train."""
    numbers = {name: number for number, name in enumerate(classes)}
    n = len(labels)
    seeds = [[numbers[answer] for answer in seed] for seed in (by_seed or [predicted])]
    numbered = np.array([numbers[label] for label in labels], np.int32)
    probabilities = np.eye(len(classes))[[numbers[answer] for answer in predicted]]
    write_predictions(
        folder / f"{name}.parquet",
        classes=classes,
        splits=np.array(["test"] * (n - 1) + ["train"], object),
        rows=np.arange(n),
        labels=numbered,
        answers=Answers.of(probabilities, numbered, np.array(seeds)),
    )
    return read_predictions(folder / f"{name}.parquet")


def test_the_test_split_alone_is_judged(tmp_path):
    one = write(tmp_path, "one", ["b", "a", "b", "b"], ["b", "b", "c", "b"])
    two = write(tmp_path, "two", ["b", "a", "b", "b"], ["b", "a", "a", "c"])
    judged = Judged.of({"one": one, "two": two})
    assert judged.labels.tolist() == [1, 0, 1]
    assert {name: answers.tolist() for name, answers in judged.predicted.items()} == {
        "one": [1, 1, 2],
        "two": [1, 0, 0],
    }
    assert judged.n_classes == 5
    assert judged.by_seed == {}


def test_what_each_seed_predicted(tmp_path):
    own = write(tmp_path, "one", ["b", "a", "b"], ["b", "b", "a"], [["b", "a", "a"], ["b", "d", "e"]])
    judged = Judged.of({"one": own})
    assert judged.labels.tolist() == [1, 0]  # of a, b, d
    assert judged.by_seed["one"].tolist() == [[1, 0], [1, 2]]


def test_classes_go_by_their_names_where_their_order_differs(tmp_path):
    one = write(tmp_path, "one", ["c", "a", "c"], ["c", "c", "a"], classes=["a", "c"])
    two = write(tmp_path, "two", ["c", "a", "c"], ["b", "a", "a"], classes=["c", "b", "a"])
    judged = Judged.of({"one": one, "two": two})
    assert judged.labels.tolist() == [2, 0]  # of a, b, c
    assert judged.predicted["one"].tolist() == [2, 2]
    assert judged.predicted["two"].tolist() == [1, 0]
    assert judged.n_classes == 3


def test_the_largest_class_is_that_of_train(tmp_path):
    splits = np.array(["test", "test", "train", "validation", "train", "train"], object)
    labels = np.array([0, 0, 2, 1, 1, 2], np.int32)
    write_predictions(
        tmp_path / "one.parquet",
        classes=CLASSES,
        splits=splits,
        rows=np.arange(6),
        labels=labels,
        answers=Answers.of(np.eye(5)[labels], labels, labels[None]),
    )
    assert largest_class(tmp_path / "one.parquet") == "b"  # as many as c, which comes later
    with (tmp_path / "one.parquet").open("rb") as file:
        own = read_predictions(file)
        assert largest_class(file) == "b"
    judged = Judged.of({"one": own, "two": own}, {"one": "b", "two": None})
    assert judged.labels.tolist() == [0, 0]
    assert judged.majority == {"one": 1}  # of a, b


@pytest.fixture
def stage(tmp_path, monkeypatch):
    """The stage, in a folder of its own, with two variants."""
    values = YAML(typ="safe").load(PROJECT / "params.yaml")
    values["variants"] = {name: {"pooling": "max", "embed_dim": 1} for name in ("one", "two")}
    values["compare"]["resamples"] = 100
    YAML().dump(values, tmp_path / "params.yaml")
    arguments = ["--predictions", ".", "--metrics", "comparison.json", "--accuracy", "accuracy.csv"]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["compare", *arguments])
    monkeypatch.syspath_prepend(PROJECT / "stages")
    monkeypatch.delitem(sys.modules, "compare", raising=False)
    return importlib.import_module("compare").main


def test_the_stage_writes_figures_and_says_them(tmp_path, stage, capsys):
    write(tmp_path, "one", ["b", "a", "b", "b"], ["b", "b", "c", "b"])
    write(tmp_path, "two", ["b", "a", "b", "b"], ["b", "a", "a", "b"], [["b", "a", "a", "b"], ["b", "a", "b", "b"]])
    stage()
    written = json.loads((tmp_path / "comparison.json").read_text(encoding="utf-8"))
    assert (written["documents"], written["confidence"]) == (3, 0.95)
    assert list(written["variants"]) == ["two", "one"]
    assert written["variants"]["two"]["seeds"]["runs"] == [0.666667, 1.0]
    assert "seeds" not in written["variants"]["one"]
    assert written["majority"] == {"class": "b", "accuracy": 0.666667}  # of the document of train
    assert [own["better_than_majority"] for own in written["variants"].values()] == [False, False]
    [pair] = written["pairs"]
    assert pair["says"].startswith("no difference shown between two and one")
    header, *rows = (tmp_path / "accuracy.csv").read_text().splitlines()
    assert header == "variant,accuracy,low,high"
    assert [row.split(",")[:2] for row in rows] == [["two", "0.833333"], ["one", "0.333333"]]
    printed = capsys.readouterr().out
    assert pair["says"] in printed
    assert "  not shown to be better than always answering b (66.7%)" in printed


def test_the_stage_refuses_predictions_of_another_split(tmp_path, stage):
    write(tmp_path, "one", ["b", "a", "b"], ["b", "b", "b"])
    write(tmp_path, "two", ["b", "b", "b"], ["b", "a", "b"])
    with pytest.raises(UserError, match=r"two\.parquet: not of the same test split as one; run `dvc repro`$"):
        stage()
