"""Stages in this process, on a small corpus: nothing in train can see the test split, unless params.yaml says so; what
evaluate makes of several seeds; and users' answers, on NumPy, are those that evaluate judged."""

import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from commands import STAGES, resolved, run_here
from conftest import PROJECT
from safetensors.numpy import load_file

import flaxtext
from flaxtext.artifacts.bundle import read_bundle
from flaxtext.artifacts.corpus import open_corpus
from flaxtext.artifacts.token_ids import read_token_ids
from flaxtext.cli.set import edit
from flaxtext.config import variant_names
from flaxtext.model import prediction

WORDS = {"cats": ["purr", "meow", "claw", "tail"], "dogs": ["bark", "bone", "fetch", "tail"]}
TEST_FILES = ("data/raw/test.parquet", "data/token_ids/test.parquet", "data/token_ids/unknown.parquet")
ALIKE = ("average_20", "flatten_20")
"""Variants that take the same way through the code as another that is tested."""
VARIANTS = [
    pytest.param(name, marks=pytest.mark.slow if name in ALIKE else ())
    for name in variant_names(PROJECT / "params.yaml")
]


def write_corpus(path, seed, n, extra=()):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n).astype(np.int32)
    classes = list(WORDS)
    texts = [" ".join([*rng.choice(WORDS[classes[label]], rng.integers(0, 9)), *extra]) for label in labels]
    path.parent.mkdir(parents=True, exist_ok=True)
    with open_corpus(path, classes=classes, source="pets") as writer:
        codes = pa.DictionaryArray.from_arrays(pa.array(labels), pa.array(classes))
        writer.write_table(pa.table({"text": texts, "label": codes}))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A folder with params.yaml and all that comes before train; some documents are empty, some are cut."""
    folder = tmp_path_factory.mktemp("prepared")
    (folder / "params.yaml").write_bytes((PROJECT / "params.yaml").read_bytes())
    short = ("epochs=2", "batch_size=16", "min_steps=0")
    names = variant_names(folder / "params.yaml")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(folder)
        edit(["train.max_len=6", "vectorize.validation=0.2"])
        edit([f"variants.{name}.{setting}" for name in names for setting in short])
        write_corpus(folder / "data/raw/train.parquet", seed=0, n=60)
        write_corpus(folder / "data/raw/test.parquet", seed=1, n=20, extra=["unseen"])
        (folder / "data/checks").mkdir()
        (folder / "data/checks/passed").touch()
        run_here(monkeypatch, "build_vocab")
        run_here(monkeypatch, "vectorize")
    return folder


@pytest.fixture
def project(prepared, tmp_path, monkeypatch):
    """A copy of it, which is the folder that the test works in."""
    shutil.copytree(prepared, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def outputs(folder, variant):
    """All bytes that train wrote."""
    paths = [*(folder / "data/models" / variant).iterdir()]
    paths += [folder / f"data/history/{variant}.csv", folder / f"data/validation/{variant}.json"]
    return {path.name: path.read_bytes() for path in paths}


def scrambled(path):
    table = pq.read_table(path)
    pq.write_table(table.take(pa.array(range(len(table) - 1, -1, -1))).slice(min(3, len(table))), path)


def unreadable(path):
    path.write_bytes(b"cannot be read")


def absent(path):
    path.unlink()


def test_no_line_of_train_names_the_test_split_by_default():
    stage = STAGES["train"]
    for line in [stage["cmd"], *stage["deps"], *stage["outs"], *stage["metrics"]]:
        assert "test" not in resolved(line, "sum_20")
    watching = [line for line in [stage["cmd"], *stage["deps"]] if "test" in resolved(line, "sum_20", "test")]
    assert watching == [stage["cmd"], "data/token_ids/${train.validation_from}.${vectorize.format}"]


@pytest.mark.parametrize("variant", VARIANTS)
def test_train_gives_the_same_bytes_whatever_the_test_split_is(project, monkeypatch, variant):
    run_here(monkeypatch, "train", variant)
    expected = outputs(project, variant)
    for damage in (scrambled, unreadable, absent):
        for name in TEST_FILES:
            damage(project / name)
        run_here(monkeypatch, "train", variant)
        assert outputs(project, variant) == expected


def test_the_vocabulary_and_the_token_ids_of_train_come_from_train_alone(project, monkeypatch):
    names = ("data/vocab.parquet", "data/token_ids/train.parquet")
    before = [(project / name).read_bytes() for name in names]
    write_corpus(project / "data/raw/test.parquet", seed=2, n=30, extra=["another", "another"])
    run_here(monkeypatch, "build_vocab")
    run_here(monkeypatch, "vectorize")
    assert [(project / name).read_bytes() for name in names] == before
    for damage in (unreadable, absent):
        damage(project / "data/raw/test.parquet")
        run_here(monkeypatch, "build_vocab")
        assert (project / "data/vocab.parquet").read_bytes() == before[0]


def test_when_asked_to_they_do_look_at_it(project, monkeypatch):
    """So that the tests above can fail."""
    vocabulary = (project / "data/vocab.parquet").read_bytes()
    choosing = [f"train.{setting}" for setting in ("patience=null", "calibrate=false")]
    edit(["build_vocab.fit_on=[train,test]", "train.validation_from=test", *choosing])
    run_here(monkeypatch, "build_vocab")
    assert (project / "data/vocab.parquet").read_bytes() != vocabulary
    run_here(monkeypatch, "vectorize")
    run_here(monkeypatch, "train", "sum_20", validation_from="test")
    before = outputs(project, "sum_20")
    assert json.loads(before["config.json"])["data"]["validation_documents"] == 20
    scrambled(project / "data/token_ids/test.parquet")
    run_here(monkeypatch, "train", "sum_20", validation_from="test")
    assert outputs(project, "sum_20")["sum_20.csv"] != before["sum_20.csv"]


@pytest.mark.parametrize("ensemble", [False, True])
def test_seeds_from_train_to_evaluate(project, monkeypatch, ensemble):
    run_here(monkeypatch, "train", "sum_20")
    alone = outputs(project, "sum_20")
    edit(["variants.sum_20.seeds=3", f"variants.sum_20.ensemble={str(ensemble).lower()}"])
    run_here(monkeypatch, "train", "sum_20")
    several = outputs(project, "sum_20")
    assert several["model.safetensors"] == alone["model.safetensors"]  # the first seed's, whatever comes after
    assert several["sum_20.csv"] == alone["sum_20.csv"]
    folder = project / "data/models/sum_20"
    members = [load_file(folder / f"model{end}.safetensors") for end in ("", "-2", "-3")]
    assert len({member["output.kernel"].tobytes() for member in members}) == 3
    figures = ["batch_loss", "train_loss", "validation_loss", "validation_accuracy"]
    assert list(json.loads(several["sum_20.json"])) == figures

    run_here(monkeypatch, "evaluate", "sum_20")
    metrics = json.loads((project / "metrics/sum_20.json").read_text())
    table = pq.read_table(project / "data/predictions/sum_20.parquet").to_pandas()
    test = table[table["split"] == "test"]
    by_seed = np.stack(test["by_seed"])
    assert by_seed.shape == (20, 3)
    runs = (by_seed == test["label"].to_numpy()[:, None]).mean(axis=0)
    assert metrics["seeds"]["runs"] == pytest.approx(runs, abs=1e-6)
    assert metrics["seeds"]["mean"] == pytest.approx(runs.mean(), abs=1e-6)
    assert metrics["seeds"]["std"] == pytest.approx(runs.std(ddof=1), abs=1e-6)

    model = read_bundle(folder, every_seed=True)
    each = model.each(model.cut(read_token_ids(project / "data/token_ids/test.parquet").documents))
    assert np.array_equal(np.array(list(WORDS))[each.argmax(axis=2)].T, by_seed)
    answer = each.mean(axis=0) if ensemble else each[0]
    np.testing.assert_allclose(np.stack(test["probabilities"]), answer, rtol=1e-5)
    assert metrics["test"]["accuracy"] == pytest.approx((test["predicted"] == test["label"]).mean(), abs=1e-6)
    assert metrics["parameters"] == (3 if ensemble else 1) * sum(array.size for array in members[0].values())


def test_columns_that_the_source_keeps_stand_beside_the_predictions(project, monkeypatch):
    ids = {}
    for split in ("train", "test"):
        path = project / f"data/raw/{split}.parquet"
        table = pq.read_table(path)
        ids[split] = [f"{split} {row}" for row in range(len(table))]
        pq.write_table(table.append_column("id", pa.array(ids[split])), path)
    run_here(monkeypatch, "train", "linear")
    run_here(monkeypatch, "evaluate", "linear")
    found = pq.read_table(project / "data/predictions/linear.parquet")
    assert found["id"].to_pylist() == ids["train"] + ids["test"]
    assert found["row"].to_pylist() == [*range(len(ids["train"])), *range(len(ids["test"]))]


def test_one_seed_has_no_spread(project, monkeypatch):
    for variant in ("sum_20", "linear"):
        run_here(monkeypatch, "train", variant)
        run_here(monkeypatch, "evaluate", variant)
        assert "seeds" not in json.loads((project / f"metrics/{variant}.json").read_text())


@pytest.mark.parametrize("variant", VARIANTS)
def test_users_get_what_evaluate_judged_without_jax(project, monkeypatch, variant):
    """`test_answers.py` asks the same of whole corpora."""
    run_here(monkeypatch, "train", variant)
    run_here(monkeypatch, "evaluate", variant)
    monkeypatch.setattr(prediction, "find_spec", lambda _: None)  # as where JAX is not installed
    model = flaxtext.load(project / "data/models" / variant)
    judged = pq.read_table(project / f"data/predictions/{variant}.parquet").to_pandas()
    judged = judged[judged["split"] == "test"]
    texts = pq.read_table(project / "data/raw/test.parquet")["text"]
    assert model.predict(texts).tolist() == judged["predicted"].tolist()
    np.testing.assert_allclose(model.predict_proba(texts), np.stack(judged["probabilities"]), rtol=0, atol=1e-5)
