"""TF-IDF and a linear support vector machine, on the same ids as the networks: is a network worth it?"""

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.svm import LinearSVC

CHUNK_ROWS = 16_384
TEMPERATURES = np.geomspace(0.05, 20, 121)


class Linear(NamedTuple):
    """A trained model.

    Attributes:
        idf: float32[rows]; the weight of each feature, 0 for padding and for what no training document holds.
        kernel: float32[rows, classes].
        bias: float32[classes].
        temperature: float32[]; what margins are divided by before the softmax makes probabilities of them.
    """

    idf: np.ndarray
    kernel: np.ndarray
    bias: np.ndarray
    temperature: np.ndarray


def fit(
    ids: np.ndarray,
    labels: np.ndarray,
    validation: tuple[np.ndarray, np.ndarray],
    *,
    rows: int,
    classes: int,
    c: float,
    class_weights: str | None,
    seed: int,
) -> Linear:
    """Train on `ids: int32[n, width]`, features by number with 0 for padding, and `labels: int32[n]`.

    scikit-learn's TfidfTransformer and LinearSVC, one class against the rest. Margins are no probabilities; the
    temperature that makes validation likeliest (Guo et al. 2017) turns them into some. Without validation documents
    it is 1.
    """
    tfidf = TfidfTransformer().fit(counts(ids, rows))
    x = tfidf.transform(counts(ids, rows))
    svm = LinearSVC(C=c, class_weight=class_weights, random_state=seed).fit(x, labels)
    kernel, bias = np.zeros((rows, classes), np.float32), np.full(classes, -1.0, np.float32)
    if len(svm.classes_) == 2:  # one hyperplane for both
        kernel[:, svm.classes_] = np.concatenate([-svm.coef_, svm.coef_]).T / 2
        bias[svm.classes_] = np.concatenate([-svm.intercept_, svm.intercept_]) / 2
    else:
        kernel[:, svm.classes_] = svm.coef_.T
        bias[svm.classes_] = svm.intercept_
    seen = np.bincount(x.indices, minlength=rows) > 0
    model = Linear(np.where(seen, tfidf.idf_, 0).astype(np.float32), kernel, bias, np.ones((), np.float32))
    watched, answers = validation
    if len(answers):
        margins = model_margins(model, watched)
        losses = [-_log_softmax(margins / t)[np.arange(len(answers)), answers].mean() for t in TEMPERATURES]
        model = model._replace(temperature=np.float32(TEMPERATURES[int(np.argmin(losses))]))
    return model


def probabilities(model: Linear, ids: np.ndarray) -> np.ndarray:
    """Class probabilities of `ids: int32[n, width]`: `float32[n, classes]`."""
    chunks = [ids[start : start + CHUNK_ROWS] for start in range(0, len(ids), CHUNK_ROWS)] or [ids]
    logits = np.concatenate([model_margins(model, chunk) for chunk in chunks]) / model.temperature
    return np.exp(_log_softmax(logits)).astype(np.float32)


def model_margins(model: Linear, ids: np.ndarray) -> np.ndarray:
    """Return each class's margin, `float64[n, classes]`."""
    x = counts(ids, len(model.idf)).multiply(model.idf).tocsr()
    norms = np.sqrt(np.asarray(x.multiply(x).sum(axis=1))).ravel()
    return np.asarray(x @ model.kernel) / np.maximum(norms, 1e-12)[:, None] + model.bias


def counts(ids: np.ndarray, rows: int) -> sp.csr_array:
    """Count the features of documents: `float64[n, rows]`, sparse; padding does not count."""
    present = ids != 0
    offsets = np.concatenate([[0], np.cumsum(present.sum(axis=1))]).astype(np.int32)  # as scikit-learn asks
    features = ids[present]
    matrix = sp.csr_array((np.ones(len(features)), features, offsets), shape=(len(ids), rows))
    matrix.sum_duplicates()
    return matrix


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
