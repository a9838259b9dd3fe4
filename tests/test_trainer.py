"""The fast trainer against the plain one with optax.adam: the same losses and parameters, step by step."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pyarrow as pa
import pytest

from flaxtext.model.architecture import Architecture, flatten_parameters, unflatten_parameters
from flaxtext.model.poolings import POOLINGS
from flaxtext.text.features import FeatureIds
from flaxtext.text.token_ids import number_words, offsets_of
from flaxtext.text.vocabulary import fit_vocabulary
from flaxtext.train.fast.chunks import ChunkLayout
from flaxtext.train.fast.tiles import TileLayout
from flaxtext.train.fast.trainer import Fast, serves
from flaxtext.train.loop import Watched, learning_rates, order
from flaxtext.train.network import build, split
from flaxtext.train.objective import Objective
from flaxtext.train.trainer import Plain

ROWS, MAX_LEN, SEED = 40, 6, 3
RATES = learning_rates(0.01, "linear", 12)
TABLE = jnp.asarray(RATES.astype(np.float32))
ADAM = optax.adam(lambda step: TABLE[step])  # one for all tests: each is compiled for itself
OBJECTIVE = Objective(label_smoothing=0.1, class_weights=(1.0, 2.0, 0.5))


def architecture(pooling, **changes):
    sizes = {"rows": ROWS, "classes": 3, "max_len": MAX_LEN, "embed_dim": 5, "hidden": 8}
    return Architecture(pooling=pooling, **{**sizes, **changes})


def documents(own, n=50):
    """Documents of any length, some empty; where positions count, with padding between words, as n-grams leave it."""
    rng = np.random.default_rng(0)
    ids = rng.integers(0, ROWS, (n, MAX_LEN)).astype(np.int32)
    ids[np.arange(MAX_LEN) >= rng.integers(0, MAX_LEN + 1, n)[:, None]] = 0
    features = ragged(ids)
    return Watched(features if own.positions else features.closed_up(), rng.integers(0, 3, n).astype(np.int32))


def ragged(ids):
    """Documents `int32[n, width]` up to the last feature of each."""
    is_there = np.cumsum((ids != 0)[:, ::-1], axis=1)[:, ::-1] > 0
    return FeatureIds(ids[is_there], offsets_of(is_there.sum(axis=1)))


def initial(own, seed=0):
    rng = np.random.default_rng(seed)
    named = {path: (rng.normal(size=shape) / 2).astype(np.float32) for path, shape in own.shapes.items()}
    return jax.device_put(unflatten_parameters(named))


def epochs(n, count, batch_size):
    """Shuffled epochs, as the loop makes them."""
    return [order(n, batch_size, np.random.default_rng([7, epoch])) for epoch in range(count)]


def quick(own, train, objective):
    return Fast(own, *train, RATES, objective, SEED, room=True)


def plain(own, train, objective=OBJECTIVE):
    return Plain(own, *train, ADAM, objective, SEED)


def step_through(trainer, parameters, segments):
    """Run segments; the losses of all steps, and the parameters after each segment."""
    trainer.start(parameters)
    losses, after = [], []
    for documents in segments:
        losses.extend(np.asarray(trainer.run(trainer.prepare(documents))).tolist())
        after.append({name: np.array(array) for name, array in flatten_parameters(trainer.parameters).items()})
    return losses, after


def agree(found, expected):
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-4)
    for one, other in zip(found[1], expected[1], strict=True):
        for name, array in one.items():
            np.testing.assert_allclose(array, other[name], rtol=1e-3, atol=1e-5, err_msg=name)


@pytest.mark.parametrize(
    ("pooling", "hidden"),
    [
        *((pooling, 8) for pooling in POOLINGS if serves(pooling)),
        ("mean_max", 0),
        *(pytest.param(pooling, 0, marks=pytest.mark.slow) for pooling in ("flatten", "padded_sum")),
    ],
)
def test_fast_equals_plain_with_adam(pooling, hidden):
    """Over shuffled epochs, with a learning rate that falls, and with all that the objective knows but dropout."""
    own = architecture(pooling, hidden=hidden)
    train = documents(own)
    segments = epochs(len(train.labels), 3, 16)
    agree(
        step_through(quick(own, train, OBJECTIVE), initial(own), segments),
        step_through(plain(own, train), initial(own), segments),
    )


def dropped(layout, used, key, objective):
    """The documents of a batch, less the words that a step with this key leaves out: `int32[batch, MAX_LEN]`."""
    positions = np.asarray(objective.drop(layout.positions, key))
    ids, rows, start = np.asarray(used)[positions], [], 0
    for size, width in zip(layout.sizes, layout.widths, strict=True):
        part = ids[start : start + size * width].reshape(size, width)
        rows.append(np.pad(part, ((0, 0), (0, MAX_LEN - width))))
        start += size * width
    return np.concatenate(rows)


@pytest.mark.parametrize(
    "pooling",
    [
        pooling if pooling in ("padded_sum", "attention") else pytest.param(pooling, marks=pytest.mark.slow)
        for pooling in POOLINGS
        if serves(pooling)
    ],
)
def test_word_dropout_trains_on_what_is_left_of_the_documents(pooling):
    """The words that a step leaves out are drawn again here; the plain trainer gets what is left, in the same order."""
    own = architecture(pooling)
    train = documents(own)
    objective = OBJECTIVE._replace(word_dropout=0.4)
    trainer = quick(own, train, objective)
    trainer.start(initial(own))
    left, losses = [], []
    for documents_of in epochs(len(train.labels), 3, 16):
        segment = trainer.prepare(documents_of)
        for step, used in enumerate(segment.used):
            layout = jax.tree.map(lambda array, step=step: array[step], segment.layout)
            key = jax.random.fold_in(jax.random.key(np.uint32(SEED)), len(left) + 1)
            left.append((dropped(layout, used, key, objective), np.asarray(segment.labels[step])))
        losses.extend(np.asarray(trainer.run(segment)).tolist())
    after = {name: np.array(array) for name, array in flatten_parameters(trainer.parameters).items()}
    ids, labels = (np.concatenate(parts) for parts in zip(*left, strict=True))
    assert (ids != 0).sum() < 0.75 * 3 * (train.features.rows != 0).sum()
    together = Watched(ragged(ids), labels)
    in_order = np.arange(len(labels), dtype=np.int32).reshape(3, 4, 16)
    expected = step_through(plain(own, together), initial(own), in_order)
    agree((losses, [after]), (expected[0], expected[1][-1:]))


def test_the_state_is_one_pytree_of_arrays():
    """It can be saved, and go on from where it was."""
    own = architecture("mean")
    train = documents(own)
    segments = epochs(len(train.labels), 3, 16)
    for make in (partial(quick, objective=OBJECTIVE), plain):
        trainer = make(own, train)
        assert trainer.state is None
        whole = step_through(trainer, initial(own), segments)
        again = make(own, train)
        step_through(again, initial(own), segments[:2])
        saved = jax.tree.map(
            lambda leaf: np.array(jax.random.key_data(leaf)) if is_key(leaf) else np.array(leaf), again.state
        )
        assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(again.state))
        went_on = make(own, train)
        went_on.start(initial(own, seed=9))
        went_on.state = jax.tree.map(
            lambda leaf, old: jax.random.wrap_key_data(leaf) if is_key(old) else jnp.asarray(leaf), saved, again.state
        )
        losses = np.asarray(went_on.run(went_on.prepare(segments[2])))
        np.testing.assert_array_equal(losses, whole[0][-4:])
        for name, array in flatten_parameters(went_on.parameters).items():
            np.testing.assert_array_equal(array, whole[1][-1][name], err_msg=name)


def is_key(leaf):
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


LONG = [0, 1, 700, 3, 16, 17, 64, 65, 2, 9, 130, 5, 8, 0, 30, 4]


@pytest.mark.parametrize(("pooling", "layout"), [("mean", TileLayout), ("sum", TileLayout), ("max", ChunkLayout)])
def test_documents_of_mixed_lengths_are_trained_on_as_padded_ones_are(pooling, layout):
    """By the fast way, ragged, and by the plain way, padded to the longest; and in segments of a step each."""
    rng = np.random.default_rng(0)
    own = architecture(pooling, max_len=None)
    offsets = offsets_of(np.array(LONG, np.int64))
    train = Watched(
        FeatureIds(rng.integers(1, ROWS, offsets[-1]).astype(np.int32), offsets),
        rng.integers(0, 3, len(LONG)).astype(np.int32),
    )
    segments = epochs(len(LONG), 3, 5)
    trainer = quick(own, train, OBJECTIVE)
    assert isinstance(trainer._layout, layout)
    expected = step_through(plain(own, train), initial(own), segments)
    agree(step_through(trainer, initial(own), segments), expected)
    steps = [step for segment in segments for step in segment[:, None]]
    again = step_through(quick(own, train, OBJECTIVE), initial(own), steps)
    agree((again[0], again[1][3::4]), expected)


def test_segments_have_a_bounded_size(monkeypatch):
    own = architecture("mean")
    train = documents(own)
    [batches] = epochs(len(train.labels), 1, 16)
    for make, limit in ((quick, "fast.trainer"), (plain, "trainer")):
        trainer = make(own, train, OBJECTIVE)
        assert len(trainer.segments(batches)) == 1
        with monkeypatch.context() as patch:
            patch.setattr(f"flaxtext.train.{limit}.SEGMENT_IDS", 60)
            parts = trainer.segments(batches)
        assert len(parts) > 1
        assert np.array_equal(np.concatenate(parts), batches)


@pytest.mark.slow
@pytest.mark.parametrize("pooling", ["flatten", "padded_mean"])
def test_the_same_losses_as_dense_adam_on_real_text(ag_news_texts, pooling):
    texts = pa.array(ag_news_texts[:6000], pa.string())
    words = fit_vocabulary([texts])
    labels = np.random.default_rng(0).integers(0, 4, len(texts)).astype(np.int32)  # even noise must agree
    ids = number_words(texts, words).first(50)
    train = Watched(FeatureIds(ids.ids, ids.offsets), labels)
    own = Architecture(rows=words.rows, classes=4, max_len=50, pooling=pooling, embed_dim=8, hidden=20)
    segments = epochs(len(texts), 15, 256)
    rates = learning_rates(0.001, "constant", 15 * len(segments[0]))
    start = split(build(own, 0))[1]
    sparse = step_through(Fast(own, *train, rates, Objective(), 0, room=True), jax.tree.map(jnp.copy, start), segments)
    dense = step_through(Plain(own, *train, optax.adam(0.001), Objective(), 0), start, segments)
    by_epoch = [np.reshape(losses, (15, -1)).mean(axis=1) for losses in (sparse[0], dense[0])]
    np.testing.assert_allclose(*by_epoch, rtol=1e-4)
