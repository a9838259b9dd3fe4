"""What a network starts from, where not from random numbers alone: log-count ratios, or pretrained word vectors.

The log-count ratio of a row of the embedding table and a class is the logarithm of how much more often documents of
that class hold it than documents of the others do. Averaged over a document, ratios are a naive Bayes classifier;
as the start of a better one they come from Wang and Manning 2012, "Baselines and bigrams". Rare rows, which few steps
touch, gain most.
"""

import jax.numpy as jnp
import numpy as np

from flaxtext.artifacts.pretrained import Pretrained
from flaxtext.train.network import Network

SMOOTHING = 0.3
"""Occurrences that each row is given beside those that are counted, a class, on average."""
EMBEDDING_SCALE, OUTPUT_SCALE = 0.25, 6.0
"""What ratios are multiplied by as embeddings, and again by the output layer. Chosen, as is `SMOOTHING`, by documents
held out of the training split of AG News; there, half of their product is too little and twice is too much."""


def log_ratios(ids: np.ndarray, labels: np.ndarray, rows: int, classes: int) -> np.ndarray:
    """Return the ratios of `ids: int32[n, width]` with `labels: int32[n]`, `float32[rows, classes]`.

    A row that documents do not hold, and row 0, padding, has ratios of 0; all others' sum to 0.
    """
    counts = np.stack([np.bincount(ids[labels == label].ravel(), minlength=rows) for label in range(classes)], axis=1)
    counts[0] = 0
    total = counts.sum(axis=0) + 1.0
    expected = SMOOTHING * classes * total / total.sum()  # in proportion, so that what is never seen says nothing
    logs = np.log(counts + expected) - np.log(total)
    ratios: np.ndarray = (logs - logs.mean(axis=1, keepdims=True)).astype(np.float32)
    return ratios


def start_from_log_ratios(network: Network, ids: np.ndarray, labels: np.ndarray) -> None:
    """Set the first dimensions of the embeddings, one a class, to the ratios, and the output layer to read them.

    The network has no hidden layer, and a pooling that begins with an average (`Pooling.averages`). The other
    dimensions stay as they are.
    """
    embedding, kernel = (np.array(param[...]) for param in (network.embedding.embedding, network.output.kernel))
    classes = kernel.shape[1]
    embedding[:, :classes] = EMBEDDING_SCALE * log_ratios(ids, labels, len(embedding), classes)
    kernel[:classes] = OUTPUT_SCALE * np.eye(classes)
    network.embedding.embedding[...] = jnp.asarray(embedding)
    network.output.kernel[...] = jnp.asarray(kernel)


def start_from_pretrained(network: Network, pretrained: Pretrained, first: int) -> None:
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
