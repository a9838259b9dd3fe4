"""An exported model: the same probabilities in a program that has JAX and nothing of this project."""

import json
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from conftest import PROJECT

from flaxtext.cli import exporting
from flaxtext.cli.export import export_model, quantize
from flaxtext.core.errors import UserError
from flaxtext.artifacts.bundle import Classifier, load_bundle, save_bundle
from flaxtext.text import vectors, vocabulary
from flaxtext.artifacts.token_ids import Vectors
from flaxtext.train.network import POOLINGS, build, split

CALL = """
import pathlib, sys
sys.modules |= {"flax": None, "flaxtext": None}  # importing them is an error
import jax.export
import numpy as np
model = jax.export.deserialize(bytearray(pathlib.Path(sys.argv[1], "model.stablehlo").read_bytes()))
ids = np.load(sys.argv[1] + "/ids.npy")
np.save(sys.argv[1] + "/probabilities.npy", model.call(ids))
for rows in (1, 2, 77):
    assert model.call(ids[:rows]).shape == (rows, 3)
"""


def make(folder, pooling="mean"):
    words = vocabulary.fit([pa.array([" ".join(f"w{number}" for number in range(200))])])
    config = {"classes": ["a", "b", "c"], "max_len": 12, "pooling": pooling, "embed_dim": 6, "hidden": 10}
    save_bundle(folder / "model", config, [split(build(config, words.rows, seed=3))[1]], words)
    return load_bundle(folder / "model")


def some_ids(model, rows=100):
    rng = np.random.default_rng(0)
    ids = rng.integers(1, model.vocabulary.rows, size=(rows, model.max_len)).astype(np.int32)
    ids[np.arange(model.max_len) >= rng.integers(model.max_len + 1, size=(rows, 1))] = 0
    return ids


@pytest.mark.parametrize("int8", [False, True])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_program_with_jax_alone_gets_the_same_probabilities(tmp_path, pooling, int8):
    model = make(tmp_path, pooling)
    ids = some_ids(model)
    export_model(model, tmp_path / "exported", int8=int8)
    np.save(tmp_path / "exported" / "ids.npy", ids)
    command = [sys.executable, "-W", "error", "-c", CALL, str(tmp_path / "exported")]
    subprocess.run(command, cwd=tmp_path, check=True)
    found = np.load(tmp_path / "exported" / "probabilities.npy")
    np.testing.assert_allclose(found, model.probabilities(ids), atol=0.02 if int8 else 1e-6)
    assert found.dtype == np.float32
    if int8:
        table, scale = quantize(np.asarray(model.parameters["embedding"]["embedding"]))
        members = [{**model.parameters, "embedding": {"embedding": table * scale}}]
        model = Classifier(model.config, members, model.vocabulary, model.features)
        np.testing.assert_allclose(found, model.probabilities(ids), atol=1e-6)


def test_what_lies_in_it(tmp_path):
    model = make(tmp_path)
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
    assert config == {"classes": ["a", "b", "c"], "max_len": 12, "embeddings": "float32"}
    assert vocabulary.load(tmp_path / "first" / "vocab.parquet").words.equals(model.vocabulary.words)


def test_rounding_to_8_bits():
    table = np.array([[0, 0, 0], [1, -0.5, 0.1], [-3e-6, 1e-6, 0], [1e30, -1e30, 0]], np.float32)
    codes, scale = quantize(table)
    assert codes.dtype == np.int8
    assert codes.tolist() == [[0, 0, 0], [127, -64, 13], [-127, 42, 0], [127, -127, 0]]
    assert np.all(np.abs(codes * scale - table) <= 0.5001 * scale)


def test_size_and_accuracy_before_and_after(tmp_path):
    model = make(tmp_path)
    ids = some_ids(model, 500)
    labels = model.probabilities(ids).argmax(axis=1).astype(np.int32)
    labels[:100] = (labels[:100] + 1) % 3
    vectors.write(tmp_path / "test.parquet", [Vectors(ids, labels)], 500, model.max_len)
    lines = export_model(model, tmp_path / "exported", int8=True, judged_on=tmp_path / "test.parquet").splitlines()
    figures = {line.split()[0]: line.split()[1:] for line in lines}
    size = (tmp_path / "exported" / "model.stablehlo").stat().st_size
    assert figures["int8"][0] == f"{size:,}"
    assert figures["model"][1] == figures["float32"][1] == "0.8000"
    assert 0.75 < float(figures["int8"][1]) <= 0.85
    vectors.write(tmp_path / "other.parquet", [Vectors(ids[:, :5], labels)], 500, 5)
    vectors.write(tmp_path / "words.parquet", [Vectors(ids + 200, labels)], 500, model.max_len)
    for name, message in (("other", "500 rows of 5 ids; the model takes 12"), ("words", "of another vocabulary")):
        with pytest.raises(UserError, match=message):
            export_model(model, tmp_path / "more", judged_on=tmp_path / f"{name}.parquet")
    assert not (tmp_path / "more").exists()


def test_a_folder_of_other_files_is_left_alone(tmp_path):
    make(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "precious").touch()
    command = [sys.executable, "-m", "flaxtext", "export", "-m", str(tmp_path / "model"), "-o"]

    def export(name):
        return subprocess.run(
            [*command, str(tmp_path / name)], cwd=PROJECT, capture_output=True, text=True, check=False
        )

    ended = export("mine")
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
    assert "holds other files, which would be lost" in ended.stderr
    assert (tmp_path / "mine" / "precious").exists()
    assert export("new/folder").returncode == export("new/folder").returncode == 0
    assert (tmp_path / "new/folder" / exporting.FUNCTION).exists()
    (tmp_path / "new/folder/serve.py").touch()
    assert export("new/folder").returncode == 1
    assert (tmp_path / "new/folder/serve.py").exists()
