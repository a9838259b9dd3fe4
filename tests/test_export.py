"""An exported model: the same probabilities in a program that has JAX and nothing of this project."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from conftest import PROJECT
from tiny_models import untrained

from flaxtext.artifacts.bundle import write_bundle
from flaxtext.artifacts.token_ids import write_token_ids, write_unknown_words
from flaxtext.artifacts.vocabulary import read_vocabulary
from flaxtext.cli import stablehlo
from flaxtext.cli.stablehlo import export_model, quantize
from flaxtext.core.errors import UserError
from flaxtext.model.classifier import Classifier
from flaxtext.model.poolings import POOLINGS
from flaxtext.text.token_ids import TokenIds

CALL = """
import pathlib, sys
sys.modules |= {"flax": None, "flaxtext": None}  # importing them is an error
import jax
import jax.export
import numpy as np
folders = [pathlib.Path(path) for path in sys.argv[1:]]
models = [jax.export.deserialize(bytearray((folder / "model.stablehlo").read_bytes())) for folder in folders]
call = jax.jit(lambda ids: [model.call(ids) for model in models])  # compiled together, which is faster
ids = np.load("ids.npy")
for folder, found in zip(folders, call(ids)):
    np.save(folder / "probabilities.npy", found)
for rows in (1, 2, 77):
    assert [found.shape for found in call(ids[:rows])] == [(rows, 3)] * len(models)
"""


NAMED = {"classes": ["a", "b", "c"], "origin": {}}


def make(pooling="padded_mean", **reads):
    words = " ".join(f"w{number}" for number in range(200))
    return untrained([words], pooling=pooling, embed_dim=6, hidden=10, **reads)


def some_ids(model, rows=100):
    rng = np.random.default_rng(0)
    ids = rng.integers(1, model.vocabulary.rows, size=(rows, 12)).astype(np.int32)
    ids[np.arange(12) >= rng.integers(13, size=(rows, 1))] = 0
    return ids


def ragged(ids):
    """The same ids, as vectorize keeps them."""
    return TokenIds(ids[ids != 0], np.append(0, np.cumsum((ids != 0).sum(axis=1))))


MODELS = {pooling: {"pooling": pooling} for pooling in POOLINGS}
MODELS["prefixes, pairs"] = {"pooling": "mean", "prefix": 2, "ngrams": 2}


@pytest.fixture(scope="module")
def called(tmp_path_factory):
    """What a program with JAX alone gets from exported models: model and whether in 8 bits -> probabilities."""
    folder = tmp_path_factory.mktemp("called")
    cases = {(name, int8): f"{name}-{int8}" for name in MODELS for int8 in (False, True)}
    for (name, int8), path in cases.items():
        export_model(make(**MODELS[name]), folder / path, int8=int8)
    np.save(folder / "ids.npy", some_ids(make()))
    environment = {**os.environ, "XLA_FLAGS": "--xla_backend_optimization_level=0"}  # compiles in less time
    command = [sys.executable, "-W", "error", "-c", CALL, *cases.values()]
    subprocess.run(command, cwd=folder, env=environment, check=True)
    return {case: np.load(folder / path / "probabilities.npy") for case, path in cases.items()}


@pytest.mark.parametrize("int8", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_a_program_with_jax_alone_gets_the_same_probabilities(called, name, int8):
    model = make(**MODELS[name])
    ids = some_ids(model)
    found = called[name, int8]
    np.testing.assert_allclose(found, model.probabilities(ids), atol=0.02 if int8 else 1e-6)
    assert found.dtype == np.float32
    if int8:
        [parameters] = model.members
        table, scale = quantize(parameters["embedding"]["embedding"])
        members = [{**parameters, "embedding": {"embedding": table * scale}}]
        model = Classifier(model.info, model.architecture, members, model.vocabulary, model.features)
        np.testing.assert_allclose(found, model.probabilities(ids), atol=1e-6)


def test_what_lies_in_it(tmp_path):
    model = make()
    export_model(model, tmp_path / "first")
    export_model(model, tmp_path / "second")
    names = ["README.md", "config.json", "model.stablehlo", "vocab.parquet"]
    assert sorted(path.name for path in (tmp_path / "first").iterdir()) == names
    for name in names:
        content = (tmp_path / "first" / name).read_bytes()
        assert content == (tmp_path / "second" / name).read_bytes()
        for trace in (str(tmp_path), str(PROJECT), "site-packages", ".py\0"):
            assert trace.encode() not in content
    config = json.loads((tmp_path / "first" / "config.json").read_text())
    assert config == {"classes": ["a", "b", "c"], "max_len": 12, "tokenizer": "unicode", "embeddings": "float32"}
    assert read_vocabulary(tmp_path / "first" / "vocab.parquet").words.equals(model.vocabulary.words)
    assert "\nA text is split at white space, " in (tmp_path / "first" / "README.md").read_text()


def test_rounding_to_8_bits():
    table = np.array([[0, 0, 0], [1, -0.5, 0.1], [-3e-6, 1e-6, 0], [1e30, -1e30, 0]], np.float32)
    codes, scale = quantize(table)
    assert codes.dtype == np.int8
    assert codes.tolist() == [[0, 0, 0], [127, -64, 13], [-127, 42, 0], [127, -127, 0]]
    assert np.all(np.abs(codes * scale - table) <= 0.5001 * scale)


def test_size_and_accuracy_before_and_after(tmp_path):
    model = make()
    ids = some_ids(model, 500)
    labels = model.probabilities(ids).argmax(axis=1).astype(np.int32)
    labels[:100] = (labels[:100] + 1) % 3
    write_token_ids(tmp_path / "test.parquet", [(ragged(ids), labels)], **NAMED)
    lines = export_model(model, tmp_path / "exported", int8=True, judged_on=tmp_path / "test.parquet").splitlines()
    figures = {line.split()[0]: line.split()[1:] for line in lines}
    size = (tmp_path / "exported" / "model.stablehlo").stat().st_size
    assert figures["int8"][0] == f"{size:,}"
    assert figures["model"][1] == figures["float32"][1] == "0.8000"
    assert 0.75 < float(figures["int8"][1]) <= 0.85
    write_token_ids(tmp_path / "words.parquet", [(ragged(ids + 200 * (ids > 0)), labels)], **NAMED)
    write_token_ids(tmp_path / "classes.parquet", [(ragged(ids), labels)], classes=["a", "c", "b"], origin={})
    write_token_ids(tmp_path / "none.parquet", [], **NAMED)
    messages = {"words": "of another vocabulary", "classes": "classes a, c, b, which are not", "none": "no documents"}
    for name, message in messages.items():
        with pytest.raises(UserError, match=message):
            export_model(model, tmp_path / "more", judged_on=tmp_path / f"{name}.parquet")
    assert not (tmp_path / "more").exists()


def test_unknown_words_are_dropped_and_numbered_from_the_vocabulary_on(tmp_path):
    model = make()
    ids = some_ids(model, 500)
    labels = model.probabilities(ids).argmax(axis=1).astype(np.int32)
    documents = ragged(ids)
    places = documents.offsets[:-1]
    unknown = TokenIds(np.insert(documents.ids, places, model.vocabulary.rows), documents.offsets + np.arange(501))
    write_token_ids(tmp_path / "test.parquet", [(unknown, labels)], **NAMED)
    write_unknown_words(tmp_path / "unknown.parquet", ["unheard"], model.vocabulary.rows)
    figures = export_model(model, tmp_path / "exported", judged_on=tmp_path / "test.parquet").split()
    assert figures[-1] == "1.0000"
    write_unknown_words(tmp_path / "unknown.parquet", ["unheard"], model.vocabulary.rows - 1)
    with pytest.raises(UserError, match="of another vocabulary"):
        export_model(model, tmp_path / "more", judged_on=tmp_path / "test.parquet")


def test_what_cannot_be_exported(tmp_path):
    with pytest.raises(UserError, match="a linear model is scikit-learn's, and cannot be exported"):
        export_model(untrained(["a b"]), tmp_path / "exported")
    assert not (tmp_path / "exported").exists()


def test_a_folder_of_other_files_is_left_alone(flaxtext, tmp_path):
    write_bundle(tmp_path / "model", make())
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "precious").touch()

    def export(name, *options):
        return flaxtext("export", "-m", tmp_path / "model", "-o", tmp_path / name, *options)

    status, _, err = export("mine")
    assert (status, err.count("\n")) == (1, 1)
    assert "holds other files, which would be lost" in err
    assert (tmp_path / "mine" / "precious").exists()
    assert export("new/folder")[0] == export("new/folder")[0] == 0
    assert (tmp_path / "new/folder" / stablehlo.FUNCTION).exists()
    (tmp_path / "new/folder/serve.py").touch()
    assert export("new/folder")[0] == 1
    assert (tmp_path / "new/folder/serve.py").exists()
    assert export("other", "--vectors", "x") == (1, "", "error: --vectors is now --token-ids\n")
