"""The highest numbers of each row, with ties broken in one way."""

import numpy as np


def highest(values: np.ndarray, k: int) -> np.ndarray:
    """Find the columns of the `k` highest numbers of each row, in falling order: `int32[n, k]` for `float32[n, m]`.

    No number may be below 0. Of equal ones the one further to the left comes first, as `argmax` has it.
    """
    k = min(k, values.shape[1])
    if k == 1:
        first: np.ndarray = values.argmax(axis=1).astype(np.int32)
        return first[:, None]
    # The bits of such numbers are ordered as they are; with the column below them, no two keys of a row are equal.
    columns = np.arange(values.shape[1], dtype=np.int64)
    keys = (np.ascontiguousarray(values, np.float32).view(np.int32).astype(np.int64) << 32) | (2**31 - 1 - columns)
    if k < values.shape[1]:
        keys = np.partition(keys, values.shape[1] - k, axis=1)[:, -k:]
    found: np.ndarray = (2**31 - 1 - (np.sort(keys, axis=1)[:, ::-1] & (2**32 - 1))).astype(np.int32)
    return found
