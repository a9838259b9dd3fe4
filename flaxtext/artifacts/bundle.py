"""A bundle: a trained classifier as a folder that predicts with nothing else: parameters, configuration, vocabulary.

A bundle may come from anywhere: reading one runs no code of it, and takes no more memory than its files are long.
Everything is checked before it is used: checksums, sizes, names, types, shapes and values.
"""

import hashlib
import json
import math
import stat
from collections.abc import Callable
from dataclasses import asdict, fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

import flaxtext
from flaxtext.artifacts.bundle_vocabulary import read_words, write_words
from flaxtext.artifacts.metrics import write_json
from flaxtext.artifacts.tensors import MAX_HEADER_BYTES, Tensor, read_tensors
from flaxtext.core.errors import UserError
from flaxtext.core.files import atomic, write_text
from flaxtext.model.architecture import (
    ARCHITECTURE,
    MAX_CHARACTERS,
    MAX_WORDS,
    Architecture,
    flatten_parameters,
    unflatten_parameters,
)
from flaxtext.model.classifier import Classifier, ModelInfo
from flaxtext.model.poolings import POOLINGS
from flaxtext.text.features import MAX_NGRAMS, NO_KEYS, Features, Reading

FORMAT = 5
VOCABULARY = "vocabulary.safetensors"
FILES = ("config.json", "model.safetensors", VOCABULARY)
SUMS = "SHA256SUMS"
"""The files' checksums, as `sha256sum --check` reads them."""
LIBRARIES = ("flax", "jax", "numpy", "pyarrow", "safetensors")
"""Whose versions config.json names."""
MAX_BYTES = 640 * 1024**2
"""Size of the parameters that is still taken for a model."""
KEYS = {"ngrams": "ngrams.keys", "characters": "characters.keys", "vectors": "vectors.ids"}
"""Where model.safetensors holds the hashes of the n-grams that it knows, of words and of characters, and the ids of the
words as which it reads pretrained vectors; uint32 each."""
MAX_TEXT_BYTES = 1024**2
"""Size of config.json and of the checksums."""
MAX_CLASSES = 100_000


def check_size(architecture: Architecture, seeds: int) -> None:
    """Refuse a model, all its seeds together, that `read_bundle` would refuse; before it is trained."""
    size = seeds * _bytes(architecture.shapes)
    if size > MAX_BYTES:
        raise UserError(
            f"the parameters would take {size >> 20:,} MB, and a model at most {MAX_BYTES >> 20}; "
            "lower embed_dim, hidden, ngrams, seeds, max_len or build_vocab.max_words"
        )


def _bytes(shapes: dict[str, tuple[int, ...]]) -> int:
    return 4 * sum(math.prod(shape) for shape in shapes.values())


def write_bundle(path: str | Path, model: Classifier, card: str | None = None) -> None:
    """Write a model into the folder `path`, all or none.

    It holds `model.safetensors`, `config.json`, `vocabulary.safetensors`, the model card `README.md` if there is one,
    and the checksums of them all. The parameters of further seeds are in `model-2.safetensors` and so on.
    """
    hashes = {KEYS[kind]: keys for kind, keys in _hashes(model.features).items() if len(keys)}
    with atomic(path) as folder:
        folder.mkdir()
        for number, parameters in enumerate(model.members, 1):
            tensors = {name: np.asarray(array) for name, array in flatten_parameters(parameters).items()}
            (folder / _member(number)).write_bytes(save(tensors | hashes))
        write_json(folder / "config.json", _config(model))
        write_words(folder / VOCABULARY, model.vocabulary)
        if card is not None:
            write_text(folder / "README.md", card)
        names = sorted(file.name for file in folder.iterdir())
        write_text(folder / SUMS, "".join(f"{_sha256(folder / name)}  {name}\n" for name in names))


def _config(model: Classifier) -> dict[str, Any]:
    """Lay out what config.json says."""
    return {
        "format": FORMAT,
        **asdict(model.info),
        "versions": {"flaxtext": flaxtext.__version__, **_versions()},
        "architecture": {name: getattr(model.architecture, name) for name in ARCHITECTURE},
        "rows": {kind: len(keys) for kind, keys in _hashes(model.features).items()},
    }


def _hashes(features: Features) -> dict[str, np.ndarray]:
    return {"ngrams": features.ngrams, "characters": features.characters, "vectors": features.vectors.astype(np.uint32)}


def _versions() -> dict[str, str]:
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # JAX and Flax are not needed to predict
            continue
    return found


def read_bundle(path: str | Path, *, every_seed: bool = False) -> Classifier:
    """Read a bundle. Runs no code from it. Raises `UserError` where it is not whole and consistent.

    Of several seeds, it reads what predictions need, the first or, in an ensemble, all; or, if asked, all.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise UserError(f"{path}: no such model{_neighbours(folder)}")
    _check_file(folder / "config.json")
    config = _read_config(folder / "config.json")  # first: another format has other files
    for name in (*FILES, SUMS):
        _check_file(folder / name)
    info = ModelInfo(**{field.name: config[field.name] for field in fields(ModelInfo) if field.name in config})
    names = [_member(number) for number in range(1, 1 + (info.seeds if every_seed or info.ensemble else 1))]
    for name in names[1:]:
        _check_file(folder / name)
    _verify(folder, {*FILES, *names})
    words = read_words(folder / VOCABULARY)
    sizes, hashed = config["architecture"], config["rows"]
    reading = Reading(*(sizes[field.name] for field in fields(Reading)))
    weighs = POOLINGS[sizes["pooling"]].weighs
    n_known = int(np.count_nonzero(words.counts)) if weighs else len(words)
    rows = Features(words.words, reading, n_known=n_known).rows + sum(hashed.values())
    architecture = Architecture(rows=rows, classes=len(info.classes), **sizes)
    expected = architecture.shapes
    if len(names) * _bytes(expected) > MAX_BYTES:
        raise UserError(
            f"{path}: parameters of {len(names) * _bytes(expected):,} bytes; at most {MAX_BYTES:,} are read"
        )
    expected |= {KEYS[kind]: (count,) for kind, count in hashed.items() if count}
    members = [_read_parameters(folder / name, expected) for name in names]
    found: dict[str, np.ndarray] = {}
    for kind, key in KEYS.items():
        [found[kind], *_] = [member.pop(key, NO_KEYS) for member in members]  # the same for each seed
        if (found[kind][1:] <= found[kind][:-1]).any():
            raise UserError(f"{folder / names[0]}: {key} are not in ascending order; get the model again")
    found["vectors"] = found["vectors"].astype(np.int64)
    if found["vectors"].max(initial=1) > len(words) or found["vectors"].min(initial=1) < 1:
        raise UserError(f"{folder / names[0]}: {KEYS['vectors']} are no ids of words; get the model again")
    found["vectors"] = found["vectors"].astype(np.int32)
    features = Features(words.words, reading, **found, n_known=n_known)
    return Classifier(info, architecture, [unflatten_parameters(member) for member in members], words, features)


def _member(number: int) -> str:
    """Name the file of a seed's parameters, counted from 1."""
    return "model.safetensors" if number == 1 else f"model-{number}.safetensors"


def _neighbours(folder: Path) -> str:
    models = sorted(config.parent.name for config in folder.parent.glob("*/config.json"))
    return f"; {folder.parent} has {', '.join(models[:20])}" if models else "; `dvc repro` makes them, in data/models"


def _check_file(path: Path) -> None:
    """Refuse what is no file, or too large a one. A link to a file is one: DVC can be told to link to its cache."""
    try:
        status = path.stat()
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        reason = f"no {path.name}" if missing else f"{path.name} cannot be read: {error.strerror}"
        raise UserError(f"{path.parent}: not a model: {reason}") from None
    if not stat.S_ISREG(status.st_mode):
        raise UserError(f"{path.parent}: not a model: {path.name} is not a file")
    limit = MAX_TEXT_BYTES if path.name in ("config.json", SUMS) else MAX_BYTES + MAX_HEADER_BYTES
    if status.st_size > limit:
        raise UserError(f"{path}: {status.st_size:,} bytes; at most {limit:,} are read")


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise UserError(f"{path}: not UTF-8; get the model again") from None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None


def _read_config(path: Path) -> dict[str, Any]:
    """Read config.json, and check the type and range of all that is used of it."""
    try:
        config = json.loads(_read_text(path))
    except (ValueError, RecursionError):  # a number of thousands of digits, or thousands of brackets, among them
        raise UserError(f"{path}: not JSON; get the model again") from None
    if not isinstance(config, dict):
        raise UserError(f"{path}: not an object of keys and values; get the model again")
    if config.get("format") != FORMAT:
        found = repr(config.get("format"))[:20]
        raise UserError(
            f"{path}: format {found}; this version of flaxtext reads format {FORMAT}: train the model again, "
            "by `dvc repro` in its project"
        )

    def check(key: str, is_right: Callable[[Any], bool], expected: str) -> None:
        *parents, last = key.split(".")
        place = config
        for parent in parents:
            place = place[parent]
        if last not in place:
            raise UserError(f"{path}: {key}: missing; get the model again")
        if not is_right(place[last]):
            raise UserError(f"{path}: {key}: expected {expected}, got {repr(place[last])[:60]}")

    def between(low: int, high: int) -> tuple[Callable[[Any], bool], str]:
        return lambda value: type(value) is int and low <= value <= high, f"a whole number from {low} to {high:,}"

    def or_null(low: int, high: int) -> tuple[Callable[[Any], bool], str]:
        is_right, expected = between(low, high)
        return lambda value: value is None or is_right(value), f"{expected}, or null"

    is_bool = (lambda value: isinstance(value, bool)), "true or false"
    for key in ("architecture", "data", "training", "last_epoch", "versions"):
        check(key, lambda value: isinstance(value, dict), "keys and values")
    sizes = config["architecture"]
    config["architecture"] = {name: sizes[name] for name in ARCHITECTURE if name in sizes}
    check("classes", _are_names, f"1 to {MAX_CLASSES:,} names of classes, each once")
    check("variant", lambda value: isinstance(value, str), "text")
    check("seeds", *between(1, 100))
    check("ensemble", *is_bool)
    check("kind", lambda value: value in ("network", "linear"), "network or linear")
    check("rows", lambda value: isinstance(value, dict), "keys and values")
    config["rows"] = {kind: config["rows"].get(kind) for kind in KEYS}
    for kind in KEYS:
        check(f"rows.{kind}", *between(0, MAX_NGRAMS))
    check("architecture.max_len", *or_null(1, MAX_WORDS))
    check("architecture.prefix", *or_null(1, 1000))
    check("architecture.ngrams", *between(1, 5))
    check("architecture.marks", *is_bool)
    check("architecture.characters", *between(0, MAX_CHARACTERS))
    check("architecture.vectors", *is_bool)
    check(
        "architecture.pooling",
        lambda value: isinstance(value, str) and value in POOLINGS,
        f"one of {', '.join(POOLINGS)}",
    )
    check("architecture.embed_dim", *between(1, 100_000))
    check("architecture.hidden", *between(0, 100_000))
    check("architecture.output", *is_bool)
    if POOLINGS[sizes["pooling"]].padded and sizes["max_len"] is None:
        raise UserError(f"{path}: architecture.max_len: {sizes['pooling']} needs one, got null")
    if not sizes["output"] and (sizes["hidden"] or sizes["embed_dim"] != len(config["classes"])):
        raise UserError(f"{path}: architecture: no output layer, and no dimension for each class; get the model again")
    _check_origin(path, config)
    return config


def _are_names(value: Any) -> bool:
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_CLASSES:
        return False
    return all(isinstance(name, str) and name for name in value) and len(set(value)) == len(value)


def _check_origin(path: Path, config: dict[str, Any]) -> None:
    """Check what `flaxtext inspect` shows of a model's origin."""
    figure = (float, type(None))
    kinds: dict[str, dict[str, type | tuple[type, ...]]] = {
        "data": {"source": str, "documents": int, "validation_documents": int},
        "last_epoch": {"epoch": int, "validation_loss": figure, "validation_accuracy": figure},
        "versions": dict.fromkeys(config["versions"], str),
    }
    for section, expected in kinds.items():
        for key, kind in expected.items():
            value = config[section].get(key)
            if config[section] and not isinstance(value, kind):
                raise UserError(f"{path}: {section}.{repr(key)[1:-1][:60]}: not of the right type: {repr(value)[:60]}")


def _verify(folder: Path, names: set[str]) -> None:
    """Compare the files with their checksums."""
    lines = [line.split("  ", 1) for line in _read_text(folder / SUMS).splitlines()]
    sums = {line[1]: line[0] for line in lines if len(line) == 2}
    for name in sorted(names):
        if name not in sums:
            raise UserError(f"{folder / SUMS}: no checksum of {name}; get the model again")
        if sums[name] != _sha256(folder / name):
            raise UserError(
                f"{folder / name}: damaged, edited or of another model: its SHA-256 is not that in {SUMS}; "
                "get the model again"
            )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_parameters(path: Path, shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Read arrays of these names and shapes, float32 or `KEYS`, and no others."""
    hashes = set(KEYS.values())
    expected: dict[str, Tensor] = {name: ("U32" if name in hashes else "F32", shape) for name, shape in shapes.items()}
    tensors = read_tensors(path, expected, f"config.json and {VOCABULARY} ask")
    for name, array in tensors.items():
        if not np.isfinite(array).all():
            raise UserError(f"{path}: {name} holds NaN or infinity; train the model again")
    return tensors
