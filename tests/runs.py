"""Finished runs made in memory, for the report to show; each is made once, however many modules ask for it."""

from dataclasses import asdict, replace
from functools import cache, partial

import numpy as np
import pyarrow as pa
from conftest import PROJECT
from ruamel.yaml import YAML

from flaxtext.artifacts.history import Epoch
from flaxtext.artifacts.predictions import Answers, Predictions
from flaxtext.compare.comparison import compare
from flaxtext.compare.judged import Judged
from flaxtext.config.compare import Compare
from flaxtext.config.explain import Explain
from flaxtext.config.params import check_params, read_params
from flaxtext.config.train import LinearVariant
from flaxtext.download import pydocs
from flaxtext.evaluate.evaluation import evaluate
from flaxtext.explain.documents import explain_document
from flaxtext.explain.explanation import leave_one_out, readable_documents
from flaxtext.explain.faithfulness import importance_of_words, judge
from flaxtext.model.architecture import Architecture, unflatten_parameters
from flaxtext.model.classifier import Classifier, ModelInfo, arrange
from flaxtext.model.prediction import class_probabilities
from flaxtext.model.shortening import answer_shortened
from flaxtext.model.tfidf import count_features, inverse_document_frequency
from flaxtext.report.page import render_report
from flaxtext.report.run import Run
from flaxtext.text.features import Reading, fit_features
from flaxtext.text.token_ids import Examples, number_words
from flaxtext.text.vocabulary import fit_vocabulary
from flaxtext.train.variants import train_variant

VARIANTS = {
    "flatten_10": {"pooling": "flatten", "embed_dim": 10, "max_len": 50},
    "flatten_20": {"pooling": "flatten", "embed_dim": 20, "max_len": 50},
    "average_20": {"pooling": "padded_mean", "embed_dim": 20, "max_len": 50},
    "sum_20": {"pooling": "padded_sum", "embed_dim": 20, "max_len": 50},
}
FURTHER = {  # what the first four leave out
    "linear": {"model": "linear", "ngrams": 2},
    "prefixes": {"pooling": "mean_max", "embed_dim": 16, "hidden": 0, "prefix": 5, "ngrams": 2, "ngram_min_count": 3},
    "attention": {"pooling": "attention", "embed_dim": 10, "hidden": 0, "learning_rate": 0.03},
    "ensemble": {"pooling": "max", "embed_dim": 10, "seeds": 2, "ensemble": True},
    "runs_of_3": {"pooling": "mean", "embed_dim": 8, "ngrams": 3, "ngram_min_count": 5},
    "words": {"pooling": "sum", "embed_dim": 8},
    "flat_prefixes": {
        "pooling": "flatten", "embed_dim": 4, "hidden": 20, "prefix": 4, "ngrams": 2, "ngram_min_count": 5,
        "max_len": 50,
    },
    "subwords": {
        "pooling": "tfidf", "embed_dim": "classes", "hidden": 0, "ngrams": 2, "marks": True, "characters": 4,
        "optimizer": "sgd", "loss": "squared_hinge", "learning_rate": "auto", "ngram_min_count": 2,
    },
}  # fmt: skip
EVERY_KIND = VARIANTS | {name: own | {"ngram_min_count": 1} for name, own in FURTHER.items()}
EXPLAINED = 3
"""Documents, the first, that are explained."""
LOGITS = 2.75
"""Standard deviation, over documents, of the logits of networks that are drawn."""
CLASSES = ["cats", "dogs"]
TEXTS = ["purr purr meow tail", "bark bone tail", "meow whisker", "fetch a bone", "purr unknownish tail", ""] * 4
LABELS = [0, 1, 0, 1, 0, 1] * 4
HOSTILE_CLASSES = ["<script>alert(1)</script>", '"it\'s" & {{ 7 * 7 }}', "שלום 🦊", "var(--ink)\u2028</style>"]
HOSTILE_TEXTS = [
    "</script><script>document.title = 'broken'</script> one",
    "<img src=x onerror=alert(1)> <!-- two \"three\" 'four' & five &amp; </textarea> </title>",
    "שלום עולם one 🦊 👩‍🚀 two ΣΑΣ İstanbul",
    "line\u2028line\u2029line\nthree\tfour ${five} {% raw %} \\u003c \\",
]


@cache
def many():
    """Every kind of variant, with opinions on a few texts."""
    return make_run(TEXTS, LABELS, TEXTS, LABELS, CLASSES, variants=EVERY_KIND)


@cache
def plain():
    """The four variants of the tutorial."""
    return make_run(TEXTS, LABELS, TEXTS, LABELS, CLASSES)


@cache
def hostile():
    """Texts and classes that try to break out of the page; most answers are wrong."""
    rng = np.random.default_rng(0)
    words = ["one", "two", "three", "four", "five", "six", "seven"]
    texts = [f"{HOSTILE_TEXTS[i % 4]} {' '.join(rng.choice(words, 1 + i % 9))}" for i in range(40)]
    labels = np.arange(40) % 4
    return make_run(texts, labels, texts, labels, HOSTILE_CLASSES)


@cache
def of_many_classes():
    """Sixty classes of two documents each, of which many are confused."""
    rng = np.random.default_rng(0)
    texts = [f"word{number} word{number} {' '.join(rng.choice(['the', 'of', 'and'], 30))}" for number in range(60)] * 2
    labels = np.tile(np.arange(60), 2)
    wrong = np.where(rng.random(120) < 0.3, (labels + 1) % 60, labels)
    classes = [f"class <{number}>" for number in range(60)]
    variants = {name: (VARIANTS | FURTHER)[name] for name in ("average_20", "linear")}
    return make_run(texts, labels, texts, wrong, classes, variants=variants)


@cache
def of_docstrings():
    """Every kind of variant on a part of the embedded corpus, some of them briefly trained there."""
    packages = read_params(PROJECT / "params.yaml").sources["pydocs"].packages
    documents = list(pydocs.documents(packages))[::5]
    classes = list(packages)
    is_test = np.arange(len(documents)) % 5 == 0
    texts = np.array([text for text, _ in documents], object)
    labels = np.array([classes.index(label) for _, label in documents])
    train, test = (texts[~is_test].tolist(), labels[~is_test]), (texts[is_test].tolist(), labels[is_test])
    return make_run(*train, *test, classes, epochs=8, variants=VARIANTS | FURTHER, trained=("sum_20", "prefixes"))


@cache
def page_of(run):
    """The report of one of the runs above, `page_of(many)`."""
    return render_report(run())


def values_of(**sections):
    """The params.yaml of the project with some sections changed, checked."""
    values = YAML(typ="safe").load(PROJECT / "params.yaml")
    for section, changes in sections.items():
        values[section] = changes if section == "variants" else values[section] | changes
    return check_params(values)


def make_run(train, train_labels, test, test_labels, classes, *, epochs=1, variants=VARIANTS, trained=(), **sections):
    """Train variants on texts and labels, and gather what the stages would write of them.

    Networks that are not among those `trained` are drawn at random, which takes no compilation.
    """
    schedule = {"epochs": epochs, "batch_size": 256, "learning_rate": 0.003}
    schedule |= {"min_steps": 0, "patience": None, "calibrate": False}
    loaded = values_of(variants=variants, train=schedule, **sections)
    words = fit_vocabulary([pa.array(train, pa.string())])
    known = Examples(number_words(pa.array(train, pa.string()), words), np.asarray(train_labels, np.int32))
    labels = np.asarray(test_labels, np.int32)
    watched = Examples(number_words(pa.array(test, pa.string()), words), labels).select(np.arange(len(labels)) < 50)
    models, histories, predictions, metrics, explanations = {}, {}, {}, {}, {}
    faithfulness, important = {}, {}
    for name, variant in loaded.variants.items():
        if name in trained or isinstance(variant, LinearVariant):
            origin = {"source": "pydocs"}
            found = train_variant(variant, known, watched, name=name, words=words, classes=classes, origin=origin)
            model, histories[name] = found.model, found.histories[0]
        else:
            model, histories[name] = draw_network(variant, train, words, classes), [Epoch(1, 1.5, 1.25, 1.5, 0.25)]
        models[name] = model
        each = model.each(model.read(pa.array(test, pa.string())), backend="numpy")
        probabilities = model.combine(each)
        predictions[name] = answers_of(labels, probabilities, classes, by_seed=each.argmax(axis=2))
        metrics[name] = {"test": evaluate(predictions[name], labels, classes, 15), "parameters": 1234}
        settings, answers = Explain(samples=50, words=5), partial(answer_shortened, model)
        explanations[name] = [
            explain_document(model, row, "chosen", test[row], predictions[name], settings, answers)
            for row in range(min(EXPLAINED, len(test)))
        ]
        documents, reached = readable_documents(model, dict(enumerate(test[:EXPLAINED])), 50)
        found = leave_one_out([document.ids for document in documents], reached, answers)
        faithfulness[name] = judge(documents, reached, found, answers, samples=50, seed=0)
        important[name] = importance_of_words(
            found, pa.concat_arrays([words.words.cast(pa.string()), documents[0].ids.unknown])
        )
    return Run(
        params=loaded,
        metrics=metrics,
        histories=histories,
        predictions=predictions,
        explanations=explanations,
        models=models,
        texts=dict(enumerate(test)),
        comparison=compared(predictions),
        faithfulness=faithfulness,
        importance=important,
    )


def draw_network(variant, texts, words, classes):
    """A network with parameters drawn at random, and scaled so that it has opinions on documents."""
    reading = Reading(variant.prefix, variant.ngrams, variant.marks, variant.characters)
    documents = number_words(pa.array(texts, pa.string()), words, marks=variant.marks).first(variant.max_len)
    features = fit_features(words.words, documents, reading, min_count=variant.ngram_min_count)
    of_classes = variant.embed_dim == "classes"
    architecture = Architecture(
        features.rows,
        len(classes),
        variant.pooling,
        len(classes) if of_classes else variant.embed_dim,
        variant.hidden,
        output=not of_classes,
        max_len=variant.max_len,
        **asdict(reading),
    )
    expanded = features.expand(documents[:1000])
    idf = inverse_document_frequency(count_features(expanded), features.rows) if architecture.weighs else None
    judged = arrange(architecture, expanded, idf, features)
    members = []
    for seed in range(variant.seeds):
        rng = np.random.default_rng(seed)
        drawn = {
            path: rng.normal(0, 1 / np.sqrt(shape[0]) if path.endswith("kernel") else 1, shape).astype(np.float32)
            for path, shape in architecture.shapes.items()
        }
        parameters = unflatten_parameters(drawn)
        if idf is not None:
            parameters["embedding"]["idf"] = idf
        parameters["embedding"]["embedding"][0] *= 0.1  # padding
        logits = np.log(class_probabilities(architecture, parameters, judged, "numpy"))
        scale = np.float32(LOGITS / (logits - logits.mean(axis=0)).std())
        if of_classes:
            parameters["embedding"]["embedding"] *= scale
        parameters["output"] = {name: array * scale for name, array in parameters["output"].items()}
        parameters["output"]["bias"] -= scale * logits.mean(axis=0)  # no class is the answer to all documents
        members.append(parameters)
    info = ModelInfo(classes, seeds=variant.seeds, ensemble=variant.ensemble)
    return Classifier(info, architecture, members, words, features)


def answers_of(labels, probabilities, classes, by_seed=None):
    """Predictions of a test split, in order."""
    labels = np.asarray(labels, np.int32)
    answers = Answers.of(probabilities, labels, by_seed)
    return Predictions(**vars(answers), classes=classes, rows=np.arange(len(labels)), labels=labels)


def compared(predictions):
    """What compare would write of some variants' predictions."""
    first = next(iter(predictions.values()))
    largest = first.classes[0]
    judged = Judged.of(predictions, dict.fromkeys(predictions, largest))
    standings, pairs = compare(judged, Compare(resamples=100))
    return {
        "documents": len(judged.labels),
        "confidence": 0.95,
        "majority": {"class": largest, "accuracy": float((first.labels == 0).mean())},
        "variants": {name: asdict(standing) for name, standing in standings.items()},
        "pairs": [{**asdict(pair), "says": str(pair)} for pair in pairs],
    }


def only(run, *names):
    """A run of some of its variants."""
    of_variants = ("metrics", "histories", "predictions", "explanations", "models", "faithfulness", "importance")
    fewer = {field: {name: getattr(run, field)[name] for name in names} for field in of_variants}
    return replace(run, **fewer, comparison=compared(fewer["predictions"]))
