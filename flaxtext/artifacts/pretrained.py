"""The vectors of the vocabulary's words that a user's file had: a safetensors file."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from flaxtext.core.errors import UserError, one_line
from flaxtext.core.files import atomic


class Pretrained(NamedTuple):
    """The vectors of some words: `ids: int32[n]`, ascending, and `vectors: float32[n, dim]`."""

    ids: np.ndarray
    vectors: np.ndarray


NONE = Pretrained(np.zeros(0, np.int32), np.zeros((0, 0), np.float32))

METADATA = {"format": "pretrained vectors, version 1"}
"""One key alone: safetensors writes several in an order that differs from process to process."""


def write_pretrained(path: str | Path, pretrained: Pretrained) -> None:
    """Write the ids and the vectors, whole or not at all."""
    with atomic(path) as temporary:
        temporary.write_bytes(save(pretrained._asdict(), METADATA))


def read_pretrained(path: str | Path) -> Pretrained:
    """Read what `write_pretrained` wrote. Raises `UserError` where it is something else."""
    if not Path(path).is_file():
        raise UserError(f"{path}: no such file; run `dvc repro` to make it")
    try:
        with safe_open(path, framework="numpy") as file:
            if file.metadata() != METADATA:
                raise UserError(f"{path}: another version of flaxtext wrote it; run `dvc repro`")
            return Pretrained(**{name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118, not a dict
    except (SafetensorError, TypeError, OSError) as error:
        raise UserError(f"{path}: not as build_vocab writes it: {one_line(error)}; run `dvc repro`") from None
