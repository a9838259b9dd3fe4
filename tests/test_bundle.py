"""A bundle predicts with nothing else, and one that is damaged or hostile is refused in one line."""

import hashlib
import json
import os
import shutil
import struct
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from conftest import PROJECT
from safetensors.numpy import load_file, save_file

import flaxtext
from flaxtext.artifacts.bundle import FILES, VOCABULARY, check_size, read_bundle, write_bundle
from flaxtext.artifacts.bundle_vocabulary import read_words, write_words
from flaxtext.artifacts.vocabulary import write_vocabulary
from flaxtext.core.errors import UserError
from flaxtext.model.architecture import Architecture, unflatten_parameters
from flaxtext.model.classifier import Classifier, ModelInfo
from flaxtext.model.poolings import POOLINGS
from flaxtext.text.features import Features, Reading
from flaxtext.text.token_ids import TokenIds
from flaxtext.text.vocabulary import Vocabulary, fit_vocabulary
from flaxtext.train.card import render_card

SIZES = {"max_len": 4, "pooling": "padded_mean", "embed_dim": 3, "hidden": 5}
CLASSES = ["bad", "good"]
TRAINED = {
    "variant": "tiny_3",
    "training": {"epochs": 2, "validation_from": "train"},
    "data": {"source": "films", "checksums": {"train": "ab12"}, "documents": 1234, "validation_documents": 56},
    "last_epoch": {"epoch": 2, "validation_loss": 0.5, "validation_accuracy": 0.75},
}


def words():
    return fit_vocabulary([pa.array(["a good film", "a bad film"])])


WEIGHTED = {"max_len": None, "pooling": "tfidf", "embed_dim": 2, "output": False, "ngrams": 2, "characters": 3}
HASHES = {"ngrams": np.array([3, 7, 2**32 - 1], np.uint32), "characters": np.array([0, 5], np.uint32)}


def make(path, card=False, sizes=SIZES, hashes=None, **info):
    """Write a model of random parameters."""
    known = words()
    reading = {name: value for name, value in sizes.items() if name in ("ngrams", "characters")}
    features = Features(known.words, Reading(**reading), **(hashes or {}))
    architecture = Architecture(rows=features.rows, classes=len(info.get("classes", CLASSES)), **sizes)
    rng = np.random.default_rng(0)
    named = {name: rng.random(shape).astype(np.float32) for name, shape in architecture.shapes.items()}
    model = Classifier(
        ModelInfo(**{"classes": CLASSES, **info}), architecture, [unflatten_parameters(named)], known, features
    )
    write_bundle(path, model, render_card(model) if card else None)
    return path


@pytest.fixture
def bundle(tmp_path):
    return make(tmp_path / "model")


def test_what_lies_in_it(bundle):
    assert sorted(path.name for path in bundle.iterdir()) == sorted([*FILES, "SHA256SUMS"])
    assert {name: array.shape for name, array in load_file(bundle / "model.safetensors").items()} == {
        "embedding.embedding": (5, 3),
        "hidden.kernel": (3, 5),
        "hidden.bias": (5,),
        "output.kernel": (5, 2),
        "output.bias": (2,),
    }
    config = json.loads((bundle / "config.json").read_text())
    assert config["versions"]["flaxtext"] == flaxtext.__version__
    assert {"jax", "flax", "numpy"} <= set(config["versions"])
    assert str(bundle) not in (bundle / "config.json").read_text()


def test_its_checksums_are_those_of_sha256sum(bundle):
    sums = dict(reversed(line.split("  ")) for line in (bundle / "SHA256SUMS").read_text().splitlines())
    assert sums == {name: hashlib.sha256((bundle / name).read_bytes()).hexdigest() for name in FILES}
    if shutil.which("sha256sum"):
        subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=bundle, check=True, capture_output=True)


def test_it_predicts_from_text(bundle):
    model = flaxtext.load(bundle)
    probability = model.predict_proba(["A good film!", "", "nothing known"])
    assert probability.shape == (3, 2)
    assert model.classes == ["bad", "good"]
    assert model.predict(["A good film!"])[0] == model.classes[probability[0].argmax()]
    np.testing.assert_allclose(probability.sum(axis=1), 1, rtol=1e-5)
    assert np.array_equal(probability[1], probability[2])
    ids = model.token_ids(["a", "good", "film"])
    assert np.array_equal(model.probabilities(TokenIds(ids, np.array([0, 3])))[0], probability[0])
    with pytest.raises(TypeError, match="expected documents as read"):
        model.probabilities(["A good film!"])
    assert model.tokenize(["A good, film"]) == [["a", "good", "film"]]


def test_two_savings_give_the_same_bytes(tmp_path):
    first, second = (make(tmp_path / name, card=True, **TRAINED) for name in ("first", "second"))
    assert sorted(path.name for path in first.iterdir()) == sorted([*FILES, "README.md", "SHA256SUMS"])
    for path in first.iterdir():
        assert (second / path.name).read_bytes() == path.read_bytes()


def test_the_card_says_what_is_known_when_a_model_is_trained(tmp_path):
    hostile = {**TRAINED, "classes": ["a|b", "<b>*x*</b>\n# no heading"]}
    card = (make(tmp_path / "model", card=True, **hostile) / "README.md").read_text(encoding="utf-8")
    assert "# tiny\\_3\n" in card
    assert "| documents | 1,234 to train on, 56 to watch |" in card
    assert "accuracy 0.750 and loss 0.500 on the 56 documents held out of the training split" in card
    assert "`metrics/tiny_3.json`" in card
    assert r"a\|b, \<b\>\*x\*\</b\> # no heading." in card
    assert "| epochs | 2 |" in card
    assert str(tmp_path) not in card


def test_a_card_without_validation(tmp_path):
    alone = {**TRAINED, "last_epoch": {"epoch": 2, "validation_loss": None, "validation_accuracy": None}}
    card = (make(tmp_path / "model", card=True, **alone) / "README.md").read_text(encoding="utf-8")
    assert "No documents were held out" in card


def test_files_may_be_links_as_dvc_makes_them(bundle, tmp_path):
    linked = tmp_path / "linked"
    linked.mkdir()
    for path in bundle.iterdir():
        (linked / path.name).symlink_to(path)
    assert read_bundle(linked).classes == ["bad", "good"]


def test_a_network_that_could_not_be_loaded_is_not_trained():
    with pytest.raises(UserError, match=r"would take .* MB, and a model at most 640; lower embed_dim"):
        check_size(Architecture(rows=1_000_000, classes=2, **{**SIZES, "embed_dim": 90_000}), 1)


def run(code, *arguments):
    """Run Python in a process of its own; what it prints."""
    command = [sys.executable, "-W", "error", "-c", code, *arguments]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True).stdout.strip()


def test_importing_flaxtext_is_cheap():
    heavy = "{'jax', 'flax', 'numpy', 'pyarrow', 'pandas'}"
    assert run(f"import sys, flaxtext, flaxtext.cli.app; print({heavy} & set(sys.modules))") == "set()"


ABSENT = {"jax", "jaxlib", "flax", "optax", "pydantic", "ruamel", "pandas", "scipy", "sklearn", "jinja2"}


def test_to_read_a_model_and_to_predict_takes_little(bundle):
    """NumPy, PyArrow, safetensors; not pandas either, which PyArrow imports at a first conversion where it finds it."""
    code = """
import sys, flaxtext
model = flaxtext.load(sys.argv[1])
model.predict(["A good film!", None])
model.predict_proba(model.classes_)
packages = {name.split(".")[0] for name in sys.modules}
"""
    assert run(f"{code}print(packages & {ABSENT})", str(bundle)) == "set()"


@pytest.mark.parametrize("damage", ["format", "classes", "pooling"])
def test_a_bundle_is_refused_where_little_is_installed(bundle, damage):
    values = {"format": 2, "classes": [1, 2], "pooling": "masked_mean"}
    edit_config(**{damage: values[damage]})(bundle)
    seal(bundle)
    code = f"""
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {ABSENT}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
import flaxtext
from flaxtext.core.errors import UserError
try:
    flaxtext.load(sys.argv[1])
except UserError as error:
    print(error)
"""
    said = {
        "format": "format 2; this",
        "classes": "classes: expected 1 to",
        "pooling": "architecture.pooling: expected",
    }
    assert f"config.json: {said[damage]}" in run(code, str(bundle))


def test_to_evaluate_and_to_explain_takes_no_flax():
    code = "import sys; sys.path.insert(0, 'stages'); import evaluate, explain, report; "
    code += "print({'flax', 'optax'} & set(sys.modules))"
    assert run(code) == "set()"


# Hostile bundles. A damage returns True to leave the checksums as they were; after the others they are made to fit,
# as one who means harm would.


DROP = object()


def edit_config(**changes):
    """Change config.json: what it says of the architecture, or else a key at its top."""

    def damage(folder):
        path = folder / "config.json"
        config = json.loads(path.read_text())
        for key, value in changes.items():
            place = config["architecture"] if key in config["architecture"] else config
            place[key] = value
            if value is DROP:
                del place[key]
        path.write_text(json.dumps(config))

    return damage


def edit_rows(**changes):
    def damage(folder):
        config = json.loads((folder / "config.json").read_text())
        config["rows"] |= changes
        (folder / "config.json").write_text(json.dumps(config))

    return damage


def write(name, content):
    return lambda folder: (folder / name).write_bytes(content)


def edit_tensors(change):
    def damage(folder):
        tensors = load_file(folder / "model.safetensors")
        change(tensors)
        save_file(tensors, folder / "model.safetensors")

    return damage


def poison(value):
    def change(tensors):
        tensors["embedding.embedding"][2, 1] = value

    return edit_tensors(change)


def safetensors(header, length=None, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return write("model.safetensors", struct.pack("<Q", len(text) if length is None else length) + text + data)


def edit_header(change):
    def damage(folder):
        data = (folder / "model.safetensors").read_bytes()
        size = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + size])
        change(header)
        safetensors(header, data=data[8 + size :])(folder)

    return damage


def vocabulary_of(spelled=tuple("wxyz"), metadata=(("tokenizer", "unicode"),), **arrays):
    """Write another vocabulary: these words, or else any arrays."""

    def damage(folder):
        letters = [word.encode() for word in spelled]
        whole = {
            "words": np.frombuffer(b"".join(letters), np.uint8),
            "offsets": np.cumsum([0, *map(len, letters)]).astype(np.int32),
            "counts": np.ones(len(letters), np.int64),
        }
        given = {name: array for name, array in (whole | arrays).items() if array is not DROP}
        save_file(given, folder / "vocabulary.safetensors", dict(metadata))

    return damage


def integers(*values):
    return np.array(values, np.int32)


def instead_of(name, put):
    def damage(folder):
        (folder / name).unlink()
        put(folder / name)
        return True

    return damage


def sparse(name):
    def damage(folder):
        with (folder / name).open("ab") as file:
            file.truncate(1 << 36)
        return True

    return damage


def flip(folder):
    data = bytearray((folder / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (folder / "model.safetensors").write_bytes(data)
    return True


def unsealed(damage):
    return lambda folder: damage(folder) is None or True


def seal(folder):
    sums = [f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in FILES]
    (folder / "SHA256SUMS").write_text("".join(sums))


def truncated(name, less):
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:-less])


NAMES = "classes: expected 1 to 100,000 names of classes, each once"
MAX_LEN = "architecture.max_len: expected a whole number from 1 to 32,768, or null"
EMBED_DIM = "architecture.embed_dim: expected a whole number from 1 to 100,000"
HIDDEN = "architecture.hidden: expected a whole number from 0 to 100,000"
PREFIX = "architecture.prefix: expected a whole number from 1 to 1,000, or null"
POOLING = f"architecture.pooling: expected one of {', '.join(POOLINGS)}"
NO_LAYER = "architecture: no output layer, and no dimension for each class; get the model again"
NO_WORDS = "not a vocabulary: the offsets do not part the letters into words; get the model again"
FORMAT = "this version of flaxtext reads format 5: train the model again"
HOSTILE = {
    "no config": (instead_of("config.json", lambda _: None), "not a model: no config.json"),
    "no tensors": (instead_of("model.safetensors", lambda _: None), "not a model: no model.safetensors"),
    "no vocabulary": (instead_of(VOCABULARY, lambda _: None), "not a model: no vocabulary.safetensors"),
    "no checksums": (instead_of("SHA256SUMS", lambda _: None), "not a model: no SHA256SUMS"),
    "a flipped bit": (flip, "model.safetensors: damaged, edited or of another model"),
    "an edited config": (unsealed(edit_config(max_len=5)), "config.json: damaged, edited or of another model"),
    "a vocabulary of another model": (unsealed(vocabulary_of(list("wxyz"))), f"{VOCABULARY}: damaged, edited or of"),
    "empty checksums": (instead_of("SHA256SUMS", lambda path: path.touch()), "no checksum of config.json"),
    "binary checksums": (instead_of("SHA256SUMS", lambda path: path.write_bytes(b"\xff" * 99)), "not UTF-8"),
    "a folder instead of a file": (instead_of("model.safetensors", lambda path: path.mkdir()), "is not a file"),
    "a link to a device": (instead_of(VOCABULARY, lambda path: path.symlink_to("/dev/zero")), "is not a file"),
    "a link to nothing": (instead_of("config.json", lambda path: path.symlink_to("nowhere")), "no config.json"),
    "a link in a circle": (instead_of("config.json", lambda path: path.symlink_to(path)), "cannot be read"),
    "a link to another file": (
        instead_of("model.safetensors", lambda path: path.symlink_to("/etc/passwd")),
        "damaged, edited or of another model",
    ),
    "a pipe": (instead_of("config.json", os.mkfifo), "is not a file"),
    "a config of 64 GB": (sparse("config.json"), "at most 1,048,576 are read"),
    "tensors of 64 GB": (sparse("model.safetensors"), "at most 672,137,216 are read"),
    "a vocabulary of 64 GB": (sparse(VOCABULARY), "at most 672,137,216 are read"),
    "a config of another format": (
        edit_config(format=99),
        f"format 99; {FORMAT}",
    ),
    "a config that is no JSON": (write("config.json", b'{"format": 2'), "config.json: not JSON"),
    "a config that is no UTF-8": (write("config.json", b'{"\xff": 2}'), "config.json: not UTF-8"),
    "a config that is no object": (write("config.json", b"[1, 2]"), "not an object of keys and values"),
    "a config of many brackets": (write("config.json", b"[" * 200_000), "config.json: not JSON"),
    "a config of many digits": (write("config.json", b'{"format": ' + b"9" * 20_000 + b"}"), "config.json: not JSON"),
    "a config without classes": (edit_config(classes=DROP), "config.json: classes: missing; get the model again"),
    "a config without max_len": (
        edit_config(max_len=DROP),
        "config.json: architecture.max_len: missing; get",
    ),
    "classes of numbers": (
        edit_config(classes=[1, 2]),
        f"{NAMES}, got [1, 2]",
    ),
    "classes that are no list": (
        edit_config(classes="bad good"),
        f"{NAMES}, got 'bad good'",
    ),
    "no classes": (edit_config(classes=[]), f"{NAMES}, got []"),
    "a class twice": (
        edit_config(classes=["good", "good"]),
        f"{NAMES}, got ['good', 'good']",
    ),
    "max_len of text": (
        edit_config(max_len="4"),
        f"{MAX_LEN}, got '4'",
    ),
    "absurd max_len": (
        edit_config(max_len=10**15),
        f"{MAX_LEN}, got 1000",
    ),
    "negative max_len": (
        edit_config(max_len=-1),
        f"{MAX_LEN}, got -1",
    ),
    "absurd embed_dim": (
        edit_config(embed_dim=10**12),
        f"{EMBED_DIM}, got 1000000000000",
    ),
    "embed_dim beyond the file": (edit_config(embed_dim=100_000), "config.json and vocabulary.safetensors ask for"),
    "absurd hidden": (
        edit_config(hidden=2**63),
        f"{HIDDEN}, got 9223372036854775808",
    ),
    "embed_dim of NaN": (
        edit_config(embed_dim=float("nan")),
        f"{EMBED_DIM}, got nan",
    ),
    "unknown pooling": (
        edit_config(pooling="__import__"),
        POOLING,
    ),
    "pooling of a list": (
        edit_config(pooling=["mean"]),
        POOLING,
    ),
    "a config without an architecture": (edit_config(architecture=DROP), "config.json: architecture: missing"),
    "an architecture that is a list": (
        edit_config(architecture=[1]),
        "architecture: expected keys and values, got [1]",
    ),
    "a config without pooling": (edit_config(pooling=DROP), "architecture.pooling: missing"),
    "a config without variant": (edit_config(variant=DROP), "config.json: variant: missing"),
    "seeds of true": (edit_config(seeds=True), "seeds: expected a whole number from 1 to 100, got True"),
    "absurd seeds": (edit_config(seeds=10**9), "seeds: expected a whole number from 1 to 100, got 1000000000"),
    "an ensemble of seeds that are not there": (
        edit_config(seeds=3, ensemble=True),
        "not a model: no model-2.safetensors",
    ),
    "ensemble of text": (edit_config(ensemble="no"), "ensemble: expected true or false, got 'no'"),
    "absurd prefix": (
        edit_config(prefix=10**30),
        PREFIX,
    ),
    "prefix of true": (
        edit_config(prefix=True),
        PREFIX,
    ),
    "a prefix beyond the file": (edit_config(prefix=2), "config.json and vocabulary.safetensors ask for"),
    "absurd ngrams": (edit_config(ngrams=6), "architecture.ngrams: expected a whole number from 1 to 5, got 6"),
    "a kind of its own": (edit_config(kind="svm"), "config.json: kind: expected network or linear, got 'svm'"),
    "a kind in a list": (edit_config(kind=["linear"]), "config.json: kind: expected network or linear, got ['linear']"),
    "no kind": (edit_config(kind=DROP), "config.json: kind: missing; get the model again"),
    "no rows": (edit_config(rows=DROP), "config.json: rows: missing; get the model again"),
    "rows of a list": (edit_config(rows=[1]), "rows: expected keys and values, got [1]"),
    "rows of one kind": (
        edit_config(rows={"ngrams": 0}),
        "rows.characters: expected a whole number from 0 to 16,777,216",
    ),
    "absurd rows": (
        edit_rows(ngrams=2**40),
        "rows.ngrams: expected a whole number from 0 to 16,777,216, got 1099511627",
    ),
    "rows of true": (
        edit_rows(characters=True),
        "rows.characters: expected a whole number from 0 to 16,777,216, got True",
    ),
    "negative rows": (edit_rows(vectors=-1), "rows.vectors: expected a whole number from 0 to 16,777,216, got -1"),
    "n-grams beyond the file": (edit_rows(ngrams=2), "config.json and vocabulary.safetensors ask for"),
    "characters beyond the file": (edit_rows(characters=2), "config.json and vocabulary.safetensors ask for"),
    "vectors beyond the file": (edit_rows(vectors=2), "config.json and vocabulary.safetensors ask for"),
    "all rows that there can be": (
        edit_rows(ngrams=2**24, characters=2**24, vectors=2**24),
        "config.json and vocabulary.safetensors ask for 805,306,",
    ),
    "more rows than a model has": (
        lambda folder: [edit(folder) for edit in (edit_rows(ngrams=2**24), edit_config(embed_dim=10))],
        "parameters of 671,089,",
    ),
    "marks of text": (edit_config(marks="no"), "architecture.marks: expected true or false, got 'no'"),
    "no marks": (edit_config(marks=DROP), "architecture.marks: missing; get the model again"),
    "vectors of a number": (edit_config(vectors=1), "architecture.vectors: expected true or false, got 1"),
    "absurd characters": (
        edit_config(characters=21),
        "architecture.characters: expected a whole number from 0 to 20, got 21",
    ),
    "characters of null": (
        edit_config(characters=None),
        "architecture.characters: expected a whole number from 0 to 20, got None",
    ),
    "output of null": (edit_config(output=None), "architecture.output: expected true or false, got None"),
    "padding without a size": (
        edit_config(max_len=None),
        "config.json: architecture.max_len: padded_mean needs one, got null",
    ),
    "a hidden layer and no output": (edit_config(output=False), NO_LAYER),
    "no output layer and too many dimensions": (edit_config(output=False, hidden=0), NO_LAYER),
    "no output layer, and the tensors of one": (
        edit_config(output=False, hidden=0, embed_dim=2),
        "config.json and vocabulary.safetensors ask for",
    ),
    "weights that are not there": (edit_config(pooling="tfidf"), "config.json and vocabulary.safetensors ask for"),
    "hashes that are not asked for": (
        edit_tensors(lambda tensors: tensors.update({"ngrams.keys": np.arange(2, dtype=np.uint32)})),
        "config.json and vocabulary.safetensors ask for",
    ),
    "parameters beyond all bounds": (
        edit_config(max_len=10_000, pooling="flatten", embed_dim=100_000, hidden=1000),
        "bytes; at most",
    ),
    "data of some keys": (edit_config(data={"source": "films"}), "data.documents: not of the right type: None"),
    "an odd library": (edit_config(versions={"j\na\x1bx" * 50: 1}), "not of the right type: 1"),
    "no pooling": (edit_config(pooling=None), POOLING),
    "another pooling": (edit_config(pooling="flatten"), "config.json and vocabulary.safetensors ask for"),
    "data of text": (edit_config(data="films"), "data: expected keys and values, got 'films'"),
    "versions of numbers": (edit_config(versions={"jax": 1}), "versions.jax: not of the right type: 1"),
    "truncated tensors": (truncated("model.safetensors", 10), "config.json and vocabulary.safetensors ask for"),
    "tensors of 3 bytes": (write("model.safetensors", b"abc"), "model.safetensors"),
    "empty tensors": (write("model.safetensors", b""), "model.safetensors"),
    "a pickle": (write("model.safetensors", b"\x80\x04\x95" + b"\x00" * 500), "model.safetensors"),
    "a header of 2^60 bytes": (safetensors({}, length=2**60), "a header of 1,152,921,504,606,846,976 bytes"),
    "a header of 100 MB": (safetensors(b" " * 100_000_000), "a header of 100,000,000 bytes"),
    "a header that is no JSON": (safetensors(b"[" * 4000, data=b"\0" * 188), "not safetensors, or damaged"),
    "a huge declared shape": (
        edit_header(lambda header: header["embedding.embedding"].update(shape=[2**40, 2**20])),
        "not safetensors, or damaged",
    ),
    "offsets beyond the end": (
        edit_header(lambda header: header["output.bias"].update(data_offsets=[0, 2**62])),
        "not safetensors, or damaged",
    ),
    "overlapping tensors": (
        edit_header(lambda header: header["hidden.bias"].update(data_offsets=header["output.bias"]["data_offsets"])),
        "not safetensors, or damaged",
    ),
    "a tensor of another name": (
        edit_header(lambda header: header.update(more=header.pop("output.bias"))),
        "'more' is F32 of 2; config.json and vocabulary.safetensors ask for nothing",
    ),
    "a missing tensor": (edit_tensors(lambda tensors: tensors.pop("hidden.bias")), "ask for"),
    "an extra tensor": (edit_tensors(lambda tensors: tensors.update(more=np.zeros(9, np.float32))), "ask for"),
    "an empty extra tensor": (
        edit_tensors(lambda tensors: tensors.update({"x\ny": np.zeros(0, np.float32)})),
        r"'x\\ny' is F32 of 0; config.json and vocabulary.safetensors ask for nothing",
    ),
    "another shape": (edit_tensors(lambda t: t.update({"output.bias": np.zeros(3, np.float32)})), "ask for"),
    "swapped axes": (
        edit_tensors(lambda t: t.update({"hidden.kernel": np.ascontiguousarray(t["hidden.kernel"].T)})),
        "'hidden.kernel' is F32 of 5 x 3; config.json and vocabulary.safetensors ask for F32 of 3 x 5",
    ),
    "float64": (edit_tensors(lambda t: t.update({"output.bias": np.zeros(2)})), "ask for"),
    "int32": (
        edit_tensors(lambda t: t.update({"output.bias": np.zeros(2, np.int32)})),
        "'output.bias' is I32 of 2; config.json and vocabulary.safetensors ask for F32 of 2",
    ),
    "NaN": (poison(np.nan), "embedding.embedding holds NaN or infinity"),
    "infinity": (poison(-np.inf), "embedding.embedding holds NaN or infinity"),
    "a vocabulary that is no safetensors": (write(VOCABULARY, b"PAR1" + b"x" * 99), "a header of"),
    "a vocabulary of a few bytes": (write(VOCABULARY, b"abc"), "vocabulary.safetensors: not safetensors, or damaged"),
    "an empty vocabulary": (write(VOCABULARY, b""), "vocabulary.safetensors: not safetensors, or damaged"),
    "a truncated vocabulary": (truncated(VOCABULARY, 30), "vocabulary.safetensors: not safetensors, or damaged"),
    "a longer vocabulary": (vocabulary_of(list("uvwxyz")), "config.json and vocabulary.safetensors ask for"),
    "no words": (
        vocabulary_of(words=np.zeros(0, np.uint8), offsets=integers(0), counts=np.zeros(0, np.int64)),
        "config.json and vocabulary.safetensors ask for",
    ),
    "no offsets": (
        vocabulary_of(offsets=integers(), counts=np.zeros(0, np.int64)),
        "not a vocabulary: 0 counts and 0 offsets, which are one more than the words; get the model again",
    ),
    "fewer counts than words": (vocabulary_of(counts=np.ones(3, np.int64)), "not a vocabulary: 3 counts and 5 offsets"),
    "a vocabulary without counts": (
        vocabulary_of(counts=DROP),
        "'counts' is nothing; a vocabulary asks for I64 of any length",
    ),
    "a vocabulary of more": (
        vocabulary_of(more=integers(1)),
        "'more' is I32 of 1; a vocabulary asks for nothing",
    ),
    "offsets of 64 bits": (
        vocabulary_of(offsets=np.arange(5)),
        "'offsets' is I64 of 5; a vocabulary asks for I32 of any length",
    ),
    "words in a table": (
        vocabulary_of(words=np.full((2, 2), 120, np.uint8)),
        "'words' is U8 of 2 x 2; a vocabulary asks for U8 of any length",
    ),
    "offsets beyond the letters": (vocabulary_of(offsets=integers(0, 1, 2, 3, 2**31 - 1)), NO_WORDS),
    "offsets below 0": (vocabulary_of(offsets=integers(-1, 1, 2, 3, 4)), NO_WORDS),
    "offsets that fall": (vocabulary_of(offsets=integers(0, 3, 2, 3, 4)), NO_WORDS),
    "offsets that leave letters": (vocabulary_of(offsets=integers(0, 1, 2, 3, 3)), NO_WORDS),
    "an empty word": (vocabulary_of(offsets=integers(0, 1, 1, 3, 4)), NO_WORDS),
    "a count of 0": (vocabulary_of(counts=np.arange(4)), "not a vocabulary: a word occurs less than once"),
    "a count below 0": (
        vocabulary_of(counts=np.array([2, 1, 0, -1])),
        "not a vocabulary: a word occurs less than once",
    ),
    "a word twice": (vocabulary_of(["w", "x", "w", "z"]), "not a vocabulary: a word occurs twice; get the model again"),
    "no tokenizer": (
        vocabulary_of(metadata=()),
        "vocabulary.safetensors: tokenizer None; this version of flaxtext has",
    ),
    "an unknown tokenizer": (
        vocabulary_of(metadata=[("tokenizer", "latin")]),
        "tokenizer 'latin'; this version of flaxtext has unicode, keras: train the model again, by `dvc repro` in its",
    ),
    "a word that is no UTF-8": (
        vocabulary_of(words=np.frombuffer(b"wx\xffz", np.uint8)),
        "not a vocabulary: a word is not UTF-8",
    ),
    "half a letter in two words": (
        vocabulary_of(words=np.frombuffer("w\u00e9z".encode(), np.uint8)),
        "not a vocabulary: a word is not UTF-8",
    ),
    "20 million words": (
        vocabulary_of(
            words=np.full(20_000_000, 97, np.uint8),
            offsets=np.arange(20_000_001, dtype=np.int32),
            counts=np.ones(20_000_000, np.int64),
        ),
        "20,000,000 words of 19 MB; a model has at most 16,777,216, of 256 MB",
    ),
}
LOAD = """
import json, sys
from bench.measure import peak_memory
from flaxtext.artifacts.bundle import read_bundle
from flaxtext.core.errors import UserError
from pathlib import Path
results = {}
for folder in sorted(Path(sys.argv[1]).iterdir()):
    try:
        read_bundle(folder)
        results[folder.name] = "loaded"
    except UserError as error:
        results[folder.name] = str(error)
results["peak"] = peak_memory()
print(json.dumps(results))
"""


@pytest.fixture(scope="module")
def refusals(tmp_path_factory):
    """What a process of its own said of each hostile bundle, and the most memory that it ever had."""
    folder = tmp_path_factory.mktemp("hostile")
    whole = make(tmp_path_factory.mktemp("whole") / "model")
    for name, (damage, _) in HOSTILE.items():
        hostile = folder / name
        shutil.copytree(whole, hostile)
        if damage(hostile) is not True:
            seal(hostile)
    command = [sys.executable, "-W", "error", "-c", LOAD, str(folder)]
    ran = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False, timeout=300)
    shutil.rmtree(folder)
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr == ""
    return json.loads(ran.stdout)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_bundle_is_refused_in_one_line(refusals, name):
    message = refusals[name]
    assert HOSTILE[name][1].replace("\\\\", "\\") in message
    assert message.isprintable()
    assert len(message) < 600


def test_hostile_bundles_take_less_than_1_gb(refusals):
    assert refusals["peak"] < 1000  # MB


MUTATE = """
import hashlib, random, sys
from pathlib import Path
import flaxtext
from flaxtext.core.errors import UserError
folder, rng, right = Path(sys.argv[1]), random.Random(sys.argv[2]), 0
path, sums = folder / "vocabulary.safetensors", folder / "SHA256SUMS"
whole, others = path.read_bytes(), [line for line in sums.open() if path.name not in line]
for _ in range(int(sys.argv[3])):
    data = bytearray(whole)
    for _ in range(rng.choice([1, 1, 2, 8])):
        at = rng.randrange(len(data))
        match rng.randrange(4):
            case 0: data[at] ^= 1 << rng.randrange(8)
            case 1: data[at : at + 4] = rng.choice([b"\\0" * 4, b"\\xff" * 4, b"\\xff" * 3 + b"\\x7f", b"9999"])
            case 2: del data[at : at + 8]
            case 3: data[at:at] = rng.randbytes(8)
    path.write_bytes(data)
    sums.write_text("".join(others) + f"{hashlib.sha256(data).hexdigest()}  {path.name}\\n")
    try:
        model = flaxtext.load(folder)
        right += model.predict(["a good film", "\\xe9"]).shape == (2,)
    except UserError as error:
        assert str(error).isprintable() and len(str(error)) < 600, error
print("right:", right)
"""


@pytest.mark.parametrize("cases", [300, pytest.param(2000, marks=pytest.mark.slow)])
def test_no_damage_to_the_vocabulary_aborts(bundle, cases):
    """Its bytes are changed at random, and its checksum with them."""
    right = int(run(MUTATE, str(bundle), "0", str(cases)).removeprefix("right: "))
    assert 0 < right < cases / 2  # a letter or a count for another


def test_words_too_many_for_a_model_are_refused_when_they_are_written(tmp_path, monkeypatch):
    monkeypatch.setattr("flaxtext.artifacts.vocabulary.MAX_WORDS", 3)
    with pytest.raises(
        UserError, match=r"^4 words of 0 MB; a model has at most 3, of 256 MB: raise build_vocab\.min_c"
    ):
        write_vocabulary(tmp_path / "vocab.parquet", words())
    assert not list(tmp_path.iterdir())


def test_a_part_of_a_vocabulary_is_written_and_read(tmp_path):
    part = Vocabulary(pa.array(["before", "é", "🦊 x", "after"])[1:3], np.array([5, 1]))
    write_words(tmp_path / "words", part)
    again = read_words(tmp_path / "words")
    assert (again.words.to_pylist(), again.counts.tolist()) == (["é", "🦊 x"], [5, 1])
    assert again.tokenizer == "unicode"
    write_words(tmp_path / "words", Vocabulary(part.words, part.counts, "keras"))
    assert read_words(tmp_path / "words").tokenizer == "keras"
    write_words(tmp_path / "words", Vocabulary(pa.array([], pa.string()), np.zeros(0, np.int64)))
    assert len(read_words(tmp_path / "words")) == 0


def test_what_is_no_folder(tmp_path):
    make(tmp_path / "here")
    with pytest.raises(UserError, match=r"nowhere: no such model; .* has here"):
        read_bundle(tmp_path / "nowhere")


@pytest.mark.parametrize("version", [1, 2, 3, 4])
def test_a_bundle_of_an_older_format_says_how_to_make_a_new_one(bundle, version):
    edit_config(format=version)(bundle)
    (bundle / "SHA256SUMS").unlink()
    (bundle / VOCABULARY).rename(bundle / "vocab.parquet")
    message = f"config.json: format {version}; {FORMAT}, by `dvc repro` in its project"
    with pytest.raises(UserError) as error:
        read_bundle(bundle)
    assert str(error.value) == f"{bundle}/{message}"
    (bundle / "SHA256SUMS").touch()  # which formats 2 and 3 had, too
    with pytest.raises(UserError) as error:
        read_bundle(bundle)
    assert str(error.value) == f"{bundle}/{message}"


@pytest.fixture
def weighted(tmp_path):
    """A model of words, pairs and characters, weighted."""
    return make(tmp_path / "weighted", sizes=WEIGHTED, hashes=HASHES, kind="linear")


def test_what_lies_in_a_bundle_of_weighted_features(weighted):
    tensors = load_file(weighted / "model.safetensors")
    assert {name: (array.dtype.name, array.shape) for name, array in tensors.items()} == {
        "embedding.idf": ("float32", (10,)),
        "embedding.embedding": ("float32", (10, 2)),
        "output.bias": ("float32", (2,)),
        "ngrams.keys": ("uint32", (3,)),
        "characters.keys": ("uint32", (2,)),
    }
    config = json.loads((weighted / "config.json").read_text())
    assert (config["format"], config["kind"]) == (5, "linear")
    assert config["rows"] == {"ngrams": 3, "characters": 2, "vectors": 0}
    model = read_bundle(weighted)
    assert model.is_linear
    assert all(np.array_equal(getattr(model.features, kind), keys) for kind, keys in HASHES.items())
    assert (model.architecture.rows, model.architecture.max_len, model.architecture.output) == (10, None, False)
    probability = model.predict_proba(["a good film", "", "nothing known", "a bad film"])
    np.testing.assert_allclose(probability.sum(axis=1), 1, rtol=1e-5)
    assert np.array_equal(probability[1], probability[2])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (edit_rows(ngrams=2), "model.safetensors: .* bytes; config.json and vocabulary.safetensors ask for .*"),
        (
            edit_tensors(lambda t: t.update({"ngrams.keys": t["ngrams.keys"].astype(np.int32)})),
            "'ngrams.keys' is I32 of 3; config.json and vocabulary.safetensors ask for U32 of 3",
        ),
        (
            edit_tensors(lambda t: t.update({"ngrams.keys": t["ngrams.keys"].view(np.float32)})),
            "'ngrams.keys' is F32 of 3; config.json and vocabulary.safetensors ask for U32 of 3",
        ),
        (
            edit_tensors(lambda t: t.pop("characters.keys")),
            ".* bytes; config.json and vocabulary.safetensors ask for .*",
        ),
        (edit_tensors(lambda t: t.pop("embedding.idf")), ".* bytes; config.json and vocabulary.safetensors ask for .*"),
        (
            edit_tensors(lambda t: t.update({"ngrams.keys": t["ngrams.keys"][::-1].copy()})),
            "ngrams.keys are not in ascending order; get the model again",
        ),
        (
            edit_tensors(lambda t: t.update({"characters.keys": np.array([5, 5], np.uint32)})),
            "characters.keys are not in ascending order; get the model again",
        ),
        (
            edit_tensors(lambda t: t["embedding.idf"].__setitem__(3, np.inf)),
            "embedding.idf holds NaN or infinity; train the model again",
        ),
        (
            edit_config(output=True),
            ".* bytes; config.json and vocabulary.safetensors ask for .*",
        ),
    ],
)
def test_hostile_hashes_and_weights_are_refused_in_one_line(weighted, damage, message):
    damage(weighted)
    seal(weighted)
    with pytest.raises(UserError, match=message) as error:
        read_bundle(weighted)
    assert str(error.value).isprintable()


@pytest.mark.parametrize("ids", [[0, 1], [1, 5], [2**31, 2**32 - 1]])
def test_vectors_are_of_words_that_there_are(tmp_path, ids):
    sizes = {**WEIGHTED, "vectors": True}
    known = Features(words().words, Reading(ngrams=2, characters=3, vectors=True), vectors=np.array([1, 2], np.int32))
    assert known.rows == 7
    folder = make(tmp_path / "model", sizes={**WEIGHTED}, hashes=HASHES)
    path = folder / "model.safetensors"
    tensors = load_file(path)
    for name in ("embedding.idf", "embedding.embedding"):
        tensors[name] = np.concatenate([tensors[name], tensors[name][:2]])
    save_file(tensors | {"vectors.ids": np.array(ids, np.uint32)}, path)
    edit_config(vectors=sizes["vectors"])(folder)
    edit_rows(vectors=2)(folder)
    seal(folder)
    with pytest.raises(UserError, match=r"vectors\.ids are no ids of words; get the model again$"):
        read_bundle(folder)
