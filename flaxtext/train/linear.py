"""TF-IDF and a linear support vector machine, trained by scikit-learn: is a network worth it?"""

import numpy as np
import scipy.sparse as sp

from flaxtext.config.train import LinearVariant
from flaxtext.core.errors import UserError
from flaxtext.model.calibration import temperature
from flaxtext.model.linear import Linear, margins
from flaxtext.text.token_ids import Examples


def fit_linear(settings: LinearVariant, train: Examples, validation: Examples, *, rows: int, classes: int) -> Linear:
    """Train on documents as `int32[n, width]`, features by number with 0 for padding, and their labels.

    scikit-learn's TfidfTransformer and LinearSVC, one class against the rest. Margins are no probabilities; a
    temperature, fitted to the validation documents, turns them into some.

    Raises:
        UserError: the documents are all of one class, or all without features.
    """
    from sklearn.feature_extraction.text import TfidfTransformer  # takes a second, and networks need none of it
    from sklearn.svm import LinearSVC

    if len(np.unique(train.labels)) < 2 or not train.ids.any():
        raise UserError("a linear model needs documents with known words, of two classes or more, in train")
    n_features = counts(train.ids, rows)
    tfidf = TfidfTransformer().fit(n_features)
    x = tfidf.transform(n_features)
    svm = LinearSVC(C=settings.C, class_weight=settings.class_weights, random_state=settings.seed).fit(x, train.labels)
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


def counts(ids: np.ndarray, rows: int) -> sp.csr_array:
    """Count the features of documents: `float64[n, rows]`, sparse; padding does not count."""
    present = ids != 0
    offsets = np.concatenate([[0], np.cumsum(present.sum(axis=1))]).astype(np.int32)  # as scikit-learn asks
    features = ids[present]
    matrix = sp.csr_array((np.ones(len(features)), features, offsets), shape=(len(ids), rows))
    matrix.sum_duplicates()
    return matrix
