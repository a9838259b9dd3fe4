"""Confidence that means what it says: a temperature, fitted to documents that were not trained on.

A network is often surer than it is right, or, with smoothed labels, less sure. Dividing its logits by one number
mends most of that and changes no answer. Source: Guo et al., On Calibration of Modern Neural Networks (ICML 2017).
"""

import numpy as np

TEMPERATURES = np.geomspace(0.05, 20, 121)


def temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the temperature, of a grid, that makes `labels: int32[n]` likeliest by `logits: float[n, classes]`.

    Without documents it is 1.
    """
    if not len(labels):
        return 1.0
    rows = np.arange(len(labels))
    losses = [-log_softmax(logits / t)[rows, labels].mean() for t in TEMPERATURES]
    return float(TEMPERATURES[int(np.argmin(losses))])


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Logarithms of the probabilities, each row's by itself: `float[n, classes]`."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    result: np.ndarray = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return result
