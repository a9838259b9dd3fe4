"""A linear support vector machine on TF-IDF, trained by scikit-learn: is a network worth it?"""

from typing import Any

import numpy as np
import scipy.sparse as sp

from flaxtext.config.train import LinearVariant
from flaxtext.core.errors import UserError
from flaxtext.model.architecture import Parameters
from flaxtext.text.features import FeatureIds


def fit_linear(
    settings: LinearVariant, features: FeatureIds, labels: np.ndarray, idf: np.ndarray, classes: int
) -> Parameters:
    """Train scikit-learn's LinearSVC, one class against the rest, on weighted features and `labels: int32[n]`.

    Its margins are the logits of a network without layers, whose embeddings have the classes as dimensions.

    Raises:
        UserError: the documents are all of one class, or all without features.
    """
    from sklearn.svm import LinearSVC  # takes a second, and networks need none of it

    if len(np.unique(labels)) < 2 or not len(features.rows):
        raise UserError("a linear model needs documents with known words, of two classes or more, in train")
    rows = len(idf)
    entries = features.values, features.rows, features.offsets.astype(np.int32)
    matrix: Any = sp.csr_matrix(entries, shape=(features.documents, rows))
    svm = LinearSVC(C=settings.C, class_weight=settings.class_weights, random_state=settings.seed).fit(matrix, labels)
    table, bias = np.zeros((rows, classes), np.float32), np.full(classes, -1.0, np.float32)
    if len(svm.classes_) == 2:  # one hyperplane for both
        table[:, svm.classes_] = np.concatenate([-svm.coef_, svm.coef_]).T / 2
        bias[svm.classes_] = np.concatenate([-svm.intercept_, svm.intercept_]) / 2
    else:
        table[:, svm.classes_] = svm.coef_.T
        bias[svm.classes_] = svm.intercept_
    return {"embedding": {"embedding": table, "idf": idf}, "output": {"bias": bias}}
