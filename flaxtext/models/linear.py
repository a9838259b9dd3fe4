"""TF-IDF and a linear support vector machine, on the same ids as the networks: is a network worth it?"""

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from flaxtext.core.errors import UserError
from flaxtext.models.calibration import log_softmax, temperature
from flaxtext.text.vectors import Vectors

CHUNK_ROWS = 16_384


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
    train: Vectors,
    validation: Vectors,
    *,
    rows: int,
    classes: int,
    c: float,
    class_weights: str | None,
    seed: int,
) -> Linear:
    """Train on documents as `int32[n, width]`, features by number with 0 for padding, and their labels.

    scikit-learn's TfidfTransformer and LinearSVC, one class against the rest. Margins are no probabilities; a
    temperature, fitted to the validation documents, turns them into some.

    Raises:
        UserError: the documents are all of one class, or all without features.
    """
    from sklearn.feature_extraction.text import TfidfTransformer  # takes a second, and predicting needs none of it
    from sklearn.svm import LinearSVC

    if len(np.unique(train.labels)) < 2 or not train.ids.any():
        raise UserError("a linear model needs documents with known words, of two classes or more, in train")
    n_features = counts(train.ids, rows)
    tfidf = TfidfTransformer().fit(n_features)
    x = tfidf.transform(n_features)
    svm = LinearSVC(C=c, class_weight=class_weights, random_state=seed).fit(x, train.labels)
    kernel, bias = np.zeros((rows, classes), np.float32), np.full(classes, -1.0, np.float32)
    if len(svm.classes_) == 2:  # one hyperplane for both
        kernel[:, svm.classes_] = np.concatenate([-svm.coef_, svm.coef_]).T / 2
        bias[svm.classes_] = np.concatenate([-svm.intercept_, svm.intercept_]) / 2
    else:
        kernel[:, svm.classes_] = svm.coef_.T
        bias[svm.classes_] = svm.intercept_
    seen = np.bincount(x.indices, minlength=rows) > 0
    model = Linear(np.where(seen, tfidf.idf_, 0).astype(np.float32), kernel, bias, np.ones((), np.float32))
    fitted = temperature(margins(model, validation.ids), validation.labels)
    return model._replace(temperature=np.array(fitted, np.float32))


def probabilities(model: Linear, ids: np.ndarray) -> np.ndarray:
    """Class probabilities of `ids: int32[n, width]`: `float32[n, classes]`."""
    chunks = [ids[start : start + CHUNK_ROWS] for start in range(0, len(ids), CHUNK_ROWS)] or [ids]
    logits = np.concatenate([margins(model, chunk) for chunk in chunks]) / model.temperature
    probability: np.ndarray = np.exp(log_softmax(logits)).astype(np.float32)
    return probability


def margins(model: Linear, ids: np.ndarray) -> np.ndarray:
    """Return each class's margin, `float64[n, classes]`."""
    x = counts(ids, len(model.idf)).multiply(model.idf).tocsr()
    norms = np.sqrt(np.asarray(x.multiply(x).sum(axis=1))).ravel()
    result: np.ndarray = np.asarray(x @ model.kernel) / np.maximum(norms, 1e-12)[:, None] + model.bias
    return result


def counts(ids: np.ndarray, rows: int) -> sp.csr_array:
    """Count the features of documents: `float64[n, rows]`, sparse; padding does not count."""
    present = ids != 0
    offsets = np.concatenate([[0], np.cumsum(present.sum(axis=1))]).astype(np.int32)  # as scikit-learn asks
    features = ids[present]
    matrix = sp.csr_array((np.ones(len(features)), features, offsets), shape=(len(ids), rows))
    matrix.sum_duplicates()
    return matrix
