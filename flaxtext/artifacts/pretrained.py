"""Word vectors that were trained on more text than the user's: a safetensors file.

- `ids: int32[n]`, ascending, `vectors: float32[n, dim]`: the words of the vocabulary that have a vector;
- `extra_words: uint8[bytes]`, `extra_offsets: int32[m + 1]`, `extra_vectors: float32[m, dim]`: words that the
  vocabulary lacks, in their file's order, as UTF-8, one directly after the other, and where each begins and the last
  one ends;
- `ranks: int32[n]`, `extra_ranks: int32[m]`: their places in that file, from 1.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from flaxtext.core.arrow import string_array
from flaxtext.core.errors import UserError, one_line
from flaxtext.core.files import atomic


class Pretrained(NamedTuple):
    """The vectors of some words, of the vocabulary and others.

    Attributes:
        ids: `int32[n]`, ascending: words of the vocabulary.
        vectors: `float32[n, dim]`, theirs.
        ranks: `int32[n]`, the place of each in the vectors' file, from 1: files begin with the most frequent word.
        words: `string[m]`, words that the vocabulary lacks, each once, in the file's order.
        extra: `float32[m, dim]`, theirs.
        extra_ranks: `int32[m]`, ascending, their places.
    """

    ids: np.ndarray
    vectors: np.ndarray
    ranks: np.ndarray = np.zeros(0, np.int32)
    words: pa.StringArray = string_array([])
    extra: np.ndarray = np.zeros((0, 0), np.float32)
    extra_ranks: np.ndarray = np.zeros(0, np.int32)


NONE = Pretrained(np.zeros(0, np.int32), np.zeros((0, 0), np.float32))

METADATA = {"format": "pretrained vectors, version 2"}
"""One key alone: safetensors writes several in an order that differs from process to process."""


def write_pretrained(path: str | Path, pretrained: Pretrained) -> None:
    """Write the words and their vectors, whole or not at all."""
    words = pa.concat_arrays([pretrained.words])  # a slice, too, then begins at 0
    _, offsets, data = words.buffers()
    ends = np.frombuffer(offsets, np.int32, len(words) + 1) if len(words) else np.zeros(1, np.int32)
    tensors = {
        "ids": pretrained.ids,
        "vectors": pretrained.vectors,
        "ranks": pretrained.ranks,
        "extra_words": np.frombuffer(data, np.uint8, ends[-1]) if len(words) else np.zeros(0, np.uint8),
        "extra_offsets": ends,
        "extra_vectors": pretrained.extra,
        "extra_ranks": pretrained.extra_ranks,
    }
    with atomic(path) as temporary:
        temporary.write_bytes(save(tensors, METADATA))


def read_pretrained(path: str | Path) -> Pretrained:
    """Read what `write_pretrained` wrote. Raises `UserError` where it is something else."""
    if not Path(path).is_file():
        raise UserError(f"{path}: no such file; run `dvc repro` to make it")
    try:
        with safe_open(path, framework="numpy") as file:
            if file.metadata() != METADATA:
                raise UserError(f"{path}: another version of flaxtext wrote it; run `dvc repro`")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, not a dict
        letters, offsets = tensors.pop("extra_words"), tensors.pop("extra_offsets")
        words = pa.StringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets), pa.py_buffer(letters))
        words.validate(full=True)
        return Pretrained(words=words, extra=tensors.pop("extra_vectors"), **tensors)
    except (SafetensorError, KeyError, TypeError, OSError, pa.ArrowInvalid) as error:
        raise UserError(f"{path}: not as build_vocab writes it: {one_line(error)}; run `dvc repro`") from None
