"""Confidence that means what it says: a temperature, fitted to documents that were not trained on.

A network is often surer than it is right, or, with smoothed labels, less sure. Dividing its logits by one number
fixes most of that and changes no answer. Source: Guo et al., On Calibration of Modern Neural Networks (ICML 2017).
"""

from functools import cache

import numpy as np

TEMPERATURES = np.geomspace(0.05, 20, 121)


def temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the temperature, of a grid, that makes `labels: int32[n]` likeliest by `logits: float[n, classes]`.

    A label counts as (n + 1) / (n + 2) certain, as in Platt's scaling (1999): otherwise few documents, all of them
    right, would make any answer certain. Without documents it is 1.
    """
    if not len(labels):
        return 1.0
    targets = np.full(logits.shape, 1 / (len(labels) + 2) / (logits.shape[1] - 1))
    targets[np.arange(len(labels)), labels] = (len(labels) + 1) / (len(labels) + 2)

    @cache
    def loss(place: int) -> float:
        return float(-(targets * log_softmax(logits / TEMPERATURES[place])).sum(axis=1).mean())

    first, last = 0, len(TEMPERATURES) - 1
    while first < last:  # the loss is convex in 1 / t: it falls up to its lowest, and rises from there
        middle = (first + last) // 2
        first, last = (first, middle) if loss(middle) <= loss(middle + 1) else (middle + 1, last)
    return float(TEMPERATURES[first])


def calibrated(probability: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return `probability: float32[n, classes]` as it is at the temperature fitted to these `labels: int32[n]`."""
    logits = np.log(np.maximum(probability, np.finfo(np.float32).tiny))
    result: np.ndarray = np.exp(log_softmax(logits / np.float32(temperature(logits, labels))))
    return result


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Logarithms of the probabilities, each row's by itself: `float[n, classes]`."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    result: np.ndarray = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return result
