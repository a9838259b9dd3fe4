"""Models that need no training."""

from dataclasses import asdict

import numpy as np
import pyarrow as pa

from flaxtext.model.architecture import Architecture, flatten_parameters, unflatten_parameters
from flaxtext.model.classifier import Classifier, ModelInfo
from flaxtext.text.features import Reading, fit_features
from flaxtext.text.token_ids import number_words
from flaxtext.text.vocabulary import fit_vocabulary


def untrained(
    texts,
    *,
    classes=("a", "b", "c"),
    max_len=12,
    prefix=None,
    ngrams=1,
    marks=False,
    characters=0,
    words=None,
    seed=3,
    flax=True,
    **network,
):
    """A classifier with the words and n-grams of `texts`, and random parameters; linear without a pooling.

    Those of a network are as Flax initializes them or, without `flax`, which takes seconds to import, anything. Where
    features are weighted, Flax would begin with zeros: anything there, too. `words` are the vocabulary, if not that of
    the texts.
    """
    texts = pa.array(texts, pa.string())
    words = words or fit_vocabulary([texts])
    kind = "network" if "pooling" in network else "linear"
    network = network if kind == "network" else {"pooling": "tfidf", "embed_dim": len(classes), "output": False}
    reading = Reading(prefix, ngrams, marks, characters)
    features = fit_features(words.words, number_words(texts, words, marks=marks).first(max_len), reading)
    architecture = Architecture(rows=features.rows, classes=len(classes), max_len=max_len, **asdict(reading), **network)
    if architecture.weighs or not flax:
        rng = np.random.default_rng(seed)
        shapes = architecture.shapes.items()
        parameters = unflatten_parameters({name: rng.random(shape).astype(np.float32) + 0.1 for name, shape in shapes})
    else:
        from flaxtext.train.network import build, split

        named = flatten_parameters(split(build(architecture, seed))[1])
        parameters = unflatten_parameters({name: np.asarray(array) for name, array in named.items()})
    return Classifier(ModelInfo(list(classes), kind=kind), architecture, [parameters], words, features)
