"""The tutorial's own way, written anew from what is told of it: Flax Linen, and a Python loop that is not jitted.

The one liberty: it starts from flaxtext's initial parameters, so that the losses of both sides can be compared.
"""

import csv
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from flax import linen as nn

from bench import peers
from bench.our_models import VARIANTS, outline
from bench.our_token_ids import MAX_LEN, Files
from flaxtext.text.token_ids import Examples
from flaxtext.train.network import build, split

POOLINGS = {
    "flatten": lambda x: x.reshape(len(x), -1),
    "padded_mean": lambda x: x.mean(axis=1),
    "padded_sum": lambda x: x.sum(axis=1),
}


class Network(nn.Module):
    """Embedding, pooling, Dense 100, relu, Dense."""

    rows: int
    classes: int
    embed_dim: int
    pooling: str

    @nn.compact
    def __call__(self, ids: np.ndarray) -> jax.Array:
        """Map `int32[batch, max_len]` to logits, `float32[batch, classes]`."""
        x = POOLINGS[self.pooling](nn.Embed(self.rows, self.embed_dim, name="embedding")(ids))
        return nn.Dense(self.classes, name="output")(nn.relu(nn.Dense(100, name="hidden")(x)))


class Padded(NamedTuple):
    """Documents as the tutorial has them: `ids: int32[n, max_len]`, `labels: int32[n]`."""

    ids: np.ndarray
    labels: np.ndarray

    @classmethod
    def of(cls, examples: Examples, max_len: int = MAX_LEN) -> "Padded":
        """Pad documents."""
        return cls(examples.documents.padded(max_len), examples.labels)


class Tutorial:
    """A network in training.

    Attributes:
        losses: of each epoch, the mean of its batches' losses.
    """

    def __init__(self, variant: str, rows: int, classes: int, train: Padded, *, batch_size: int = 1024) -> None:
        self.network = Network(rows, classes, **VARIANTS[variant])
        _, self.parameters = split(build(outline(variant, rows, classes, train.ids.shape[1]), seed=0))
        self.optimizer = optax.adam(0.001)
        self.state = self.optimizer.init(self.parameters)
        self.train, self.batch_size = train, batch_size
        self.losses: list[float] = []

    def logits(self, parameters: Any, ids: np.ndarray) -> jax.Array:
        """Run the network."""
        return self.network.apply({"params": parameters}, ids)

    def loss(self, parameters: Any, ids: np.ndarray, labels: np.ndarray) -> jax.Array:
        """Cross-entropy summed over a batch."""
        one_hot = jax.nn.one_hot(labels, self.network.classes)
        return optax.softmax_cross_entropy(self.logits(parameters, ids), one_hot).sum()

    def epoch(self) -> None:
        """Train for one epoch, in file order."""
        losses = []
        for start in range(0, len(self.train.labels), self.batch_size):
            ids, labels = (array[start : start + self.batch_size] for array in self.train)
            value, gradient = jax.value_and_grad(self.loss)(self.parameters, ids, labels)
            updates, self.state = self.optimizer.update(gradient, self.state)
            self.parameters = optax.apply_updates(self.parameters, updates)
            losses.append(value)
        jax.block_until_ready(self.parameters)
        self.losses.append(float(np.mean(losses)))


def train(folder: str, variant: str, epochs: int) -> dict[str, float]:
    """Train from files, for the memory it takes."""
    files = Files(folder)
    tutorial = Tutorial(variant, files.words.rows, len(files.classes), Padded.of(files.examples("train")))
    for _ in range(epochs):
        tutorial.epoch()
    return {"loss": tutorial.losses[-1]}


def procedure(folder: str, row: int, epochs: int) -> dict[str, float]:
    """Do all that the tutorial does, from the CSV files on, for all variants; returns their accuracies on test."""
    from sklearn.metrics import accuracy_score, classification_report, confusion_matrix

    texts: dict[str, list[str]] = {}
    labels: dict[str, np.ndarray] = {}
    for name in ("train", "test"):
        with Path(folder, f"{name}.csv").open(encoding="utf-8", newline="") as file:
            names, texts[name] = map(list, zip(*csv.reader(file), strict=True))
        classes, labels[name] = np.unique(names, return_inverse=True)
    keras = peers.KerasTokenIds(texts["train"], texts["test"])
    train, test = Padded(keras.train, labels["train"]), Padded(keras.test, labels["test"])

    accuracies: dict[str, float] = {}
    for variant in VARIANTS:
        tutorial = Tutorial(variant, keras.rows, len(classes), train)
        for epoch in range(epochs):
            tutorial.epoch()
            validation = tutorial.logits(tutorial.parameters, test.ids).argmax(axis=1)
            print(epoch, tutorial.losses[-1], accuracy_score(test.labels, validation))

        for ids, true in (train, test):
            predicted = np.asarray(tutorial.logits(tutorial.parameters, ids).argmax(axis=1))
            print(accuracy_score(true, predicted))
        accuracies[variant] = float(accuracy_score(test.labels, predicted))
        print(classification_report(test.labels, predicted), confusion_matrix(test.labels, predicted))

        def predict(shortened: list[str], tutorial: Tutorial = tutorial) -> np.ndarray:
            return np.asarray(jax.nn.softmax(tutorial.logits(tutorial.parameters, keras.number(shortened))))

        print(peers.lime(predict, list(classes), texts["test"][row], int(test.labels[row])))
    return accuracies
