"""NumPy and JAX give the same answers, and which of them gives them does not depend on how documents come in."""

import json
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from conftest import PROJECT
from tiny_models import untrained

from flaxtext.artifacts.bundle import write_bundle
from flaxtext.cli import rows
from flaxtext.io.table import Table
from flaxtext.model import prediction
from flaxtext.model.poolings import POOLINGS
from flaxtext.text.token_ids import TokenIds

KINDS = {
    **{pooling: {"pooling": pooling, "embed_dim": 5, "hidden": 7} for pooling in POOLINGS},
    **{
        f"{pooling}, prefixes and pairs": {"pooling": pooling, "embed_dim": 4, "prefix": 2, "ngrams": 2}
        for pooling in POOLINGS
    },
    "whole, characters": {"pooling": "mean_max", "embed_dim": 4, "characters": 3, "max_len": None},
    "subwords": {"pooling": "tfidf", "embed_dim": 3, "output": False, "ngrams": 2, "characters": 4, "max_len": None},
    "linear": {"ngrams": 2},
}


def corpus(n, seed=0):
    rng = np.random.default_rng(seed)
    words = np.array([f"{letter}{number}" for letter in "abcd" for number in range(50)])
    return [" ".join(rng.choice(words, rng.integers(0, 20))) for _ in range(n)]


@pytest.fixture(scope="module", params=KINDS)
def model(request):
    return untrained(corpus(300), **KINDS[request.param])


def test_both_give_the_same(model):
    ids = model.read(pa.array(corpus(700, seed=1)))
    found = model.probabilities(ids, "numpy")
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, model.probabilities(ids, "jax"), atol=1e-5, rtol=0)
    for n in (0, 1, 2, 9):
        for backend in ("numpy", "jax"):
            np.testing.assert_allclose(model.probabilities(ids[:n], backend), found[:n], atol=1e-5, rtol=0)


def test_another_number_of_documents_seldom_compiles_anew():
    model = untrained(corpus(300), pooling="mean", embed_dim=5)
    ids = TokenIds(np.ones(3000 * 12, np.int32), np.arange(3001, dtype=np.int64) * 12)
    compiled = prediction._compiled()
    before = compiled._cache_size()
    for n in range(1, 3000, 37):
        model.probabilities(ids[:n], "jax")
    assert compiled._cache_size() - before <= 8


def test_jax_is_chosen_for_many_documents_where_it_is_installed(monkeypatch):
    assert prediction.choose_backend(prediction.JAX_IDS) == "jax"
    assert prediction.choose_backend(prediction.JAX_IDS - 1) == "numpy"
    monkeypatch.setattr(prediction, "find_spec", lambda _: None)
    assert prediction.choose_backend(prediction.JAX_IDS) == "numpy"


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_what_predicts_a_file_is_chosen_once(tmp_path, monkeypatch, ending):
    model = untrained(corpus(50), pooling="mean", embed_dim=5)
    path = tmp_path / f"in.{ending}"
    texts = [" ".join(["a1"] * 30)] * 100
    if ending == "parquet":
        pa.parquet.write_table(pa.table({"text": texts}), path)
    elif ending == "csv":
        path.write_text("\n".join(["text", *texts]))
    else:
        path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    source, target = Table(str(path), path, ending), Table("out", tmp_path / "out.csv", "csv")
    asked = []
    monkeypatch.setattr(rows, "choose_backend", lambda ids: asked.append(ids) or "numpy")
    monkeypatch.setattr(prediction, "choose_backend", lambda _: pytest.fail("a block chose for itself"))
    rows.predict_file(model, source, target, ["text"])
    assert len(asked) == 1
    assert 600 < asked[0] <= 1800  # 1200 ids


def test_a_prediction_imports_no_more_than_it_needs(tmp_path):
    """Of texts and of small files, by the command and from Python."""
    write_bundle(tmp_path / "network", untrained(corpus(50), pooling="mean", embed_dim=5, prefix=2, ngrams=2))
    write_bundle(tmp_path / "linear", untrained(corpus(50), ngrams=2))
    (tmp_path / "in.csv").write_text("text,more\na1 b2,x\n,y\n")
    (tmp_path / "in.jsonl").write_text('{"text": "a1 b2"}\n{"text": null}\n')
    pa.parquet.write_table(pa.table({"text": ["a1 é", None]}), tmp_path / "in.parquet")
    code = """
import sys
heavy = {"jax", "jaxlib", "flax", "optax", "pandas", "scipy", "sklearn", "jinja2", "dvc", "ruamel"}
import flaxtext
assert "numpy" not in sys.modules
for name in ("network", "linear"):
    flaxtext.load(name).predict(["a1 b2", None, "É"])
print(sorted((heavy | {"pydantic"}) & set(sys.modules)))  # pydantic, later, is typer's
from flaxtext.cli.app import app
commands = [["predict", "a1"], ["explain", "a1 b2"], ["inspect"]]
commands += [["predict", "-i", f"in.{one}", "-o", f"out.{one}"] for one in ("csv", "jsonl", "parquet")]
for name in ("network", "linear"):
    for command in commands:
        app([*command[:1], "-m", name, *command[1:]], standalone_mode=False)
        print(sorted(heavy & set(sys.modules)))
    app(["predict", "-m", name, "-i", "in.parquet", "-o", "out.csv"], standalone_mode=False)
    print(sorted(heavy & set(sys.modules)))
"""
    command = [sys.executable, "-c", code]
    environment = {"PYTHONPATH": str(PROJECT), "PATH": ""}
    ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert {line for line in ran.stdout.splitlines() if line.startswith("[")} == {"[]"}, ran.stdout
