"""The words of a bundle: a safetensors file, for it may come from a stranger, and Arrow's Parquet reader can abort.

- `words: uint8[bytes]`, UTF-8: the words by id from 1, one directly after the other;
- `offsets: int32[n + 1]`: where each begins, from 0, and at last where the last one ends;
- `counts: int64[n]`: how often each occurs where the vocabulary was fitted; 0 for the last, which pretrained vectors
  brought.

The metadata name the `tokenizer`.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from safetensors.numpy import save

from flaxtext.artifacts.tensors import Tensor, read_metadata, read_tensors
from flaxtext.core.errors import UserError
from flaxtext.text.vocabulary import MAX_WORD_BYTES, MAX_WORDS, Vocabulary
from flaxtext.text.words import TOKENIZERS

TENSORS: dict[str, Tensor] = {"words": ("U8", (None,)), "offsets": ("I32", (None,)), "counts": ("I64", (None,))}


def write_words(path: Path, vocabulary: Vocabulary) -> None:
    """Write the words and their counts."""
    words = pa.concat_arrays([vocabulary.words])  # a slice, too, then begins at 0
    _, offsets, data = words.buffers()
    ends = np.frombuffer(offsets, np.int32)[words.offset : words.offset + len(words) + 1]
    letters = np.frombuffer(data, np.uint8)[ends[0] : ends[-1]] if len(words) else np.zeros(0, np.uint8)
    counts = np.ascontiguousarray(vocabulary.counts, np.int64)
    tensors = {"words": letters, "offsets": ends - ends[0], "counts": counts}
    path.write_bytes(save(tensors, {"tokenizer": vocabulary.tokenizer}))


def read_words(path: Path) -> Vocabulary:
    """Read what `write_words` wrote. Raises `UserError` where it is no vocabulary: nothing else is done with it."""
    letters, offsets, counts = read_tensors(path, TENSORS, "a vocabulary asks").values()

    def refuse(reason: str) -> UserError:
        return UserError(f"{path}: not a vocabulary: {reason}; get the model again")

    if len(offsets) != len(counts) + 1:
        raise refuse(f"{len(counts):,} counts and {len(offsets):,} offsets, which are one more than the words")
    if len(counts) > MAX_WORDS or len(letters) > MAX_WORD_BYTES:
        raise refuse(
            f"{len(counts):,} words of {len(letters) >> 20:,} MB; a model has at most {MAX_WORDS:,}, of "
            f"{MAX_WORD_BYTES >> 20} MB"
        )
    if offsets[0] != 0 or offsets[-1] != len(letters) or (offsets[1:] <= offsets[:-1]).any():
        raise refuse("the offsets do not part the letters into words")
    if (counts < 0).any() or (np.diff(np.sign(counts)) > 0).any():
        raise refuse("a word occurs less than once, and is not among the last, which pretrained vectors brought")
    words = pa.StringArray.from_buffers(len(counts), pa.py_buffer(offsets), pa.py_buffer(letters))
    try:
        words.validate(full=True)
    except pa.ArrowInvalid:
        raise refuse("a word is not UTF-8") from None
    if pc.count_distinct(words).as_py() < len(words):
        raise refuse("a word occurs twice")
    named = read_metadata(path).get("tokenizer")
    for tokenizer in TOKENIZERS:
        if tokenizer == named:
            return Vocabulary(words, counts, tokenizer)
    raise UserError(
        f"{path}: tokenizer {repr(named)[:20]}; this version of flaxtext has {', '.join(TOKENIZERS)}: train the model "
        "again, by `dvc repro` in its project"
    )
