"""A bundle predicts with nothing else, and one that is not whole is refused in one line."""

import json

import numpy as np
import pyarrow as pa
import pytest
from safetensors.numpy import load_file, save_file

from flaxtext import vocabulary
from flaxtext.bundle import build, load_bundle, save_bundle
from flaxtext.errors import UserError
from flaxtext.network import split

CONFIG = {"classes": ["bad", "good"], "max_len": 4, "pooling": "mean", "embed_dim": 3, "hidden": 5}


@pytest.fixture
def bundle(tmp_path):
    words = vocabulary.fit([pa.array(["a good film", "a bad film"])])
    save_bundle(tmp_path / "model", CONFIG, split(build(CONFIG, words.rows, seed=0))[1], words)
    return tmp_path / "model"


def test_what_lies_in_it(bundle):
    assert sorted(path.name for path in bundle.iterdir()) == ["config.json", "model.safetensors", "vocab.parquet"]
    assert {name: array.shape for name, array in load_file(bundle / "model.safetensors").items()} == {
        "embedding.embedding": (5, 3),
        "hidden.kernel": (3, 5),
        "hidden.bias": (5,),
        "output.kernel": (5, 2),
        "output.bias": (2,),
    }


def test_it_predicts_from_text(bundle):
    model = load_bundle(bundle)
    probability = model.predict(["A good film!", "", "nothing known"])
    assert probability.shape == (3, 2)
    assert model.classes == ["bad", "good"]
    np.testing.assert_allclose(probability.sum(axis=1), 1, rtol=1e-5)
    assert np.array_equal(probability[1], probability[2])
    ids = model.token_ids(["a", "good", "film"])
    assert np.array_equal(model.probabilities(np.array([[*ids, 0]], np.int32))[0], model.predict(["a good film"])[0])
    assert model.tokenize(["A good, film"]) == [["a", "good", "film"]]


def test_two_savings_give_the_same_bytes(bundle, tmp_path):
    model = load_bundle(bundle)
    save_bundle(tmp_path / "again", CONFIG, model.parameters, model.vocabulary)
    for path in bundle.iterdir():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()


def damage_config(bundle):
    config = json.loads((bundle / "config.json").read_text())
    (bundle / "config.json").write_text(json.dumps({**config, "format": 99}))


def damage_shapes(bundle):
    tensors = load_file(bundle / "model.safetensors")
    save_file({**tensors, "output.bias": np.zeros(3, np.float32)}, bundle / "model.safetensors")


def truncate(bundle):
    path = bundle / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-10])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda bundle: (bundle / "config.json").unlink(), "not a model: no config.json"),
        (lambda bundle: (bundle / "model.safetensors").unlink(), "not a model: no model.safetensors"),
        (lambda bundle: (bundle / "vocab.parquet").unlink(), "no such file"),
        (truncate, "not a model: .*incomplete"),
        (damage_config, "format 99; this version of flaxtext reads format 1"),
        (damage_shapes, r"model.safetensors holds .* ask for .*"),
    ],
)
def test_a_bundle_that_is_not_whole(bundle, damage, message):
    damage(bundle)
    with pytest.raises(UserError, match=message) as error:
        load_bundle(bundle)
    assert "\n" not in str(error.value)
