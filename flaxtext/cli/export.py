"""A trained model as one file for programs that have JAX alone: a function in StableHLO, its parameters inside."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import jax
import jax.export
import jax.numpy as jnp
import numpy as np

from flaxtext.artifacts.bundle import Classifier
from flaxtext.core.errors import UserError
from flaxtext.core.files import atomic, write_json, write_text
from flaxtext.model.forward import Parameters, logits
from flaxtext.text import vectors, vocabulary
from flaxtext.text.tokenizers import FILTERS

FUNCTION = "model.stablehlo"
FILES = {FUNCTION, "config.json", "vocab.parquet", "README.md"}
PLATFORMS = ("cpu", "cuda", "tpu")
ROWS = 8192
"""Documents judged at a time."""
README = """\
`model.stablehlo` maps word ids, `int32[batch, {max_len}]` of any batch, to probabilities, `float32[batch, {classes}]`:

    import jax.export, pathlib
    model = jax.export.deserialize(bytearray(pathlib.Path("model.stablehlo").read_bytes()))
    probabilities = model.call(ids)

`config.json` names the classes, in the order of the columns. `vocab.parquet` has the words and their ids. A text is
lower-cased and split at spaces, tabs, line feeds and any of {filters}
Words that are not in `vocab.parquet` are dropped; the first {max_len} ids of the rest make a row, filled up with 0.
"""
"""What lies beside the function for whoever finds it."""


def quantize(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Round each row of `float32[rows, dim]` to `int8[rows, dim]` and a scale, `float32[rows, 1]`.

    Symmetric: a row is its integers, -127 to 127, times its scale, the row's largest absolute value over 127.
    """
    scale = np.abs(table).max(axis=1, keepdims=True) / np.float32(127)
    scale[scale == 0] = 1
    return np.rint(table / scale).astype(np.int8), scale.astype(np.float32)


def trace(model: Classifier, *, int8: bool = False) -> jax.export.Exported:
    """Trace a model to a function from `int32[batch, max_len]` to `float32[batch, classes]`, of any batch."""
    if model.pooling is None:
        raise UserError("a linear model is scikit-learn's, and cannot be exported to JAX")
    pooling = model.pooling
    members = model.members if model.config.get("ensemble") else model.members[:1]

    def parameters_of(member: Parameters) -> Parameters:
        if not int8:
            return cast(Parameters, jax.tree.map(jnp.asarray, member))
        table, scale = quantize(np.asarray(member["embedding"]["embedding"]))
        # The barrier keeps the compiler from working the product out in advance, and so from float32.
        barrier: Any = jax.lax.optimization_barrier
        codes, scales = barrier((jnp.asarray(table), jnp.asarray(scale)))
        return {**jax.tree.map(jnp.asarray, member), "embedding": {"embedding": codes.astype(jnp.float32) * scales}}

    def probabilities(ids: jax.Array) -> jax.Array:
        expanded = model.features.expand(ids)
        width = expanded.shape[1]
        each = [jax.nn.softmax(logits(pooling, width, parameters_of(member), expanded)) for member in members]
        return sum(each[1:], each[0]) / len(each)

    (batch,) = jax.export.symbolic_shape("batch")
    shape: Any = jax.ShapeDtypeStruct
    ids = shape((batch, model.max_len), jnp.int32)
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

    Returns sizes, and accuracies on the labelled vectors `judged_on`, before and after, as a table. Raises `UserError`
    where these are not of this model.
    """
    judge = None if judged_on is None else _judge(model, judged_on)
    exports = {"float32": trace(model)} | ({"int8": trace(model, int8=True)} if int8 else {})
    data = {name: bytes(exported.serialize()) for name, exported in exports.items()}
    lines = [f"{'':<10} {'bytes':>12}" + ("  accuracy" if judge else "")]
    if judge:
        lines.append(f"{'model':<10} {4 * model.size:>12,}  {judge(model.probabilities):.4f}")
    for name, exported in exports.items():
        accuracy = f"  {judge(exported.call):.4f}" if judge else ""
        lines.append(f"{name:<10} {len(data[name]):>12,}{accuracy}")
    kind = list(exports)[-1]
    described = {"classes": model.classes, "max_len": model.max_len, "embeddings": kind}
    with atomic(output) as folder:
        folder.mkdir()
        (folder / FUNCTION).write_bytes(data[kind])
        write_json(folder / "config.json", described)
        vocabulary.save(model.vocabulary, folder / "vocab.parquet")
        text = README.format(max_len=model.max_len, classes=len(model.classes), filters=FILTERS.split("\t")[0])
        write_text(folder / "README.md", text)
    return "\n".join(lines)


def _judge(model: Classifier, path: str | Path) -> Callable[[Callable[[np.ndarray], Any]], float]:
    """Return a function that tells the accuracy of a function from ids to probabilities."""
    ids, labels = vectors.read(path)
    if ids.shape[1] != model.max_len or not len(labels):
        raise UserError(f"{path}: {len(labels):,} rows of {ids.shape[1]} ids; the model takes {model.max_len} a row")
    if ids.min() < 0 or ids.max() > len(model.vocabulary) or labels.min() < 0 or labels.max() >= len(model.classes):
        raise UserError(f"{path}: ids or labels that the model does not know: vectors of another vocabulary")

    def accuracy(probabilities: Callable[[np.ndarray], Any]) -> float:
        starts = range(0, len(ids), ROWS)
        answers = [np.asarray(probabilities(ids[start : start + ROWS])).argmax(axis=1) for start in starts]
        return float((np.concatenate(answers) == labels).mean())

    return accuracy
