"""What a network starts from, where not from random numbers alone: log-count ratios, or pretrained word vectors.

The log-count ratio of a row of the embedding table and a class is the logarithm of how much more often documents of
that class hold it than documents of the others do. Averaged over a document, ratios are a naive Bayes classifier;
as the start of a better one they come from Wang and Manning 2012, "Baselines and bigrams". Rare rows, which few steps
touch, gain most.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np

from flaxtext.text.features import FeatureIds
from flaxtext.text.token_ids import offsets_of
from flaxtext.train.network import Network
from flaxtext.train.vectors import WordVectors, ridge

SMOOTHING = 0.3
"""Occurrences that each row is given beside those that are counted, a class, on average."""
EMBEDDING_SCALE, OUTPUT_SCALE = 0.25, 6.0
"""What ratios are multiplied by as embeddings, and again by the output layer. Chosen, as is `SMOOTHING`, by documents
held out of the training split of AG News; there, half of their product is too little and twice is too much."""
CHUNK_VALUES = 2**22
"""Ratios worked out at a time."""
ODDS_SMOOTHING, TRUST = 0.6, 0.4
"""Documents that each row is given beside those that are counted, and what is taken of the scale that documents ask
for. Chosen by cross-validation over the training splits of ten corpora (docs/variants.md)."""


def log_ratios(counts: np.ndarray, smoothing: float) -> np.ndarray:
    """Return the ratios of `counts: int64[rows, classes]`, `float32[rows, classes]`.

    A row that documents do not hold, and row 0, padding, has ratios of 0; all others' sum to 0.
    """
    classes = counts.shape[1]
    total = counts.sum(axis=0) + 1.0
    expected = smoothing * classes * total / total.sum()  # in proportion, so that what is never seen says nothing
    logs = np.log(counts + expected) - np.log(total)
    ratios: np.ndarray = (logs - logs.mean(axis=1, keepdims=True)).astype(np.float32)
    return ratios


def count_by_class(features: FeatureIds, labels: np.ndarray, rows: int, classes: int) -> np.ndarray:
    """Count how often documents of each class hold each row, `int64[rows, classes]`; padding does not count."""
    label_of = np.repeat(labels.astype(np.int64), features.lengths)
    counts = np.bincount(features.rows * np.int64(classes) + label_of, minlength=rows * classes)
    counts = counts.reshape(rows, classes)
    counts[0] = 0
    return counts


def start_from_log_ratios(network: Network, features: FeatureIds, labels: np.ndarray) -> None:
    """Set the first dimensions of the embeddings, one a class, to the ratios, and the output layer to read them.

    The network has no hidden layer, and a pooling that begins with an average (`Pooling.averages`). The other
    dimensions stay as they are.
    """
    output: Any = network.output
    embedding, kernel = np.array(network.embedding.embedding[...]), np.array(output.kernel[...])
    classes = kernel.shape[1]
    counts = count_by_class(features, labels, len(embedding), classes)
    embedding[:, :classes] = EMBEDDING_SCALE * log_ratios(counts, SMOOTHING)
    kernel[:classes] = OUTPUT_SCALE * np.eye(classes)
    network.embedding.embedding[...] = jnp.asarray(embedding)
    output.kernel[...] = jnp.asarray(kernel)


def start_as_naive_bayes(
    network: Network, features: FeatureIds, labels: np.ndarray, means: np.ndarray | None = None
) -> None:
    """Let the embeddings of weighted features, whose dimensions are the classes, start as a naive Bayes classifier.

    The ratio of a row and a class is that of the odds that documents of the class, and documents of all others, hold
    it. How far to trust the ratios the documents say themselves: those of one half, scaled to come nearest to the
    labels of the other half in the sum of squares; `TRUST` is taken of that. Beside `means: float32[n, dim]` of
    pretrained vectors, which `features` do not hold, the ratios are scaled with what these say of the other half, and
    by how much less they say there than of their own: with few documents, ratios know those by heart.
    """
    table: Any = network.embedding.embedding
    rows, classes = table.shape
    targets = 2.0 * (labels[:, None] == np.arange(classes)) - 1
    half = np.random.default_rng(0).permutation(len(labels)) % 2 == 0
    moments, squares, own_squares = np.zeros(2), np.zeros((2, 2)), 0.0
    for own in (half, ~half):
        ratios = odds_ratios(_select(features, own), labels[own], rows, classes)
        said = [_centred(_scores(_select(features, ~own), ratios))]
        own_squares += float(np.square(_centred(_scores(_select(features, own), ratios))).sum())
        said.append(
            np.zeros_like(said[0]) if means is None else _centred(means[~own] @ ridge(means[own], targets[own]))
        )
        moments += [float((targets[~own] * one).sum()) for one in said]
        squares += [[float((one * other).sum()) for other in said] for one in said]
    scale = _scale(moments, squares, own_squares, beside_vectors=means is not None)
    ratios = odds_ratios(features, labels, rows, classes)
    ratios *= scale
    bias = targets.mean(axis=0) - _scores(features, ratios).mean(axis=0)
    table[...] = jnp.asarray(ratios)
    output: Any = network.output
    output.bias[...] = jnp.asarray(bias.astype(np.float32))


def _scale(moments: np.ndarray, squares: np.ndarray, own_squares: float, *, beside_vectors: bool) -> float:
    """What the ratios are multiplied by, given what halves said of each other: see `start_as_naive_bayes`."""
    if not squares[0, 0]:
        return 0.0
    alone = max(0.0, float(moments[0] / squares[0, 0]))
    if not beside_vectors or not squares[1, 1]:
        return TRUST * alone
    of_ratios, of_vectors = np.linalg.solve(squares + 1e-6 * np.eye(2) * np.trace(squares), moments)
    trusted = alone if of_vectors < 0 else max(0.0, of_ratios)
    return float(trusted * np.sqrt(squares[0, 0] / own_squares))


def _centred(scores: np.ndarray) -> np.ndarray:
    result: np.ndarray = scores - scores.sum(axis=0) / max(1, len(scores))
    return result


def start_projected(network: Network, features: FeatureIds, labels: np.ndarray) -> None:
    """Let the embeddings of weighted features start as a naive Bayes classifier of more classes than dimensions.

    The classes are random directions, which the output layer holds; an embedding is the sum of those of the classes
    whose documents hold the row, by how much oftener than is to be expected. A random projection keeps sums apart
    (Johnson and Lindenstrauss 1984).
    """
    weights: Any = network.embedding.embedding
    rows, dims = weights.shape
    output: Any = network.output
    classes = output.bias.shape[0]
    counts, of_class = _count_documents(features, labels, rows, classes)
    share = np.asarray(of_class.sum(axis=0)) / len(labels)
    expected = np.repeat(np.asarray(counts.sum(axis=1)), np.diff(counts.indptr)) * share[counts.indices]
    counts.data = np.log1p(np.maximum(counts.data / expected - 1, 0)) * counts.data / (counts.data + ODDS_SMOOTHING)
    kernel = np.random.default_rng(0).standard_normal((dims, classes)).astype(np.float32) / np.float32(dims**0.5)
    table = np.asarray(counts @ kernel.T, np.float32)
    moment = square = 0.0
    size = max(1, CHUNK_VALUES // classes)
    for first in range(0, len(labels), size):
        scores = _scores(features.part(first, min(first + size, len(labels))), table) @ kernel
        targets = 2.0 * (labels[first : first + size, None] == np.arange(classes)) - 1
        moment += float((targets * _centred(scores)).sum())
        square += float(np.square(_centred(scores)).sum())
    table *= TRUST * max(0.0, moment / square) if square else 0.0
    weights[...] = jnp.asarray(table)
    output.kernel[...] = jnp.asarray(kernel)
    output.bias[...] = jnp.asarray((2 * share - 1).astype(np.float32).reshape(-1))


def odds_ratios(features: FeatureIds, labels: np.ndarray, rows: int, classes: int) -> np.ndarray:
    """Return the logarithm of how much likelier a row is in documents of a class than in others: `[rows, classes]`.

    Each document counts a row once; `ODDS_SMOOTHING` documents of each row are added, in the classes' proportion. What
    no document holds has 0.
    """
    counts, _ = _count_documents(features, labels, rows, classes)
    total = np.asarray(counts.sum(axis=0)) + 1
    share, other = total / total.sum(), total.sum() - total
    ratios = np.empty((rows, classes), np.float32)
    size = max(1, CHUNK_VALUES // classes)
    for first in range(0, rows, size):
        some = counts[first : first + size].toarray()
        rest = some.sum(axis=1, keepdims=True) - some
        odds = np.log((some + ODDS_SMOOTHING * share) / total)
        odds -= np.log((rest + ODDS_SMOOTHING * (1 - share)) / other)
        odds[~some.any(axis=1)] = 0
        ratios[first : first + size] = odds
    return ratios


def _count_documents(features: FeatureIds, labels: np.ndarray, rows: int, classes: int) -> tuple[Any, Any]:
    """Count the documents of each class that hold each row, `[rows, classes]`, and tell their classes, `[n, classes]`.

    Both are sparse, `float32`.
    """
    import scipy.sparse as sp  # as late as can be, for what starts otherwise

    entries: Any = (np.ones(len(features.rows), np.float32), features.rows, features.offsets)
    held: Any = sp.csr_array(entries, shape=(len(labels), rows))
    labelled: Any = (np.ones(len(labels), np.float32), (np.arange(len(labels)), labels))
    of_class: Any = sp.csr_array(labelled, shape=(len(labels), classes))
    return (held.T @ of_class).tocsr(), of_class


def _select(features: FeatureIds, documents: np.ndarray) -> FeatureIds:
    """Take the documents where `bool[n]` is true."""
    is_kept = np.repeat(documents, features.lengths)
    weights = features.weights if features.weights is None else features.weights[is_kept]
    return FeatureIds(features.rows[is_kept], offsets_of(features.lengths[documents]), weights)


def _scores(features: FeatureIds, table: np.ndarray) -> np.ndarray:
    """Add up the weighted rows of each document, `float64[n, columns]`."""
    import scipy.sparse as sp

    entries: Any = (features.values, features.rows, features.offsets)
    matrix: Any = sp.csr_array(entries, shape=(features.documents, len(table)))
    return np.asarray(matrix @ table, np.float64)


def start_from_pretrained(network: Network, pretrained: WordVectors, first: int) -> None:
    """Let the embeddings of words start from their vectors, in the dimensions from `first` on.

    Where there is less room than the vectors have dimensions, they are cut to their principal components. They are
    scaled to the spread of the random embeddings, which all other words and dimensions keep.
    """
    table = np.array(network.embedding.embedding[...])
    components = principal_components(pretrained.vectors, table.shape[1] - first)
    spread = components.std() or 1  # 0 for a single word
    table[pretrained.ids, first : first + components.shape[1]] = components * (table.std() / spread)
    network.embedding.embedding[...] = jnp.asarray(table)


def principal_components(vectors: np.ndarray, count: int) -> np.ndarray:
    """Turn `float32[n, dim]` into its `count` first principal components, or all `dim`: `float32[n, ...]`."""
    centred = vectors - vectors.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)  # by rising variance
    components: np.ndarray = centred @ axes[:, ::-1][:, :count]
    return components
