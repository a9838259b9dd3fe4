"""Which documents of the training split are held out as validation."""

import numpy as np


def held_out(labels: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Choose a stratified share of `labels: int32[n]`: `bool[n]`, true for about `share` of each class.

    The choice depends on the labels, the share and the seed alone, so that train and evaluate agree on it.
    A class of few documents gives less than its share rather than its last document.
    """
    chosen = np.zeros(len(labels), bool)
    rng = np.random.default_rng(seed)
    for label in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == label))
        chosen[rows[: min(round(share * len(rows)), len(rows) - 1)]] = True
    return chosen
