"""From Python and NumPy to Arrow and back, without pandas.

Arrow's own conversions (`pa.array`, `pa.scalar`, `to_numpy`, functions that are given a number or a string) look for
pandas first, to know its objects if they see one. Where it is installed, that imports it, and takes a quarter of a
second: as long as all else that a prediction needs. So what loads a model and predicts converts by these functions.
"""

from collections.abc import Iterable

import numpy as np
import pyarrow as pa

DTYPES = {pa.from_numpy_dtype(np.dtype(code)): np.dtype(code) for code in np.typecodes["AllInteger"] + "efd"}
"""Type of Arrow -> type of NumPy; Arrow's own `to_pandas_dtype` imports pandas, in version 20."""


def string_array(texts: Iterable[str | None]) -> pa.StringArray:
    """Return `string[n]`, null for None. Raises `UnicodeEncodeError` for half a surrogate pair."""
    return binary_array(None if text is None else text.encode() for text in texts).view(pa.string())


def text_scalar(text: str) -> pa.StringScalar:
    """Return a text as a scalar, where a function of Arrow takes one beside arrays."""
    return string_array([text])[0]


def binary_array(values: Iterable[bytes | None]) -> pa.BinaryArray:
    """Return `binary[n]`, null for None. Raises `ValueError` where it would take 2 GB or more."""
    items = list(values)
    ends = np.cumsum([0, *(len(item or b"") for item in items)])
    if ends[-1] >= 2**31:
        raise ValueError(f"{ends[-1]:,} bytes of text; at most {2**31 - 1:,} are taken at a time")
    present = np.fromiter((item is not None for item in items), bool, len(items))
    data = pa.py_buffer(b"".join(item or b"" for item in items))
    return pa.Array.from_buffers(
        pa.binary(), len(items), [_validity(present), pa.py_buffer(ends.astype(np.int32)), data]
    )


def number_array(values: np.ndarray, missing: np.ndarray | None = None) -> pa.Array:
    """Return numbers of any type, `[n]`, as they are; null where `missing: bool[n]`."""
    data = pa.py_buffer(np.ascontiguousarray(values))
    validity = None if missing is None else _validity(~missing)
    return pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), len(values), [validity, data])


def numpy_array(values: pa.Array) -> np.ndarray:
    """Return numbers or booleans as NumPy has them, `[n]`; they cannot be written to.

    Raises `ValueError` where one is null.
    """
    if values.null_count:
        raise ValueError(f"{values.null_count:,} of {len(values):,} values are null")
    if pa.types.is_boolean(values.type):
        return numpy_array(values.cast(pa.uint8())).view(bool)
    dtype = DTYPES[values.type]
    if not len(values):  # nor is there always a buffer
        return np.zeros(0, dtype)
    return np.frombuffer(values.buffers()[1], dtype, len(values), values.offset * dtype.itemsize)


def _validity(present: np.ndarray) -> pa.Buffer | None:
    return None if present.all() else pa.py_buffer(np.packbits(present, bitorder="little"))
