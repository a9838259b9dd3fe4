"""Finished runs made in memory, for the report to show."""

from dataclasses import asdict

import numpy as np
import pandas as pd
import pyarrow as pa
from conftest import PROJECT
from ruamel.yaml import YAML

from flaxtext import params, vectors, vocabulary
from flaxtext.bundle import Classifier, build
from flaxtext.comparison import compare
from flaxtext.evaluation import evaluate
from flaxtext.explanation import leave_one_out
from flaxtext.faithfulness import importance, judge
from flaxtext.network import split
from flaxtext.report import Importance, Predictions, Run
from flaxtext.training import Epoch, fit
from flaxtext.vectors import Vectors
from stages.explain import explain_document
from stages.faithfulness import as_documents

VARIANTS = {
    "flatten_10": {"pooling": "flatten", "embed_dim": 10},
    "flatten_20": {"pooling": "flatten", "embed_dim": 20},
    "average_20": {"pooling": "mean", "embed_dim": 20},
    "sum_20": {"pooling": "sum", "embed_dim": 20},
}
HOSTILE_CLASSES = ["<script>alert(1)</script>", '"it\'s" & {{ 7 * 7 }}', "שלום 🦊", "var(--ink)\u2028</style>"]
HOSTILE_TEXTS = [
    "</script><script>document.title = 'broken'</script> one",
    "<img src=x onerror=alert(1)> <!-- two \"three\" 'four' & five &amp; </textarea> </title>",
    "שלום עולם one 🦊 👩‍🚀 two ΣΑΣ İstanbul",
    "line\u2028line\u2029line\nthree\tfour ${five} {% raw %} \\u003c \\",
]


def values_of(**sections):
    """The params.yaml of the project with some sections changed, checked."""
    values = YAML(typ="safe").load(PROJECT / "params.yaml")
    for section, changes in sections.items():
        values[section] = changes if section == "variants" else values[section] | changes
    return params.check(values)


def make_run(train, train_labels, test, test_labels, classes, *, epochs=1, variants=VARIANTS, explained=3, **sections):
    """Train variants on texts and labels, and gather what the stages would write of them."""
    settings = {"max_len": 50, "hidden": 100, "seed": 0, "validation_from": "train", "validation": 0.05}
    loaded = values_of(variants=variants, **sections)
    words = vocabulary.fit([pa.array(train, pa.string())])
    known = Vectors(vectors.vectorize(pa.array(train, pa.string()), words, 50), np.asarray(train_labels, np.int32))
    ids, labels = vectors.vectorize(pa.array(test, pa.string()), words, 50), np.asarray(test_labels, np.int32)
    models, histories, predictions, metrics, explanations = {}, {}, {}, {}, {}
    faithfulness, important = {}, {}
    for name, own in variants.items():
        config = {"classes": classes, **settings, **own}
        network = build(config, words.rows, seed=0)
        parameters, epochs_seen = fit(
            network,
            known,
            Vectors(ids[:50], labels[:50]),
            epochs=epochs,
            batch_size=256,
            optimizer="adam",
            learning_rate=0.003,
            shuffle=True,
            seed=0,
        ) if epochs else (split(network)[1], [Epoch(1, 1.0, 1.5, float("nan"), float("nan"))])  # fmt: skip
        parameters = {
            layer: {key: np.asarray(array) for key, array in arrays.items()} for layer, arrays in parameters.items()
        }
        model = models[name] = Classifier(config, [parameters], words)
        histories[name] = pd.DataFrame(epochs_seen)
        probabilities = model.probabilities(ids)
        predictions[name] = Predictions(labels, probabilities.argmax(axis=1), probabilities)
        metrics[name] = {"test": evaluate(probabilities, labels, classes, 15), "parameters": 1234}
        explain = params.Explain(samples=50, words=5)
        explanations[name] = [
            explain_document(
                model,
                row,
                "chosen",
                test[row],
                {
                    "label": classes[labels[row]],
                    "predicted": classes[probabilities[row].argmax()],
                    "probabilities": probabilities[row].tolist(),
                },
                explain,
            )
            for row in range(min(explained, len(test)))
        ]
        documents = as_documents(model, dict(enumerate(test[:explained])))
        found = leave_one_out([document.ids for document in documents], model.probabilities, 50)
        faithfulness[name] = judge(documents, found, model.probabilities, max_len=50, samples=50, seed=0)
        counts, weights = importance(found, words.rows)
        held = np.flatnonzero(counts)
        important[name] = Importance(words.words.take(pa.array(held - 1)).to_pylist(), weights[held])
    answers = {name: own.predicted for name, own in predictions.items()}
    standings, pairs = compare(labels, answers, len(classes), resamples=100, confidence=0.95, seed=0)
    comparison = {
        "documents": len(labels),
        "confidence": 0.95,
        "variants": {name: asdict(standing) for name, standing in standings.items()},
        "pairs": [{**asdict(pair), "says": str(pair)} for pair in pairs],
    }
    texts = dict(enumerate(test))
    return Run(
        params=loaded,
        metrics=metrics,
        histories=histories,
        predictions=predictions,
        explanations=explanations,
        models=models,
        texts=texts,
        comparison=comparison,
        faithfulness=faithfulness,
        importance=important,
    )


def hostile_run(**options):
    """A run on texts and classes that try to break out of the page; untrained, so most answers are wrong."""
    rng = np.random.default_rng(0)
    words = ["one", "two", "three", "four", "five", "six", "seven"]
    texts = [f"{HOSTILE_TEXTS[i % 4]} {' '.join(rng.choice(words, 1 + i % 9))}" for i in range(40)]
    labels = np.arange(40) % 4
    return make_run(texts, labels, texts, labels, HOSTILE_CLASSES, epochs=0, **options)
