"""Finished runs made in memory, for the report to show."""

from dataclasses import asdict

import numpy as np
import pandas as pd
import pyarrow as pa
from conftest import PROJECT
from ruamel.yaml import YAML

from flaxtext.compare.comparison import compare
from flaxtext.config import params
from flaxtext.evaluate.evaluation import evaluate
from flaxtext.explain.explanation import leave_one_out
from flaxtext.explain.faithfulness import importance, judge
from flaxtext.artifacts.bundle import Classifier
from flaxtext.model.forward import flat, unflat
from flaxtext.report.report import Importance, Predictions, Run
from flaxtext.text import vectors, vocabulary
from flaxtext.artifacts.token_ids import Vectors
from flaxtext.train.variants import train as train_variant
from stages.explain import as_documents, explain_document

VARIANTS = {
    "flatten_10": {"pooling": "flatten", "embed_dim": 10},
    "flatten_20": {"pooling": "flatten", "embed_dim": 20},
    "average_20": {"pooling": "mean", "embed_dim": 20},
    "sum_20": {"pooling": "sum", "embed_dim": 20},
}
FURTHER = {  # what the first four leave out
    "linear": {"model": "linear", "ngrams": 2},
    "stems": {"pooling": "mean_max", "embed_dim": 16, "hidden": 0, "stem": 5, "ngrams": 2, "ngram_min_count": 3},
    "attention": {"pooling": "attention", "embed_dim": 10, "hidden": 0, "learning_rate": 0.03},
    "ensemble": {"pooling": "max", "embed_dim": 10, "seeds": 2, "ensemble": True},
    "runs_of_3": {"pooling": "masked_mean", "embed_dim": 8, "ngrams": 3, "ngram_min_count": 5},
    "flat_stems": {"pooling": "flatten", "embed_dim": 4, "hidden": 20, "stem": 4, "ngrams": 2, "ngram_min_count": 5},
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
    """Train variants on texts and labels (no epochs: hardly at all), and gather what the stages would write of them."""
    schedule = {"epochs": max(epochs, 1), "batch_size": 256, "learning_rate": 0.003 if epochs else 1e-9}
    loaded = values_of(variants=variants, train=schedule, **sections)
    words = vocabulary.fit([pa.array(train, pa.string())])
    known = Vectors(vectors.vectorize(pa.array(train, pa.string()), words, 50), np.asarray(train_labels, np.int32))
    ids, labels = vectors.vectorize(pa.array(test, pa.string()), words, 50), np.asarray(test_labels, np.int32)
    models, histories, predictions, metrics, explanations = {}, {}, {}, {}, {}
    faithfulness, important = {}, {}
    for name, variant in loaded.variants.items():
        watched = Vectors(ids[:50], labels[:50])
        trained = train_variant(
            variant, known, watched, name=name, words=words, classes=classes, origin={"source": "pydocs"}
        )
        members = [unflat({path: np.asarray(array) for path, array in flat(own).items()}) for own in trained.members]
        model = models[name] = Classifier(trained.config, members, words, trained.features)
        histories[name] = pd.DataFrame(trained.histories[0])
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
