"""A trained classifier as a folder that predicts with nothing else: parameters, configuration, vocabulary."""

import json
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from flax import nnx
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

import flaxtext
from flaxtext import vectors, vocabulary
from flaxtext.errors import UserError
from flaxtext.files import atomic, write_json
from flaxtext.network import Network, Parameters, flat, probabilities, split, unflat
from flaxtext.tokens import tokenize
from flaxtext.vocabulary import Vocabulary

FORMAT = 1


class Classifier:
    """Text in, class probabilities out.

    Attributes:
        classes: class names; column `i` of the probabilities is `classes[i]`.
        max_len: words of a document that count.
        vocabulary: the words it knows.
        config: what config.json says, the training parameters among it.
        parameters: layer -> name -> float32 array.
    """

    def __init__(self, config: dict[str, Any], parameters: Parameters, words: Vocabulary) -> None:
        self.config = config
        self.classes: list[str] = config["classes"]
        self.max_len: int = config["max_len"]
        self.vocabulary = words
        self.parameters = parameters
        self._graph, _ = nnx.split(nnx.eval_shape(lambda: _network(config, words.rows, seed=0)))

    def predict(self, texts: list[str]) -> np.ndarray:
        """Class probabilities of texts: `float32[len(texts), classes]`."""
        return self.probabilities(vectors.vectorize(pa.array(texts, pa.string()), self.vocabulary, self.max_len))

    def probabilities(self, ids: np.ndarray) -> np.ndarray:
        """Class probabilities of `ids: int32[n, max_len]`: `float32[n, classes]`."""
        return probabilities(self._graph, self.parameters, ids)

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


def build(config: dict[str, Any], rows: int, seed: int) -> Network:
    """Make the network that a configuration describes, freshly initialised, in one compiled function."""
    network: Network = nnx.jit(lambda: _network(config, rows, seed))()
    return network


def _network(config: dict[str, Any], rows: int, seed: int) -> Network:
    return Network(
        rows=rows,
        classes=len(config["classes"]),
        max_len=config["max_len"],
        pooling=config["pooling"],
        embed_dim=config["embed_dim"],
        hidden=config["hidden"],
        rngs=nnx.Rngs(seed),
    )


def save_bundle(path: str | Path, config: dict[str, Any], parameters: Parameters, words: Vocabulary) -> None:
    """Write `model.safetensors`, `config.json` and `vocab.parquet` into the folder `path`, all or none."""
    tensors = {name: np.asarray(array) for name, array in flat(parameters).items()}
    with atomic(path) as folder:
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(save(tensors))
        write_json(folder / "config.json", {"format": FORMAT, "flaxtext": flaxtext.__version__, **config})
        vocabulary.save(words, folder / "vocab.parquet")


def load_bundle(path: str | Path) -> Classifier:
    """Read a bundle. Runs no code from it. Raises `UserError` where it is not whole and consistent."""
    folder = Path(path)
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        tensors = load_file(folder / "model.safetensors")
    except FileNotFoundError as error:
        raise UserError(f"{path}: not a model: no {Path(error.filename or 'model.safetensors').name}") from None
    except (ValueError, SafetensorError) as error:
        raise UserError(f"{path}: not a model: {error}") from None
    if config.get("format") != FORMAT:
        raise UserError(f"{path}: format {config.get('format')}; this version of flaxtext reads format {FORMAT}")
    words = vocabulary.load(folder / "vocab.parquet")
    expected = nnx.eval_shape(lambda: _network(config, words.rows, seed=0))
    shapes = {name: array.shape for name, array in flat(split(expected)[1]).items()}
    found = {name: array.shape for name, array in tensors.items()}
    if shapes != found:
        raise UserError(f"{path}: model.safetensors holds {found}; config.json and vocab.parquet ask for {shapes}")
    return Classifier(config, unflat(tensors), words)
