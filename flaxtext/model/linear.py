"""What TF-IDF and a linear support vector machine answer, on the same ids as the networks."""

from typing import NamedTuple

import numpy as np

from flaxtext.model.calibration import log_softmax

CHUNK_ROWS = 4096
"""Documents worked on at a time, to bound memory."""


class Linear(NamedTuple):
    """A trained linear model.

    Attributes:
        idf: float32[rows]; the weight of each feature, 0 for padding and for what no training document holds.
        kernel: float32[rows, classes].
        bias: float32[classes].
        temperature: float32[]; what margins are divided by before the softmax makes probabilities of them.
    """

    idf: np.ndarray
    kernel: np.ndarray
    bias: np.ndarray
    temperature: np.ndarray


def linear_probabilities(model: Linear, ids: np.ndarray) -> np.ndarray:
    """Class probabilities of `ids: int32[n, width]`, features with 0 for padding: `float32[n, classes]`."""
    probability: np.ndarray = np.exp(log_softmax(margins(model, ids) / model.temperature)).astype(np.float32)
    return probability


def margins(model: Linear, ids: np.ndarray) -> np.ndarray:
    """Return each class's margin, `float64[n, classes]`: TF-IDF of norm 1, times the kernel, plus the bias."""
    starts = range(0, max(len(ids), 1), CHUNK_ROWS)
    return np.concatenate([_margins(model, ids[start : start + CHUNK_ROWS]) for start in starts])


def _margins(model: Linear, ids: np.ndarray) -> np.ndarray:
    rows, features, counts = count_features(ids)
    weights = counts * model.idf[features].astype(np.float64)
    norms = np.sqrt(np.bincount(rows, weights**2, minlength=len(ids)))
    total = np.zeros((len(ids), model.kernel.shape[1]))
    if len(rows):
        begins = np.flatnonzero(np.diff(rows, prepend=-1))
        total[rows[begins]] = np.add.reduceat(weights[:, None] * model.kernel[features], begins)
    result: np.ndarray = total / np.maximum(norms, 1e-12)[:, None] + model.bias
    return result


def count_features(ids: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Count the features of documents `int32[n, width]`; 0, padding, does not count.

    Returns rows, features and counts, `int64[k]` each: of each document its distinct features, both rising.
    """
    documents, positions = np.nonzero(ids)
    found = ids[documents, positions].astype(np.int64)
    width = int(found.max(initial=0)) + 1
    keys, counts = np.unique(documents * width + found, return_counts=True)
    rows, features = np.divmod(keys, width)
    return rows, features, counts
