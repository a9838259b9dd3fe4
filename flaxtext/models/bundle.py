"""A trained classifier as a folder that predicts with nothing else: parameters, configuration, vocabulary.

A bundle may come from anywhere: reading one runs no code of it, and takes no more memory than its files are long.
Everything is checked before it is used: checksums, sizes, names, types, shapes and values.
"""

import hashlib
import json
import math
import stat
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal

import jax
import numpy as np
import pyarrow as pa
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

import flaxtext
from flaxtext.core.errors import UserError
from flaxtext.core.files import atomic, write_json, write_text
from flaxtext.core.pooling import POOLINGS
from flaxtext.models.features import MAX_NGRAMS, Features
from flaxtext.models.forward import Parameters, flat, probabilities, shapes, unflat
from flaxtext.text import vectors, vocabulary
from flaxtext.text.tokens import tokenize
from flaxtext.text.vocabulary import Vocabulary

FORMAT = 2
FILES = ("config.json", "model.safetensors", "vocab.parquet")
SUMS = "SHA256SUMS"
"""The files' checksums, as `sha256sum --check` reads them."""
LIBRARIES = ("flax", "jax", "numpy", "pyarrow", "safetensors")
"""Whose versions config.json names."""
MAX_BYTES = 512 * 1024**2
"""Size of the parameters that is still taken for a model."""
KEYS = "ngrams.keys"
"""Where model.safetensors holds the hashes of the n-grams that it knows, uint32."""
NO_KEYS = np.zeros(0, np.uint32)
EXPANDED_ROWS = 16_384
"""Documents whose features are laid out at a time."""
MAX_TEXT_BYTES = 1024**2
"""Size of config.json and of the header of model.safetensors."""


def _known_pooling(name: str) -> str:
    if name not in POOLINGS:
        raise ValueError(f"{name!r} is not one of {', '.join(POOLINGS)}")
    return name


def _distinct(names: list[str]) -> list[str]:
    if len(set(names)) < len(names):
        raise ValueError("names a class twice")
    return names


class Entry(BaseModel):
    """Some keys of config.json; others are allowed beside them."""

    model_config = ConfigDict(strict=True, extra="allow")


class Data(Entry):
    """What the model was trained on."""

    source: str
    documents: int
    validation_documents: int


class LastEpoch(Entry):
    """How training ended; None without validation documents."""

    epoch: int
    validation_loss: float | None
    validation_accuracy: float | None


class Config(Entry):
    """What config.json is to say: the network, and its origin, which may be missing. The rest is how it was trained."""

    variant: str = ""
    versions: dict[str, str] = {}
    data: Data | None = None
    last_epoch: LastEpoch | None = None
    classes: Annotated[
        list[Annotated[str, Field(min_length=1)]], Field(min_length=1, max_length=100_000), AfterValidator(_distinct)
    ]
    max_len: int = Field(ge=1, le=10_000)
    stem: int | None = Field(default=None, ge=1)
    ngrams: int = Field(default=1, ge=1, le=5)
    ngram_rows: int = Field(default=0, ge=0, le=MAX_NGRAMS)
    model: Literal["network", "linear"] = "network"
    pooling: Annotated[str, AfterValidator(_known_pooling)] = ""
    embed_dim: int = Field(default=0, ge=1, le=100_000)
    hidden: int = Field(default=0, ge=0, le=100_000)
    seeds: int = Field(default=1, ge=1, le=100)
    ensemble: bool = False

    @model_validator(mode="after")
    def _check_network(self) -> "Config":
        missing = {"pooling", "embed_dim", "hidden"} - self.model_fields_set
        if self.model == "network" and missing:
            raise ValueError(f"{min(missing)} is missing")
        return self


class Classifier:
    """Text in, class probabilities out.

    Attributes:
        classes: class names; column `i` of the probabilities is `classes[i]`.
        max_len: words of a document that count.
        vocabulary: the words it knows.
        config: what config.json says, the training parameters among it.
        members: the parameters of each seed, the first seed's first: layer -> name -> float32 array; not to be changed.
        features: what it reads in a document.
        pooling: how a network pools, a key of `POOLINGS`; None for a linear model.
    """

    def __init__(
        self, config: dict[str, Any], members: list[Parameters], words: Vocabulary, features: Features | None = None
    ) -> None:
        self.config = config
        self.classes: list[str] = config["classes"]
        self.max_len: int = config["max_len"]
        self.vocabulary = words
        self.members = members
        self.features = features or Features(words.words, stem=None, ngrams=1, keys=NO_KEYS)
        self.pooling: str | None = None if is_linear(config) else config["pooling"]

    @property
    def parameters(self) -> Parameters:
        """The parameters of the first seed."""
        return self.members[0]

    @property
    def size(self) -> int:
        """The number of parameters that a prediction takes."""
        used = self.members if self.config.get("ensemble") else self.members[:1]
        return sum(int(array.size) for member in used for array in flat(member).values())

    def predict(self, texts: list[str]) -> np.ndarray:
        """Class probabilities of texts: `float32[len(texts), classes]`."""
        return self.probabilities(vectors.vectorize(pa.array(texts, pa.string()), self.vocabulary, self.max_len))

    def probabilities(self, ids: np.ndarray) -> np.ndarray:
        """Class probabilities of `ids: int32[n, max_len]`, `float32[n, classes]`: an ensemble's are averaged."""
        return self.combine(self.each(ids, 1 if not self.config.get("ensemble") else len(self.members)))

    def each(self, ids: np.ndarray, members: int | None = None) -> np.ndarray:
        """Class probabilities by each seed, or by the first `members`: `float32[members, n, classes]`."""
        chosen = self._placed[:members]
        parts = []
        for start in range(0, max(len(ids), 1), EXPANDED_ROWS):
            expanded = self.features.expand(ids[start : start + EXPANDED_ROWS])
            parts.append(np.stack([self._probabilities(member, expanded) for member in chosen]))
        return np.concatenate(parts, axis=1)

    @cached_property
    def _placed(self) -> list[Parameters]:
        """The members where the device reads them: every call copies NumPy arrays that are not aligned to 64 bytes."""
        placed: list[Parameters] = self.members if self.pooling is None else jax.device_put(self.members)
        return placed

    def combine(self, each: np.ndarray) -> np.ndarray:
        """Make of `each` what the classifier answers: an ensemble's average, or else the first seed's."""
        answer: np.ndarray = each.mean(axis=0) if self.config.get("ensemble") else each[0]
        return answer

    def _probabilities(self, parameters: Parameters, ids: np.ndarray) -> np.ndarray:
        if self.pooling is None:
            from flaxtext.models import linear  # which brings SciPy; a network needs none

            return linear.probabilities(linear.Linear(**parameters["linear"]), ids)
        return probabilities(self.pooling, parameters, ids)

    def tokenize(self, texts: list[str]) -> list[list[str]]:
        """Split texts into words, those that it does not know included."""
        words: list[list[str]] = tokenize(pa.array(texts, pa.string())).to_pylist()
        return words

    def token_ids(self, tokens: list[str]) -> np.ndarray:
        """Ids of words, `int32[len(tokens)]`: 0 for a word that it does not know."""
        ids = self._ids
        return np.array([ids.get(token, 0) for token in tokens], np.int32)

    @cached_property
    def _ids(self) -> dict[str, int]:
        """Word -> id, for a few words at a time, where Arrow would hash the whole vocabulary anew."""
        return {word: index for index, word in enumerate(self.vocabulary.words.to_pylist(), start=1)}


def is_linear(config: dict[str, Any]) -> bool:
    """Tell whether a configuration describes scikit-learn's linear model, and no network."""
    return config.get("model") == "linear"


def check_size(config: dict[str, Any], rows: int) -> None:
    """Refuse a model, all its seeds together, that `load_bundle` would refuse; before it is trained."""
    size = config.get("seeds", 1) * _bytes(_shapes(config, rows))
    if size > MAX_BYTES:
        raise UserError(
            f"the parameters would take {size >> 20:,} MB, and a model at most {MAX_BYTES >> 20}; "
            "lower embed_dim, hidden, ngrams, seeds, vectorize.max_len or build_vocab.max_words"
        )


def _shapes(config: dict[str, Any], rows: int) -> dict[str, tuple[int, ...]]:
    """Return the name and shape of each parameter; no array is made."""
    if is_linear(config):
        classes = len(config["classes"])
        linear = {"temperature": (), "kernel": (rows, classes), "idf": (rows,), "bias": (classes,)}
        return {f"linear.{name}": shape for name, shape in linear.items()}
    return shapes(config, rows)


def _bytes(shapes: dict[str, tuple[int, ...]]) -> int:
    return 4 * sum(math.prod(shape) for shape in shapes.values())


def save_bundle(
    path: str | Path,
    config: dict[str, Any],
    members: list[Parameters],
    words: Vocabulary,
    keys: np.ndarray | None = None,
    card: str | None = None,
) -> None:
    """Write a bundle into the folder `path`, all or none.

    It holds `model.safetensors`, `config.json`, `vocab.parquet`, the model card `README.md` if there is one, and the
    checksums of them all. The parameters of further seeds are in `model-2.safetensors` and so on. `keys: uint32[k]` are
    those of the n-grams that the model knows (`Features`).
    """
    keys = NO_KEYS if keys is None else keys
    versions = {"flaxtext": flaxtext.__version__, **{name: version(name) for name in LIBRARIES}}
    with atomic(path) as folder:
        folder.mkdir()
        for number, parameters in enumerate(members, 1):
            tensors = {name: np.asarray(array) for name, array in flat(parameters).items()}
            (folder / _member(number)).write_bytes(save(tensors | ({KEYS: keys} if len(keys) else {})))
        write_json(folder / "config.json", {"format": FORMAT, "versions": versions, **config, "ngram_rows": len(keys)})
        vocabulary.save(words, folder / "vocab.parquet")
        if card is not None:
            write_text(folder / "README.md", card)
        names = sorted(file.name for file in folder.iterdir())
        write_text(folder / SUMS, "".join(f"{_sha256(folder / name)}  {name}\n" for name in names))


def load_bundle(path: str | Path, *, every_seed: bool = False) -> Classifier:
    """Read a bundle. Runs no code from it. Raises `UserError` where it is not whole and consistent.

    Of several seeds, it reads what predictions need, the first or, in an ensemble, all; or, if asked, all.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise UserError(f"{path}: no such model{_neighbours(folder)}")
    for name in (*FILES, SUMS):
        _check_file(folder / name)
    config = _read_config(folder / "config.json")
    seeds = config.get("seeds", 1) if every_seed or config.get("ensemble") else 1
    names = [_member(number) for number in range(1, seeds + 1)]
    for name in names[1:]:
        _check_file(folder / name)
    _verify(folder, {*FILES, *names})
    words = vocabulary.load(folder / "vocab.parquet")
    stem, ngrams, n_keys = config.get("stem"), config.get("ngrams", 1), config.get("ngram_rows", 0)
    rows = Features(words.words, stem=stem, ngrams=ngrams, keys=NO_KEYS).rows + n_keys
    expected = _shapes(config, rows)
    if len(names) * _bytes(expected) > MAX_BYTES:
        raise UserError(
            f"{path}: parameters of {len(names) * _bytes(expected):,} bytes; at most {MAX_BYTES:,} are read"
        )
    if n_keys:
        expected[KEYS] = (n_keys,)
    members = [_read_tensors(folder / name, expected) for name in names]
    [keys, *_] = [member.pop(KEYS, NO_KEYS) for member in members]  # the same for each seed
    if (keys[1:] <= keys[:-1]).any():
        raise UserError(f"{folder / names[0]}: {KEYS} are not in ascending order; get the model again")
    features = Features(words.words, stem=stem, ngrams=ngrams, keys=keys)
    return Classifier(config, [unflat(member) for member in members], words, features)


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
        if path.name == SUMS and (path.parent / "config.json").is_file():
            _read_config(path.parent / "config.json")  # an older format has no checksums
        missing = isinstance(error, FileNotFoundError)
        reason = f"no {path.name}" if missing else f"{path.name} cannot be read: {error.strerror}"
        raise UserError(f"{path.parent}: not a model: {reason}") from None
    if not stat.S_ISREG(status.st_mode):
        raise UserError(f"{path.parent}: not a model: {path.name} is not a file")
    limit = MAX_TEXT_BYTES if path.name in ("config.json", SUMS) else MAX_BYTES + MAX_TEXT_BYTES
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
    try:
        config = json.loads(_read_text(path))
    except (ValueError, RecursionError):  # a number of thousands of digits, or thousands of brackets, among them
        raise UserError(f"{path}: not JSON; get the model again") from None
    if not isinstance(config, dict):
        raise UserError(f"{path}: not an object of keys and values; get the model again")
    if config.get("format") != FORMAT:
        found = repr(config.get("format"))[:20]
        raise UserError(f"{path}: format {found}; this version of flaxtext reads format {FORMAT}: train it again")
    try:
        Config.model_validate(config)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(str(part) for part in problem["loc"])
        message = problem["msg"].removeprefix("Value error, ").replace("Input should be", "expected", 1)
        raise UserError(f"{path}: {key}: {' '.join(message.split())[:200]}") from None
    return config


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


def _read_tensors(path: Path, shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Read arrays of these names and shapes, float32 or `KEYS`, and no others; nothing is allocated before that."""
    size = _bytes(shapes)
    with path.open("rb") as file:
        header = int.from_bytes(file.read(8), "little")
    if header > MAX_TEXT_BYTES:
        raise UserError(f"{path}: not safetensors, or damaged: a header of {header:,} bytes; get the model again")
    if path.stat().st_size != 8 + header + size:
        raise UserError(
            f"{path}: {path.stat().st_size:,} bytes; config.json and vocab.parquet ask for {8 + header + size:,}; "
            "get the model again"
        )
    try:
        with safe_open(path, framework="numpy") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118, not a dict
            found = {name: (part.get_dtype(), tuple(part.get_shape())) for name, part in slices.items()}
            for name in sorted(found.keys() | shapes.keys()):
                expected = ("U32" if name == KEYS else "F32", shapes[name]) if name in shapes else None
                if found.get(name) != expected:
                    raise UserError(
                        f"{path}: {name[:60]!r} is {_describe(found.get(name))}; "
                        f"config.json and vocab.parquet ask for {_describe(expected)}"
                    )
            tensors = {name: file.get_tensor(name) for name in shapes}
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(f"{path}: not safetensors, or damaged: {' '.join(str(error).split())[:200]}") from None
    for name, array in tensors.items():
        if not np.isfinite(array).all():
            raise UserError(f"{path}: {name} holds NaN or infinity; train the model again")
    return tensors


def _describe(tensor: tuple[str, tuple[int, ...]] | None) -> str:
    return f"{tensor[0]} of {' x '.join(map(str, tensor[1]))}" if tensor else "nothing"
