"""Nothing in train can see the test split, unless params.yaml says so; and what evaluate makes of several seeds."""

import json
import shlex
import sys
from importlib import import_module

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import PROJECT
from ruamel.yaml import YAML
from safetensors.numpy import load_file

from flaxtext.cli.set import edit
from flaxtext.config import params
from flaxtext.artifacts.bundle import load_bundle
from flaxtext.text import vectors

WORDS = {"cats": ["purr", "meow", "claw", "tail"], "dogs": ["bark", "bone", "fetch", "tail"]}
TEST_FILES = ("data/raw/test.parquet", "data/vectors/test.parquet")
STAGES = YAML(typ="safe").load(PROJECT / "dvc.yaml")["stages"]


def resolved(text, variant, validation_from="train"):
    """Fill in a line of dvc.yaml."""
    values = {"key": variant, "vectorize.format": "parquet", "train.validation_from": validation_from}
    for name, value in values.items():
        text = text.replace("${" + name + "}", value)
    assert "${" not in text
    return text


def run(monkeypatch, stage, variant="", **options):
    """Run a stage's script as its command in dvc.yaml does, in this process and folder."""
    command = shlex.split(resolved(STAGES[stage].get("do", STAGES[stage])["cmd"], variant, **options))
    assert command[:2] == ["python", f"stages/{stage}.py"]
    monkeypatch.setattr(sys, "argv", command[1:])
    module = import_module(f"stages.{stage}")
    if hasattr(module, "configure_jax"):
        monkeypatch.setattr(module, "configure_jax", lambda: None)
    module.main()


def write_split(path, seed, n, extra=()):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    classes = list(WORDS)
    texts = [" ".join([*rng.choice(WORDS[classes[label]], 4), *extra]) for label in labels]
    origin = json.dumps({"classes": classes, "source": "pets"})
    dictionary = pa.DictionaryArray.from_arrays(pa.array(labels, pa.int32()), pa.array(classes))
    table = pa.table({"text": pa.array(texts), "label": dictionary}).replace_schema_metadata({"flaxtext": origin})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with params.yaml and all that comes before train."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_bytes((PROJECT / "params.yaml").read_bytes())
    short = [f"variants.{name}.{key}" for name in params.load().variants for key in ("epochs=2", "batch_size=16")]
    edit(["vectorize.max_len=6", "train.validation=0.2", *short])
    write_split(tmp_path / "data/raw/train.parquet", seed=0, n=60)
    write_split(tmp_path / "data/raw/test.parquet", seed=1, n=20, extra=["unseen"])
    run(monkeypatch, "build_vocab")
    run(monkeypatch, "vectorize")
    return tmp_path


def outputs(folder, variant):
    """All bytes that train wrote."""
    paths = [*(folder / "data/models" / variant).iterdir()]
    paths += [folder / f"data/history/{variant}.csv", folder / f"data/validation/{variant}.json"]
    return {path.name: path.read_bytes() for path in paths}


def scrambled(path):
    table = pq.read_table(path)
    pq.write_table(table.take(pa.array(range(len(table) - 1, -1, -1))).slice(3), path)


def unreadable(path):
    path.write_bytes(b"nobody can read this")


def absent(path):
    path.unlink()


def test_no_line_of_train_names_the_test_split_by_default():
    stage = STAGES["train"]["do"]
    for line in [stage["cmd"], *stage["deps"], *stage["outs"], *stage["metrics"]]:
        assert "test" not in resolved(line, "sum_20")
    watching = [line for line in [stage["cmd"], *stage["deps"]] if "test" in resolved(line, "sum_20", "test")]
    assert watching == [stage["cmd"], "data/vectors/${train.validation_from}.${vectorize.format}"]


@pytest.mark.parametrize("variant", params.load(PROJECT / "params.yaml").variants)
def test_train_gives_the_same_bytes_whatever_the_test_split_is(project, monkeypatch, variant):
    run(monkeypatch, "train", variant)
    expected = outputs(project, variant)
    for damage in (scrambled, unreadable, absent):
        for name in TEST_FILES:
            damage(project / name)
        run(monkeypatch, "train", variant)
        assert outputs(project, variant) == expected


def test_the_vocabulary_and_the_vectors_of_train_come_from_train_alone(project, monkeypatch):
    names = ("data/vocab.parquet", "data/vectors/train.parquet")
    vocabulary, train = ((project / name).read_bytes() for name in names)
    write_split(project / "data/raw/test.parquet", seed=2, n=30, extra=["another", "another"])
    run(monkeypatch, "build_vocab")
    run(monkeypatch, "vectorize")
    assert ((project / names[0]).read_bytes(), (project / names[1]).read_bytes()) == (vocabulary, train)
    for damage in (unreadable, absent):
        damage(project / "data/raw/test.parquet")
        run(monkeypatch, "build_vocab")
        assert (project / "data/vocab.parquet").read_bytes() == vocabulary


def test_when_asked_to_they_do_look_at_it(project, monkeypatch):
    """So that the tests above can fail."""
    vocabulary = (project / "data/vocab.parquet").read_bytes()
    choosing = [f"variants.stems_32.{setting}" for setting in ("patience=null", "calibrate=false")]
    edit(["build_vocab.fit_on=[train,test]", "train.validation_from=test", *choosing])
    run(monkeypatch, "build_vocab")
    assert (project / "data/vocab.parquet").read_bytes() != vocabulary
    run(monkeypatch, "vectorize")
    run(monkeypatch, "train", "sum_20", validation_from="test")
    before = outputs(project, "sum_20")
    assert json.loads(before["config.json"])["data"]["validation_documents"] == 20
    scrambled(project / "data/vectors/test.parquet")
    run(monkeypatch, "train", "sum_20", validation_from="test")
    assert outputs(project, "sum_20")["sum_20.csv"] != before["sum_20.csv"]


@pytest.mark.parametrize("ensemble", [False, True])
def test_seeds_from_train_to_evaluate(project, monkeypatch, ensemble):
    run(monkeypatch, "train", "sum_20")
    alone = outputs(project, "sum_20")
    edit(["variants.sum_20.seeds=3", f"variants.sum_20.ensemble={str(ensemble).lower()}"])
    run(monkeypatch, "train", "sum_20")
    several = outputs(project, "sum_20")
    assert several["model.safetensors"] == alone["model.safetensors"]  # the first seed's, whatever comes after
    assert several["sum_20.csv"] == alone["sum_20.csv"]
    folder = project / "data/models/sum_20"
    members = [load_file(folder / f"model{end}.safetensors") for end in ("", "-2", "-3")]
    assert len({member["output.kernel"].tobytes() for member in members}) == 3
    figures = ["batch_loss", "train_loss", "validation_loss", "validation_accuracy"]
    assert list(json.loads(several["sum_20.json"])) == figures

    run(monkeypatch, "evaluate", "sum_20")
    metrics = json.loads((project / "metrics/sum_20.json").read_text())
    table = pq.read_table(project / "data/predictions/sum_20.parquet").to_pandas()
    test = table[table["split"] == "test"]
    by_seed = np.stack(test["by_seed"])
    assert by_seed.shape == (20, 3)
    runs = (by_seed == test["label"].to_numpy()[:, None]).mean(axis=0)
    assert metrics["seeds"]["runs"] == pytest.approx(runs, abs=1e-6)
    assert metrics["seeds"]["mean"] == pytest.approx(runs.mean(), abs=1e-6)
    assert metrics["seeds"]["std"] == pytest.approx(runs.std(ddof=1), abs=1e-6)

    each = load_bundle(folder, every_seed=True).each(vectors.read(project / "data/vectors/test.parquet").ids)
    assert np.array_equal(np.array(list(WORDS))[each.argmax(axis=2)].T, by_seed)
    answer = each.mean(axis=0) if ensemble else each[0]
    np.testing.assert_allclose(np.stack(test["probabilities"]), answer, rtol=1e-5)
    assert metrics["test"]["accuracy"] == pytest.approx((test["predicted"] == test["label"]).mean(), abs=1e-6)
    assert metrics["parameters"] == (3 if ensemble else 1) * sum(array.size for array in members[0].values())


def test_one_seed_has_no_spread(project, monkeypatch):
    for variant in ("sum_20", "linear"):
        run(monkeypatch, "train", variant)
        run(monkeypatch, "evaluate", variant)
        assert "seeds" not in json.loads((project / f"metrics/{variant}.json").read_text())
