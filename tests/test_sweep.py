"""A sweep tries what it was told to, refuses what cannot be, and ranks by validation."""

import json
import subprocess

import pytest
from conftest import PROJECT

from flaxtext.cli import sweep
from flaxtext.cli.set import edit
from flaxtext.core.errors import UserError


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_bytes((PROJECT / "params.yaml").read_bytes())


def test_the_grid_holds_each_combination_once_in_the_same_shuffled_order():
    settings = sweep.grid("sum_20", ["embed_dim=5,6,7", "learning_rate=0.1,0.2"])
    assert sorted(tuple(setting.values()) for setting in settings) == [(d, r) for d in "567" for r in ("0.1", "0.2")]
    assert settings == sweep.grid("sum_20", ["embed_dim=5,6,7", "learning_rate=0.1,0.2"])
    assert [setting["embed_dim"] for setting in settings] != sorted(setting["embed_dim"] for setting in settings)


@pytest.mark.parametrize(
    ("variant", "value", "message"),
    [
        ("sum", "embed_dim=5", "variants: no 'sum'; there are"),
        ("sum_20", "embed_dim", "'embed_dim': expected KEY=VALUE,VALUE"),
        ("sum_20", "embed_dims=5", "variants.sum_20.embed_dims: unknown key; did you mean embed_dim?"),
        ("sum_20", "learning_rate=0.1,-1", "variants.sum_20.learning_rate: expected greater than 0, got -1"),
        ("linear", "embed_dim=5", "variants.linear.embed_dim: unknown key"),
        ("sum_20", "validation=0.1", "validation: unknown key; it is now vectorize.validation, for all variants"),
        ("sum_20", "seed=1,2", "seed: the best of several is luck and no setting"),
    ],
)
def test_a_wrong_value_is_refused_before_any_training(variant, value, message):
    with pytest.raises(UserError) as refused:
        sweep.grid(variant, [value])
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("assignment", ["train.validation_from=test", "vectorize.validation=0.0"])
def test_it_never_chooses_by_the_test_split_or_by_nothing(assignment):
    choosing = [f"train.{setting}" for setting in ("patience=null", "calibrate=false")]
    edit([assignment, *choosing])
    with pytest.raises(UserError, match=r"a sweep chooses by validation; set validation_from: train"):
        sweep.grid("sum_20", ["embed_dim=5"])


def test_the_ranking_is_by_validation_accuracy_then_loss(monkeypatch):
    def shown(name, accuracy, loss):
        figures = {"data": {"validation_accuracy": accuracy, "validation_loss": loss}}
        return {"name": name, "revs": [{"data": {"metrics": {"data/validation/sum_20.json": figures}}}]}

    other = {"name": "other", "revs": [{"data": None}]}  # queued, or failed
    experiments = [
        other,
        shown("worst", 0.5, 0.1),
        shown("second", 0.9, 0.4),
        shown("best", 0.9, 0.3),
        shown("older", 1, 0),
    ]
    answer = json.dumps([{"experiments": None}, {"experiments": experiments}])
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 0, stdout=answer))
    table = sweep.ranking("sum_20", {"worst": {}, "second": {"embed_dim": "5"}, "best": {"embed_dim": "6"}})
    assert list(table.index) == ["best", "second", "worst"]
    assert list(table["embed_dim"]) == ["6", "5", "20"]
