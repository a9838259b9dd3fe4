"""Models that need no training."""

import numpy as np
import pyarrow as pa

from flaxtext.model.architecture import Architecture, flatten_parameters, unflatten_parameters
from flaxtext.model.classifier import Classifier, ModelInfo
from flaxtext.text.features import fit_features
from flaxtext.text.token_ids import number_words
from flaxtext.text.vocabulary import fit_vocabulary


def untrained(texts, *, classes=("a", "b", "c"), max_len=12, prefix=None, ngrams=1, seed=3, flax=True, **network):
    """A classifier with the words and n-grams of `texts`, and random parameters; linear without a pooling.

    Those of a network are as Flax initializes them or, without `flax`, which takes seconds to import, anything.
    """
    texts = pa.array(texts, pa.string())
    words = fit_vocabulary([texts])
    ids = number_words(texts, words).cut(max_len)
    features = fit_features(words.words, ids, prefix=prefix, ngrams=ngrams, min_count=1)
    reads = {"max_len": max_len, "prefix": prefix, "ngrams": ngrams}
    architecture = Architecture(rows=features.rows, classes=len(classes), **reads, **network)
    if architecture.is_linear or not flax:
        rng = np.random.default_rng(seed)
        shapes = architecture.shapes.items()
        parameters = unflatten_parameters({name: rng.random(shape).astype(np.float32) + 0.1 for name, shape in shapes})
    else:
        from flaxtext.train.network import build, split

        named = flatten_parameters(split(build(architecture, seed))[1])
        parameters = unflatten_parameters({name: np.asarray(array) for name, array in named.items()})
    return Classifier(ModelInfo(list(classes)), architecture, [parameters], words, features)
