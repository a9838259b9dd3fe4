"""Arrays in safetensors files that may come from a stranger: nothing is allocated before names and sizes are right."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from flaxtext.core.errors import UserError, one_line

MAX_HEADER_BYTES = 1024**2
DTYPES = {"F32": np.float32, "I32": np.int32, "I64": np.int64, "U32": np.uint32, "U8": np.uint8}
"""Name of a type in safetensors -> type of NumPy."""

Tensor = tuple[str, tuple[int | None, ...]]
"""Type, a key of `DTYPES`, and shape; None for an axis of any length."""


def read_tensors(path: Path, expected: Mapping[str, Tensor], asked_by: str) -> dict[str, np.ndarray]:
    """Read arrays of these names, types and shapes, and no others.

    `asked_by` says in messages who expects them. Raises `UserError` where the file has others, or is damaged.
    """
    try:
        _check_length(path, expected, asked_by)
        with safe_open(path, framework="numpy") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118, not a dict
            found = {name: (part.get_dtype(), tuple(part.get_shape())) for name, part in slices.items()}
            for name in sorted(found.keys() | expected.keys()):
                if not _fits(found.get(name), expected.get(name)):
                    raise UserError(
                        f"{path}: {name[:60]!r} is {_describe(found.get(name))}; "
                        f"{asked_by} for {_describe(expected.get(name))}"
                    )
            return {name: file.get_tensor(name) for name in expected}
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(f"{path}: not safetensors, or damaged: {one_line(error)}; get the model again") from None


def read_metadata(path: Path) -> dict[str, str]:
    """Read the metadata, texts by name, of a file that `read_tensors` has read."""
    with safe_open(path, framework="numpy") as file:
        return dict(file.metadata() or {})


def _check_length(path: Path, expected: Mapping[str, Tensor], asked_by: str) -> None:
    """Refuse a header beyond all measure, and, where the shapes are known, a file that is longer or shorter."""
    with path.open("rb") as file:
        header = int.from_bytes(file.read(8), "little")
    if header > MAX_HEADER_BYTES:
        raise UserError(f"{path}: not safetensors, or damaged: a header of {header:,} bytes; get the model again")
    size, length = path.stat().st_size, 8 + header
    for dtype, shape in expected.values():
        if None in shape:
            return
        length += _bytes(dtype, shape)
    if size != length:
        raise UserError(f"{path}: {size:,} bytes; {asked_by} for {length:,}; get the model again")


def _bytes(dtype: str, shape: tuple[int | None, ...]) -> int:
    size = np.dtype(DTYPES[dtype]).itemsize
    for length in shape:
        size *= length or 0
    return size


def _fits(found: Tensor | None, expected: Tensor | None) -> bool:
    if found is None or expected is None or found[0] != expected[0] or len(found[1]) != len(expected[1]):
        return False
    return all(asked in (None, length) for length, asked in zip(found[1], expected[1], strict=True))


def _describe(tensor: Tensor | None) -> str:
    if tensor is None:
        return "nothing"
    dtype, shape = tensor
    return f"{dtype} of {' x '.join('any length' if length is None else str(length) for length in shape)}"
