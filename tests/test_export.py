"""An exported model: the same probabilities in a program that has JAX and nothing of this project."""

import json
import os
import subprocess
import sys
from dataclasses import asdict
from functools import partial

import numpy as np
import pyarrow as pa
import pytest
from conftest import PROJECT
from tiny_models import untrained

from flaxtext.artifacts.bundle import write_bundle
from flaxtext.artifacts.token_ids import write_token_ids, write_unknown_words
from flaxtext.artifacts.vocabulary import read_vocabulary
from flaxtext.cli import stablehlo, traced
from flaxtext.cli.stablehlo import export_model, quantize
from flaxtext.core.errors import UserError
from flaxtext.model.architecture import Architecture, unflatten_parameters
from flaxtext.model.classifier import Classifier, ModelInfo
from flaxtext.model.poolings import POOLINGS
from flaxtext.text.features import Features, Reading, fit_features
from flaxtext.text.token_ids import TokenIds, number_words
from flaxtext.text.vocabulary import fit_vocabulary

CALL = """
import pathlib, sys
sys.modules |= {"flax": None, "flaxtext": None}  # importing them is an error
import jax
import jax.export
import numpy as np
ids = np.load("ids.npy")
folders = [pathlib.Path(path) for path in sys.argv[1:]]
models = [jax.export.deserialize(bytearray((folder / "model.stablehlo").read_bytes())) for folder in folders]
call = jax.jit(lambda *each: [model.call(ids) for model, ids in zip(models, each)])  # compiled together: faster
answers = call(*[ids] * len(models))
for folder, found in zip(folders, answers):
    np.save(folder / "probabilities.npy", found)
fixed = [model.in_avals[0].shape[1] == 12 for model in models]
assert sum(fixed) == 5, fixed
wide = np.pad(ids[:7], ((0, 0), (0, 5)))  # where the width is free
for found, again in zip(answers, call(*[ids[:7] if is_fixed else wide for is_fixed in fixed])):
    np.testing.assert_allclose(again, found[:7], atol=1e-6)
"""


NAMED = {"classes": ["a", "b", "c"], "origin": {}}
MARKS = [-(4 * ord("(") + 1), -(4 * ord("-") + 2)]
TEXT = " ".join(f"({'' if number % 2 else '-- '}w{number}" for number in range(200))


def make(pooling="padded_mean", **own):
    return untrained([TEXT], **{"pooling": pooling, "embed_dim": 6, "hidden": 10, **own})


def with_vectors():
    """A model that reads some words as their pretrained vectors, too, and others as these alone."""
    reading = Reading(ngrams=2, characters=2, vectors=True)
    words = fit_vocabulary([pa.array([TEXT])])
    ids = number_words(pa.array([TEXT]), words)
    vectors = np.arange(3, len(words) + 1, 4, dtype=np.int32)
    features = fit_features(words.words, ids, reading, vectors=vectors, n_known=150)
    architecture = Architecture(features.rows, 3, "tfidf", 5, **asdict(reading))
    rng = np.random.default_rng(0)
    shapes = architecture.shapes.items()
    parameters = unflatten_parameters({name: rng.random(shape).astype(np.float32) for name, shape in shapes})
    return Classifier(ModelInfo(["a", "b", "c"]), architecture, [parameters], words, features)


def some_ids(rows=100):
    """Word ids in rows, among them unknown words, as 0, and marks."""
    rng = np.random.default_rng(0)
    ids = rng.integers(1, 201, size=(rows, 12)).astype(np.int32)
    ids[rng.random(ids.shape) < 0.1] = 0
    ids[:, 3:5][rng.random((rows, 2)) < 0.3] = rng.choice(MARKS)
    ids[:, 7] = np.where(rng.random(rows) < 0.3, ids[:, 2], ids[:, 7])  # words that repeat
    ids[np.arange(12) >= rng.integers(13, size=(rows, 1))] = 0
    return ids


def ragged(ids):
    """The same documents less the padding at their ends; 0 is an unknown word that has its place."""
    lengths = np.where(ids != 0, np.arange(1, ids.shape[1] + 1), 0).max(axis=1)
    return TokenIds(ids[np.arange(ids.shape[1]) < lengths[:, None]], np.append(0, np.cumsum(lengths)))


WEIGHED = {"pooling": "tfidf", "hidden": 0, "max_len": None}
READS = {"ngrams": 3, "marks": True, "characters": 3, "prefix": 2}
MODELS = {pooling: partial(make, pooling) for pooling in POOLINGS} | {
    "prefixes, pairs": partial(make, "mean", prefix=2, ngrams=2),
    "all there is to read": partial(make, **WEIGHED, **READS),
    "linear": partial(untrained, [TEXT], ngrams=2, characters=4),
    "pretrained vectors": with_vectors,
    "pairs, by position": partial(make, "flatten", prefix=1, ngrams=2),
}
CASES = [(name, False) for name in MODELS] + [(name, True) for name in ("flatten", "mean", "all there is to read")]
"""Models, and whether in 8 bits."""


@pytest.fixture(scope="module")
def called(tmp_path_factory):
    """What a program with JAX alone gets from exported models: model and whether in 8 bits -> probabilities."""
    folder = tmp_path_factory.mktemp("called")
    cases = {(name, int8): f"{name}-{int8}" for name, int8 in CASES}
    for (name, int8), path in cases.items():
        export_model(MODELS[name](), folder / path, int8=int8)
    np.save(folder / "ids.npy", some_ids())
    environment = {**os.environ, "XLA_FLAGS": "--xla_backend_optimization_level=0"}  # compiles in less time
    command = [sys.executable, "-W", "error", "-c", CALL, *cases.values()]
    subprocess.run(command, cwd=folder, env=environment, check=True)
    return {case: np.load(folder / path / "probabilities.npy") for case, path in cases.items()}


@pytest.mark.parametrize(("name", "int8"), CASES)
def test_a_program_with_jax_alone_gets_the_same_probabilities(called, name, int8):
    model = MODELS[name]()
    documents = ragged(some_ids())
    found = called[name, int8]
    np.testing.assert_allclose(found, model.probabilities(documents), atol=0.03 if int8 else 1e-6)
    assert found.dtype == np.float32
    if int8:
        [parameters] = model.members
        table, scale = quantize(parameters["embedding"]["embedding"])
        members = [{**parameters, "embedding": {**parameters["embedding"], "embedding": table * scale}}]
        model = Classifier(model.info, model.architecture, members, model.vocabulary, model.features)
        np.testing.assert_allclose(found, model.probabilities(documents), atol=5e-6)


READINGS = [Reading(), Reading(ngrams=2), Reading(2, 3, True, 4), Reading(characters=2), Reading(prefix=1, marks=True)]


@pytest.mark.parametrize("reading", READINGS, ids=str)
def test_features_are_those_of_numpy_in_their_order(reading):
    words = fit_vocabulary([pa.array([TEXT])])
    whole = number_words(pa.array([TEXT]), words, marks=reading.marks)
    fitted = fit_features(words.words, whole, reading)
    features = Features(words.words, reading, fitted.ngrams[::2], fitted.characters[::2])  # others have no row
    ids = some_ids()
    found = np.asarray(traced.expand(features, traced.tables_of(features), ids))
    expected = features.expand(ragged(ids))
    for row, first, last in zip(found, expected.offsets, expected.offsets[1:], strict=False):
        mine, own = row[row > 0], expected.rows[first:last]
        assert mine.tolist() == own[own > 0].tolist()


def test_a_word_of_too_many_letters_is_not_exported(monkeypatch):
    model = make(**WEIGHED, characters=3)
    monkeypatch.setattr(traced, "MAX_BYTES", 4 * 201 * 14)
    traced.tables_of(model.features)  # " w100 " has 15 n-grams of up to three characters, and " " is none twice
    monkeypatch.setattr(traced, "MAX_BYTES", 4 * 201 * 12)
    with pytest.raises(UserError) as error:
        traced.tables_of(model.features)
    assert str(error.value).startswith(
        "the n-grams of characters of 200 words, up to 13 each, would take 0 MB, and 0 are"
    )
    assert "raise build_vocab.min_count, so that words such as 'w" in str(error.value)


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


def test_readme_tells_how_ids_are_made(tmp_path):
    def readme(model):
        export_model(model, tmp_path / "exported")
        return (tmp_path / "exported" / "README.md").read_text()

    padded = readme(make())
    assert padded.startswith("`model.stablehlo` maps word ids, `int32[batch, 12]` of any batch, to probabilities,")
    assert "keep their place, as 0.\nThe ids of the first 12 words make a row, filled up with 0." in padded
    assert "letters of words" not in padded
    assert "4 * code point" not in padded
    whole = readme(make(**WEIGHED, **READS))
    assert whole.startswith("`model.stablehlo` maps word ids, `int32[batch, width]` of any sizes, to probabilities,")
    assert "The model reads the letters of words, too; those of other words are not read here." in whole
    assert "with the id -(4 * code point + length)" in whole
    words = fit_vocabulary([pa.array([TEXT])], tokenizer="keras")
    assert "are dropped.\nThe ids of the first 12 known words make a row" in readme(make(words=words))


def test_rounding_to_8_bits():
    table = np.array([[0, 0, 0], [1, -0.5, 0.1], [-3e-6, 1e-6, 0], [1e30, -1e30, 0]], np.float32)
    codes, scale = quantize(table)
    assert codes.dtype == np.int8
    assert codes.tolist() == [[0, 0, 0], [127, -64, 13], [-127, 42, 0], [127, -127, 0]]
    assert np.all(np.abs(codes * scale - table) <= 0.5001 * scale)


def judged(model, ids, tmp_path):
    """Write documents whose labels are the model's answers, except for a fifth of them."""
    labels = model.probabilities(ragged(ids)).argmax(axis=1).astype(np.int32)
    labels[: len(ids) // 5] = (labels[: len(ids) // 5] + 1) % 3
    write_token_ids(tmp_path / "test.parquet", [(ragged(ids), labels)], **NAMED)
    return labels


@pytest.mark.parametrize("name", ["padded_mean", "all there is to read"])
def test_size_and_accuracy_before_and_after(name, tmp_path):
    model, ids = MODELS[name](), some_ids(500)
    ids = np.maximum(ids, 0) if not model.architecture.marks else ids
    labels = judged(model, ids, tmp_path)
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


def test_unknown_words_are_numbered_from_the_vocabulary_on(tmp_path):
    model, ids = make(), np.maximum(some_ids(500), 0)
    labels = model.probabilities(ragged(ids)).argmax(axis=1).astype(np.int32)
    documents = ragged(ids)
    unknown = TokenIds(np.where(documents.ids > 0, documents.ids, model.vocabulary.rows), documents.offsets)
    write_token_ids(tmp_path / "test.parquet", [(unknown, labels)], **NAMED)
    write_unknown_words(tmp_path / "unknown.parquet", ["unheard"], model.vocabulary.rows)
    figures = export_model(model, tmp_path / "exported", judged_on=tmp_path / "test.parquet").split()
    assert figures[-1] == "1.0000"
    write_unknown_words(tmp_path / "unknown.parquet", ["unheard"], model.vocabulary.rows - 1)
    with pytest.raises(UserError, match="of another vocabulary"):
        export_model(model, tmp_path / "more", judged_on=tmp_path / "test.parquet")


def test_documents_of_any_length_are_judged_in_few_sizes():
    model = make("mean", max_len=None)
    rng = np.random.default_rng(0)
    lengths = np.array([0, 1, 16, 17, 64, 65, 900, 3])
    ids = rng.integers(1, 230, lengths.sum()).astype(np.int32)  # some beyond the vocabulary
    documents = TokenIds(ids, np.append(0, np.cumsum(lengths)))
    exported, shapes = stablehlo.trace(model), set()

    class Counted:
        def call(self, ids):
            shapes.add(ids.shape)
            return exported.call(ids)

    found = stablehlo._call(model, Counted(), documents)
    np.testing.assert_allclose(found, model.probabilities(documents), atol=1e-5)
    assert shapes == {(1024, 16), (256, 64), (64, 256), (16, 1024)}


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
