"""Texts as Python users have them, lists, NumPy arrays, pandas or Arrow columns, as one Arrow array."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from flaxtext.core.arrow import string_array


def as_texts(texts: Any) -> pa.StringArray:
    """Return texts as `string[n]`; None and NaN become null.

    Raises:
        TypeError: one string alone, a table, or what is no text.
        ValueError: a text holds half of a surrogate pair, which no character is.
    """
    if isinstance(texts, str):
        raise TypeError(f"expected texts, one per item, got one string; pass a list, such as [{str(texts)[:20]!r}]")
    if isinstance(texts, bytes | bytearray | memoryview):
        raise TypeError(
            f"expected texts, one per item, got {type(texts).__name__}; decode them, and pass a list of str"
        )
    if isinstance(texts, Mapping | pa.Table | pa.RecordBatch) or hasattr(texts, "columns"):
        names = texts if isinstance(texts, Mapping) else getattr(texts, "column_names", getattr(texts, "columns", []))
        listed = ", ".join(map(str, list(names)[:20]))
        raise TypeError(f"expected one column of texts, got a table; choose one of its columns: {listed}")
    if isinstance(texts, pa.ChunkedArray):
        texts = texts.combine_chunks()
    if not isinstance(texts, pa.Array):
        if not hasattr(texts, "__iter__") or getattr(texts, "ndim", 1) != 1:
            raise TypeError(f"expected texts, one per item, got {type(texts).__name__}: {str(texts)[:40]!r}")
        values = [None if _is_missing(text) else text for text in texts]
        for number, text in enumerate(values):
            if text is not None and not isinstance(text, str):
                raise TypeError(f"expected texts, got {type(text).__name__} at position {number}: {str(text)[:40]!r}")
        try:
            return string_array(None if text is None else str(text) for text in values)
        except UnicodeEncodeError as error:
            number = values.index(error.object)
            raise ValueError(f"no text at position {number}: half of a surrogate pair, {error.object[:40]!r}") from None
    if pa.types.is_dictionary(texts.type):
        texts = texts.dictionary_decode()
    if pa.types.is_null(texts.type) or pa.types.is_large_string(texts.type) or pa.types.is_string_view(texts.type):
        texts = texts.cast(pa.string())
    if not pa.types.is_string(texts.type):
        raise TypeError(f"expected texts, got a column of {texts.type}")
    return texts


def _is_missing(value: Any) -> bool:
    """Whether a value stands for none: None, NaN, or pandas' NA."""
    is_float = isinstance(value, float | np.floating)
    return value is None or type(value).__name__ == "NAType" or bool(is_float and np.isnan(value))
