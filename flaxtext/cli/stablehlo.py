"""A trained model as one file for programs that have JAX alone: a function in StableHLO, its parameters inside."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.export
import jax.numpy as jnp
import numpy as np

from flaxtext.artifacts.metrics import write_json
from flaxtext.artifacts.token_ids import read_token_ids
from flaxtext.artifacts.vocabulary import write_vocabulary
from flaxtext.cli.traced import expand, tables_of, weigh
from flaxtext.core.errors import UserError
from flaxtext.core.files import atomic, write_text
from flaxtext.model.architecture import Parameters
from flaxtext.model.classifier import Classifier
from flaxtext.model.forward import Block, apply, logits, rows_of
from flaxtext.model.poolings import Summed
from flaxtext.text.token_ids import TokenIds, renumber
from flaxtext.text.word_classes import UNICODE
from flaxtext.text.words import FILTERS, Tokenizer

FUNCTION = "model.stablehlo"
FILES = {FUNCTION, "config.json", "vocab.parquet", "README.md"}
PLATFORMS = ("cpu", "cuda", "tpu")
CALL_WORDS = 2**14
"""Words of the documents that an exported function is asked about at a time, padding included."""
README = """\
`model.stablehlo` maps word ids, `int32[batch, {width}]`{sizes}, to probabilities, `float32[batch, {classes}]`:

    import jax.export, pathlib
    model = jax.export.deserialize(bytearray(pathlib.Path("model.stablehlo").read_bytes()))
    probabilities = model.call(ids)

`config.json` names the classes, in the order of the columns. `vocab.parquet` has the words and their ids.
{tokenizer}
{unknown}
The ids of {reads} make a row, filled up with 0.
"""
"""What lies beside the function for whoever finds it."""
TOKENIZERS: dict[Tokenizer, str] = {
    "keras": f"""\
A text is lower-cased and split at spaces, tabs, line ends (U+000A to U+000D, U+0085, U+2028, U+2029), and
{FILTERS.split(chr(9))[0]}""",
    "unicode": f"""\
A text is split at white space, control characters, and what Unicode {UNICODE} calls punctuation or symbols, but not at
apostrophes; U+2018, U+2019, U+02BC and U+FF07 are apostrophes. Marks stay with their letters. A character of Han, kana,
Thai, Lao, Khmer, Myanmar, Tai or Ahom is a word, with its marks and what is stacked below it; so is an emoji, a flag or
a keycap, with its skin tone and what zero-width joiners join to it. Other characters that are not seen (the property
Default_Ignorable_Code_Point, but for U+200B, which splits) are dropped. Words are composed, case-folded, and composed
again (NFC). In ASCII, what splits is white space and {FILTERS.split(chr(9))[0]}
`flaxtext.text.words` is the definition.""",
}
"""What it says of a tokenizer."""
UNKNOWN: dict[Tokenizer, str] = {
    "keras": "Words that are not in `vocab.parquet` are dropped.",
    "unicode": "Words that are not in `vocab.parquet` keep their place, as 0.",
}
"""What it says of words that the vocabulary lacks."""
LETTERS = "\nThe model reads the letters of words, too; those of other words are not read here."
MARKS = """
A run of one character that splits, such as `(` or `--`, but
not of white space or control characters, has its place between the words, with the id -(4 * code point + length), where
a length over 3 is 3."""


def quantize(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Round each row of `float32[rows, dim]` to `int8[rows, dim]` and a scale, `float32[rows, 1]`.

    Symmetric: a row is its integers, -127 to 127, times its scale, the row's largest absolute value over 127.
    """
    scale = np.abs(table).max(axis=1, keepdims=True) / np.float32(127)
    scale[scale == 0] = 1
    return np.rint(table / scale).astype(np.int8), scale.astype(np.float32)


def trace(model: Classifier, *, int8: bool = False) -> jax.export.Exported:
    """Trace a model to a function from `int32[batch, width]` to `float32[batch, classes]`, of any batch.

    The width is `max_len` where padding counts, and otherwise any. Raises `UserError` where a table would be too large.
    """
    architecture, features = model.architecture, model.features
    tables = tables_of(features)

    def place(member: Parameters) -> Parameters:
        placed: Parameters = jax.tree.map(jnp.asarray, member)
        return placed

    def parameters_of(member: Parameters) -> Parameters:
        if not int8:
            return place(member)
        placed, (table, scale) = place(member), quantize(member["embedding"]["embedding"])
        # The barrier keeps the compiler from working the product out in advance, and so from float32.
        barrier: Any = jax.lax.optimization_barrier
        codes, scales = barrier((jnp.asarray(table), jnp.asarray(scale)))
        return {**placed, "embedding": {**placed["embedding"], "embedding": codes.astype(jnp.float32) * scales}}

    def logits_of(parameters: Parameters, rows: jax.Array) -> Any:
        if not architecture.weighs:
            return apply(architecture, parameters, Block(rows))
        embedding = parameters["embedding"]
        block = weigh(rows, embedding["idf"], features)
        # Added up as they are read: laid out, the embeddings of a long document would take gigabytes.
        total = (jnp.asarray(block.weights)[..., None] * rows_of(embedding["embedding"], block.rows)).sum(axis=1)
        return logits(architecture, parameters, [Summed(total)])

    def probabilities(ids: jax.Array) -> jax.Array:
        rows = expand(features, tables, ids)
        each = [jax.nn.softmax(logits_of(parameters, rows)) for parameters in map(parameters_of, model.answering)]
        return sum(each[1:], each[0]) / len(each)

    batch, width = jax.export.symbolic_shape("batch, width")
    shape: Any = jax.ShapeDtypeStruct
    ids = shape((batch, architecture.max_len if architecture.positions else width), jnp.int32)
    with _without_locations():
        return jax.export.export(jax.jit(probabilities), platforms=PLATFORMS)(ids)


@contextmanager
def _without_locations() -> Iterator[None]:
    """Keep the names of this machine's files out of what is traced, so that it is the same from any place."""
    config: Any = jax.config  # whose settings are not typed
    before = config.jax_traceback_in_locations_limit
    config.update("jax_traceback_in_locations_limit", 0)
    try:
        yield
    finally:
        config.update("jax_traceback_in_locations_limit", before)


def export_model(
    model: Classifier, output: str | Path, *, int8: bool = False, judged_on: str | Path | None = None
) -> str:
    """Write `model.stablehlo`, `config.json`, `vocab.parquet` and `README.md` into the folder `output`, all or none.

    Returns sizes, and accuracies on the labelled token ids `judged_on`, before and after, as a table. Raises
    `UserError` where these are not of this model.
    """
    judge = None if judged_on is None else _judge(model, judged_on)
    exports = {"float32": trace(model)} | ({"int8": trace(model, int8=True)} if int8 else {})
    data = {name: bytes(exported.serialize()) for name, exported in exports.items()}
    lines = [f"{'':<10} {'bytes':>12}" + ("  accuracy" if judge else "")]
    if judge:
        lines.append(f"{'model':<10} {4 * model.size:>12,}  {judge(model.probabilities):.4f}")
    for name, exported in exports.items():
        accuracy = f"  {judge(partial(_call, model, exported)):.4f}" if judge else ""
        lines.append(f"{name:<10} {len(data[name]):>12,}{accuracy}")
    kind = list(exports)[-1]
    described = {
        "classes": model.classes,
        "max_len": model.architecture.max_len,
        "tokenizer": model.vocabulary.tokenizer,
        "embeddings": kind,
    }
    with atomic(output) as folder:
        folder.mkdir()
        (folder / FUNCTION).write_bytes(data[kind])
        write_json(folder / "config.json", described)
        write_vocabulary(folder / "vocab.parquet", model.vocabulary)
        write_text(folder / "README.md", _readme(model))
    return "\n".join(lines)


def _readme(model: Classifier) -> str:
    architecture, tokenizer = model.architecture, model.vocabulary.tokenizer
    return README.format(
        width=architecture.max_len if architecture.positions else "width",
        sizes=" of any batch" if architecture.positions else " of any sizes",
        classes=len(model.classes),
        tokenizer=TOKENIZERS[tokenizer] + (MARKS if architecture.marks else ""),
        unknown=UNKNOWN[tokenizer] + (LETTERS if architecture.characters else ""),
        reads=model.reads.removesuffix(" of a document count"),
    )


def _judge(model: Classifier, path: str | Path) -> Callable[[Callable[[TokenIds], np.ndarray]], float]:
    """Return a function that tells the accuracy of a function from documents, cut, to probabilities."""
    beside = Path(path).with_name("unknown.parquet")
    split = read_token_ids(path, beside if beside.exists() else None, marks=model.architecture.marks)
    if split.classes != model.classes:
        raise UserError(f"{path}: of the classes {', '.join(split.classes[:20])}, which are not the model's")
    if not len(split.labels):
        raise UserError(f"{path}: no documents")
    rows = 1 + int(np.count_nonzero(model.vocabulary.counts))  # others came with pretrained vectors
    past = rows + len(split.documents.unknown)
    if split.first_unknown not in (0, rows) or split.documents.ids.max(initial=0) >= past:
        raise UserError(f"{path}: ids that the model does not know: token ids of another vocabulary")
    documents = model.cut(renumber(split.documents, rows, model.vocabulary))

    def accuracy(probabilities: Callable[[TokenIds], np.ndarray]) -> float:
        return float((probabilities(documents).argmax(axis=1) == split.labels).mean())

    return accuracy


def _call(model: Classifier, exported: jax.export.Exported, documents: TokenIds) -> np.ndarray:
    """Ask an exported function about documents, in blocks of few sizes: for each size, it is compiled anew."""
    known = replace(documents, ids=np.where(documents.ids < model.vocabulary.rows, documents.ids, 0))
    fixed = model.architecture.max_len if model.architecture.positions else None
    call: Any = exported.call
    widths = np.maximum(16, 4 ** np.ceil(np.log2(np.maximum(known.lengths, 1)) / 2)).astype(np.int64)
    answers = np.zeros((len(known), len(model.classes)), np.float32)
    for width in np.unique(widths) if fixed is None else [fixed]:
        chosen = np.flatnonzero(widths == width) if fixed is None else np.arange(len(known))
        size = max(1, CALL_WORDS // int(width))
        for start in range(0, len(chosen), size):
            part = chosen[start : start + size]
            ids = np.zeros((size, int(width)), np.int32)
            ids[: len(part)] = known.take(part).padded(int(width))
            answers[part] = np.asarray(call(ids))[: len(part)]
    return answers
