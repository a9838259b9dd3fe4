"""Confidence that means what it says: a temperature, fitted to documents that were not trained on.

A network is often surer than it is right, or, with smoothed labels, less sure. Dividing its logits by one number
fixes most of that and changes no answer. Source: Guo et al., On Calibration of Modern Neural Networks (ICML 2017).
"""

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
    losses = [-(targets * log_softmax(logits / t)).sum(axis=1).mean() for t in TEMPERATURES]
    return float(TEMPERATURES[int(np.argmin(losses))])


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Logarithms of the probabilities, each row's by itself: `float[n, classes]`."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    result: np.ndarray = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return result
