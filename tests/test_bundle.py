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
import pyarrow.parquet as pq
import pytest
from conftest import PROJECT
from safetensors.numpy import load_file, save_file

import flaxtext
from flaxtext.artifacts.bundle import FILES, check_size, load_bundle, save_bundle
from flaxtext.core.errors import UserError
from flaxtext.text import vocabulary
from flaxtext.train.card import render_card
from flaxtext.train.network import build, split

CONFIG = {"classes": ["bad", "good"], "max_len": 4, "pooling": "mean", "embed_dim": 3, "hidden": 5}
TRAINED = {
    "variant": "tiny_3",
    **CONFIG,
    "epochs": 2,
    "validation_from": "train",
    "data": {"source": "films", "checksums": {"train": "ab12"}, "documents": 1234, "validation_documents": 56},
    "last_epoch": {"epoch": 2, "validation_loss": 0.5, "validation_accuracy": 0.75},
}


def words():
    return vocabulary.fit([pa.array(["a good film", "a bad film"])])


def make(path, config=CONFIG, card=None):
    parameters = split(build(config, words().rows, seed=0))[1]
    save_bundle(path, config, [parameters], words(), card=card and card(config, parameters, words()))
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
    probability = model.predict(["A good film!", "", "nothing known"])
    assert probability.shape == (3, 2)
    assert model.classes == ["bad", "good"]
    np.testing.assert_allclose(probability.sum(axis=1), 1, rtol=1e-5)
    assert np.array_equal(probability[1], probability[2])
    ids = model.token_ids(["a", "good", "film"])
    assert np.array_equal(model.probabilities(np.array([[*ids, 0]], np.int32))[0], model.predict(["a good film"])[0])
    assert model.tokenize(["A good, film"]) == [["a", "good", "film"]]


def test_two_savings_give_the_same_bytes(tmp_path):
    first, second = (make(tmp_path / name, TRAINED, render_card) for name in ("first", "second"))
    assert sorted(path.name for path in first.iterdir()) == sorted([*FILES, "README.md", "SHA256SUMS"])
    for path in first.iterdir():
        assert (second / path.name).read_bytes() == path.read_bytes()


def test_the_card_says_what_is_known_when_a_model_is_trained(tmp_path):
    hostile = {**TRAINED, "classes": ["a|b", "<b>*x*</b>\n# no heading"]}
    card = (make(tmp_path / "model", hostile, render_card) / "README.md").read_text(encoding="utf-8")
    assert "# tiny\\_3\n" in card
    assert "| documents | 1,234 to train on, 56 to watch |" in card
    assert "accuracy 0.750 and loss 0.500 on the 56 documents held out of the training split" in card
    assert "`metrics/tiny_3.json`" in card
    assert r"a\|b, \<b\>\*x\*\</b\> # no heading." in card
    assert "| epochs | 2 |" in card
    assert str(tmp_path) not in card


def test_a_card_without_validation(tmp_path):
    alone = {**TRAINED, "last_epoch": {"epoch": 2, "validation_loss": None, "validation_accuracy": None}}
    card = (make(tmp_path / "model", alone, render_card) / "README.md").read_text(encoding="utf-8")
    assert "No documents were held out" in card


def test_files_may_be_links_as_dvc_makes_them(bundle, tmp_path):
    linked = tmp_path / "linked"
    linked.mkdir()
    for path in bundle.iterdir():
        (linked / path.name).symlink_to(path)
    assert load_bundle(linked).classes == ["bad", "good"]


def test_a_network_that_could_not_be_loaded_is_not_trained():
    with pytest.raises(UserError, match=r"would take .* MB, and a model at most 512; lower embed_dim"):
        check_size({**CONFIG, "embed_dim": 90_000}, 1_000_000)


def test_importing_flaxtext_is_cheap():
    heavy = "{'jax', 'flax', 'numpy', 'pyarrow', 'pandas'}"
    code = f"import sys, flaxtext, flaxtext.cli.main; print({heavy} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "set()"


def test_to_predict_takes_no_flax():
    modules = "stages.evaluate, stages.explain, stages.report"
    modules += ", flaxtext.cli.main, flaxtext.cli.predict, flaxtext.cli.export"
    code = f"import sys, {modules}; print({{'flax', 'optax'}} & set(sys.modules), 'jax' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PROJECT)
    assert ran.stdout.strip() == "set() True"


# Hostile bundles. A damage returns True to leave the checksums as they were; after the others they are made to fit,
# as one who means harm would.


def edit_config(**changes):
    def damage(folder):
        path = folder / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return damage


def drop_config(key):
    def damage(folder):
        path = folder / "config.json"
        path.write_text(json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != key}))

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


def vocabulary_of(words, ids=None, **options):
    def damage(folder):
        n = len(words)
        numbers = pa.array(range(1, n + 1) if ids is None else ids, pa.int32())
        table = pa.table([pa.array(words, pa.string()), pa.array([1] * n, pa.int64()), numbers], vocabulary.SCHEMA)
        pq.write_table(table, folder / "vocab.parquet", **{"compression": "none", **options})

    return damage


def bomb(folder, word="a", rows=1_000_000, times=20, **options):
    """Millions of rows in a few kilobytes: one word, over and over."""
    word = pa.DictionaryArray.from_arrays(np.zeros(rows, np.int32), pa.array([word])).cast(pa.string())
    columns = [word, pa.array(np.ones(rows, np.int64)), pa.array(np.arange(rows, dtype=np.int32))]
    with pq.ParquetWriter(folder / "vocab.parquet", vocabulary.SCHEMA, **{"compression": "none", **options}) as writer:
        for _ in range(times):
            writer.write_batch(pa.record_batch(columns, schema=vocabulary.SCHEMA))


def invalid_word(folder):
    vocabulary_of(["zz1", "zz2", "zz3", "zz4"])(folder)
    path = folder / "vocab.parquet"
    path.write_bytes(path.read_bytes().replace(b"zz", b"\xff\xfe"))


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


HOSTILE = {
    "no config": (instead_of("config.json", lambda _: None), "not a model: no config.json"),
    "no tensors": (instead_of("model.safetensors", lambda _: None), "not a model: no model.safetensors"),
    "no vocabulary": (instead_of("vocab.parquet", lambda _: None), "not a model: no vocab.parquet"),
    "no checksums": (instead_of("SHA256SUMS", lambda _: None), "not a model: no SHA256SUMS"),
    "a flipped bit": (flip, "model.safetensors: damaged, edited or of another model"),
    "an edited config": (unsealed(edit_config(max_len=5)), "config.json: damaged, edited or of another model"),
    "a vocabulary of another model": (unsealed(vocabulary_of(list("wxyz"))), "vocab.parquet: damaged, edited or of"),
    "empty checksums": (instead_of("SHA256SUMS", lambda path: path.touch()), "no checksum of config.json"),
    "binary checksums": (instead_of("SHA256SUMS", lambda path: path.write_bytes(b"\xff" * 99)), "not UTF-8"),
    "a folder instead of a file": (instead_of("model.safetensors", lambda path: path.mkdir()), "is not a file"),
    "a link to a device": (instead_of("vocab.parquet", lambda path: path.symlink_to("/dev/zero")), "is not a file"),
    "a link to nothing": (instead_of("config.json", lambda path: path.symlink_to("nowhere")), "no config.json"),
    "a link in a circle": (instead_of("config.json", lambda path: path.symlink_to(path)), "cannot be read"),
    "a link to another file": (
        instead_of("model.safetensors", lambda path: path.symlink_to("/etc/passwd")),
        "damaged, edited or of another model",
    ),
    "a pipe": (instead_of("config.json", os.mkfifo), "is not a file"),
    "a config of 64 GB": (sparse("config.json"), "at most 1,048,576 are read"),
    "tensors of 64 GB": (sparse("model.safetensors"), "at most 537,919,488 are read"),
    "a vocabulary of 64 GB": (sparse("vocab.parquet"), "at most 537,919,488 are read"),
    "a config of another format": (edit_config(format=99), "format 99; this version of flaxtext reads format 2"),
    "a config that is no JSON": (write("config.json", b'{"format": 2'), "config.json: not JSON"),
    "a config that is no UTF-8": (write("config.json", b'{"\xff": 2}'), "config.json: not UTF-8"),
    "a config that is no object": (write("config.json", b"[1, 2]"), "not an object of keys and values"),
    "a config of many brackets": (write("config.json", b"[" * 200_000), "config.json: not JSON"),
    "a config of many digits": (write("config.json", b'{"format": ' + b"9" * 20_000 + b"}"), "config.json: not JSON"),
    "a config without classes": (drop_config("classes"), "config.json: classes: Field required"),
    "a config without max_len": (drop_config("max_len"), "config.json: max_len: Field required"),
    "classes of numbers": (edit_config(classes=[1, 2]), "classes.0: expected a valid string"),
    "classes that are no list": (edit_config(classes="bad good"), "classes: expected a valid list"),
    "no classes": (edit_config(classes=[]), "classes: List should have at least 1 item"),
    "a class twice": (edit_config(classes=["good", "good"]), "classes: names a class twice"),
    "max_len of text": (edit_config(max_len="4"), "max_len: expected a valid integer"),
    "absurd max_len": (edit_config(max_len=10**15), "max_len: expected less than or equal to 10000"),
    "negative max_len": (edit_config(max_len=-1), "max_len: expected greater than or equal to 1"),
    "absurd embed_dim": (edit_config(embed_dim=10**12), "embed_dim: expected less than or equal to 100000"),
    "embed_dim beyond the file": (edit_config(embed_dim=100_000), "config.json and vocab.parquet ask for"),
    "absurd hidden": (edit_config(hidden=2**63), "hidden: expected less than or equal to 100000"),
    "embed_dim of NaN": (edit_config(embed_dim=float("nan")), "embed_dim: expected a valid integer"),
    "unknown pooling": (edit_config(pooling="__import__"), "pooling: '__import__' is not one of"),
    "pooling of a list": (edit_config(pooling=["mean"]), "pooling: expected a valid string"),
    "another pooling": (edit_config(pooling="flatten"), "config.json and vocab.parquet ask for"),
    "data of text": (edit_config(data="films"), "data: expected a valid dictionary or instance"),
    "versions of numbers": (edit_config(versions={"jax": 1}), "versions.jax: expected a valid string"),
    "truncated tensors": (truncated("model.safetensors", 10), "config.json and vocab.parquet ask for"),
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
        "'more' is F32 of 2; config.json and vocab.parquet ask for nothing",
    ),
    "a missing tensor": (edit_tensors(lambda tensors: tensors.pop("hidden.bias")), "ask for"),
    "an extra tensor": (edit_tensors(lambda tensors: tensors.update(more=np.zeros(9, np.float32))), "ask for"),
    "an empty extra tensor": (
        edit_tensors(lambda tensors: tensors.update({"x\ny": np.zeros(0, np.float32)})),
        r"'x\\ny' is F32 of 0; config.json and vocab.parquet ask for nothing",
    ),
    "another shape": (edit_tensors(lambda t: t.update({"output.bias": np.zeros(3, np.float32)})), "ask for"),
    "swapped axes": (
        edit_tensors(lambda t: t.update({"hidden.kernel": np.ascontiguousarray(t["hidden.kernel"].T)})),
        "'hidden.kernel' is F32 of 5 x 3; config.json and vocab.parquet ask for F32 of 3 x 5",
    ),
    "float64": (edit_tensors(lambda t: t.update({"output.bias": np.zeros(2)})), "ask for"),
    "int32": (
        edit_tensors(lambda t: t.update({"output.bias": np.zeros(2, np.int32)})),
        "'output.bias' is I32 of 2; config.json and vocab.parquet ask for F32 of 2",
    ),
    "NaN": (poison(np.nan), "embedding.embedding holds NaN or infinity"),
    "infinity": (poison(-np.inf), "embedding.embedding holds NaN or infinity"),
    "a vocabulary that is no Parquet": (write("vocab.parquet", b"PAR1" + b"x" * 99), "not a vocabulary"),
    "a truncated vocabulary": (truncated("vocab.parquet", 30), "not a vocabulary"),
    "a longer vocabulary": (vocabulary_of(list("uvwxyz")), "config.json and vocab.parquet ask for"),
    "no words": (vocabulary_of([]), "config.json and vocab.parquet ask for"),
    "an id twice": (vocabulary_of(list("wxyz"), ids=[1, 2, 2, 4]), "expected word, count and id, sorted by id from 1"),
    "ids out of range": (vocabulary_of(list("wxyz"), ids=[1, 2, 3, 2**31 - 1]), "sorted by id from 1"),
    "a word twice": (vocabulary_of(["w", "x", "w", "z"]), "a word stands twice"),
    "a word that is missing": (vocabulary_of(["w", None, "y", "z"]), "a word, count or id is missing"),
    "a word that is no UTF-8": (invalid_word, "a word is not UTF-8"),
    "other columns": (
        lambda folder: pq.write_table(pa.table({"word": list("wxyz")}), folder / "vocab.parquet"),
        "expected word, count and id",
    ),
    "20 million words in little space": (bomb, "20,000,000 words; at most 16,777,216 are read"),
    "long words in little space": (
        lambda folder: bomb(folder, word="a" * 100_000, rows=4, times=1),
        "a word stands twice",
    ),
    "a compressed vocabulary": (vocabulary_of(list("wxyz"), compression="zstd"), "not as this version of flaxtext"),
    "prefixes in little space": (
        vocabulary_of(list("wxyz"), use_dictionary=False, column_encoding={"word": "DELTA_BYTE_ARRAY"}),
        "not as this version of flaxtext writes vocabularies",
    ),
}
LOAD = """
import json, sys
from bench.measure import peak_memory
from flaxtext.artifacts.bundle import load_bundle
from flaxtext.core.errors import UserError
from pathlib import Path
results = {}
for folder in sorted(Path(sys.argv[1]).iterdir()):
    try:
        load_bundle(folder)
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
    assert refusals["peak"] < 1000  # MB, JAX's own 400 among them


def test_what_is_no_folder(tmp_path):
    make(tmp_path / "here")
    with pytest.raises(UserError, match=r"nowhere: no such model; .* has here"):
        load_bundle(tmp_path / "nowhere")


def test_a_bundle_of_the_first_format(bundle):
    edit_config(format=1)(bundle)
    (bundle / "SHA256SUMS").unlink()
    with pytest.raises(UserError, match="format 1; this version of flaxtext reads format 2: train it again"):
        load_bundle(bundle)
