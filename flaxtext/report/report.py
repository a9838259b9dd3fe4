"""The report: one page, whole in itself, that shows what a run found and answers for its variants.

It asks nothing of any network and carries what it draws with. Texts, words and class names reach it as escaped
HTML or as JSON that a script puts into text nodes; the content security policy lets the page's own scripts run
alone, by their hashes.
"""

import base64
import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from flaxtext.artifacts.history import Epoch
from flaxtext.artifacts.importance import Importance
from flaxtext.artifacts.predictions import Predictions
from flaxtext.config.params import SECTIONS as PARAMS_SECTIONS
from flaxtext.config.params import Params
from flaxtext.explain.explanation import leave_one_out
from flaxtext.model.classifier import Classifier
from flaxtext.report import charts
from flaxtext.report.box import TRIED, Box, pack
from flaxtext.report.packing import pack_text, to_json
from flaxtext.report.portable import TOLERANCE
from flaxtext.text.tokenizers import FILTERS, tokenize

PAGE_BYTES = 4_950_000
"""What the page may weigh: the words and n-grams that "try it" knows fill what the rest leaves."""

MISTAKES_BYTES = 1_500_000
"""What the mistakes may weigh, unpacked: three to four times what they take of the page."""

EXAMPLE_CHARACTERS = 300
IMPORTANT_WORDS = 12

TEMPLATES = Path(__file__).with_name("templates")
SCRIPTS = ("portable.js", "report.js")


@dataclass(frozen=True)
class Run:
    """What a finished run left, by variant in the order of params.yaml.

    Attributes:
        metrics, explanations: the content of metrics/VARIANT.json and data/explanations/VARIANT.json.
        histories: a row an epoch.
        texts: row of the test split -> text, for the rows that `rows_needed` names.
        comparison: the content of metrics/comparison.json.
        faithfulness: the content of metrics/explanations/VARIANT.json.
        checks: the content of metrics/data.json; empty where there is none.
    """

    params: Params
    metrics: dict[str, Any]
    histories: dict[str, list[Epoch]]
    predictions: dict[str, Predictions]
    explanations: dict[str, Any]
    models: dict[str, Classifier]
    texts: dict[int, str]
    comparison: dict[str, Any]
    faithfulness: dict[str, Any]
    importance: dict[str, Importance]
    checks: dict[str, Any] = field(default_factory=dict)

    @property
    def classes(self) -> list[str]:
        """Names of the classes, in the order of the probabilities' columns."""
        return list(next(iter(self.metrics.values()))["test"]["per_class"])


class Table(NamedTuple):
    """What a table of the page shows; without `columns` it has no head."""

    columns: list[str]
    rows: list[list[Any]]


def worst_mistakes(predictions: Mapping[str, Predictions], limit: int) -> list[int]:
    """Choose the rows of each variant's `limit` most confident mistakes, the most confident of any variant first."""
    highest: dict[int, float] = {}
    for answers in predictions.values():
        wrong = np.flatnonzero(answers.predicted != answers.labels)
        worst = wrong[np.argsort(-answers.confidence[wrong], kind="stable")][:limit]
        for row, confidence in zip(worst.tolist(), answers.confidence[worst].tolist(), strict=True):
            highest[row] = max(highest.get(row, 0), confidence)
    return sorted(highest, key=lambda row: (-highest[row], row))


def rows_needed(predictions: Mapping[str, Predictions], limit: int) -> set[int]:
    """Name the rows of the test split whose texts a report reads."""
    documents = len(next(iter(predictions.values())).labels)
    return {*range(min(TRIED, documents)), *worst_mistakes(predictions, limit)}


def render(run: Run) -> str:
    """Render the report. The same run gives the same bytes."""
    library = charts.library()
    documents = mistakes(run)
    context = {
        "source": run.params.data.source,
        "classes": run.classes,
        "variants": list(run.models),
        "colors": {variant: charts.color_of(index) for index, variant in enumerate(run.models)},
        "metrics": run.metrics,
        "standings": run.comparison["variants"],
        "best": next(iter(run.comparison["variants"])),
        "pairs": run.comparison["pairs"],
        "confidence": run.comparison["confidence"],
        "axis": Axis.of(run.comparison["variants"]),
        "documents": run.comparison["documents"],
        "words": max(len(model.vocabulary) for model in run.models.values()),
        "ngrams": {variant: len(model.features.keys) for variant, model in run.models.items()},
        "tried": sum(row < TRIED for row in run.texts),
        "tolerance": TOLERANCE,
        "curves": [(name, title) for name, title in CURVES.items() if _is_drawn(run, name)],
        "bars_height": len(run.classes) * (12 * len(run.models) + 14) + 60,
        "matrix_height": min(600, max(180, 44 * len(run.classes))) + 110,
        "limits": _limits(run, documents),
        "characters": run.params.report.characters,
        "explained": side_by_side(run.explanations),
        "faithfulness": run.faithfulness,
        "important": important_words(run.importance, run.classes),
        "checks": tabulate(run.checks),
        "parameters": parameters(run.params),
        **dict(zip(("example_classes", "examples"), _examples(run), strict=True)),
    }
    context["sections"] = [(name, title) for name, title in SECTIONS.items() if name != "data" or run.checks]
    data: dict[str, Any] = {
        "variants": context["variants"],
        "classes": run.classes,
        "colors": context["colors"],
        "separators": FILTERS + " ",
        "examples": context["examples"],
        "mistakes": pack_text(json.dumps(documents, ensure_ascii=False, separators=(",", ":"))),
        "charts": pack_text(json.dumps(_charts(run), separators=(",", ":"))),
        "library": pack_text(library.result()),
    }
    scripts = [(TEMPLATES / name).read_text(encoding="utf-8") for name in SCRIPTS]
    rest = len(_fill(context, data, scripts, Box("", {}, {}, {})).encode())
    tried = [run.texts[row] for row in sorted(run.texts) if row < TRIED]
    settings = run.params.report
    box = pack(run.models, tried, words=settings.words, ngrams=settings.ngrams, size=PAGE_BYTES - rest)
    return _fill(context, data, scripts, box)


def mistakes(run: Run) -> list[dict[str, Any]]:
    """Lay out the mistakes that the page lists: text, classes by number, and each wrong variant's words.

    A word's weight, in thousandths, is what leaving it out takes from the probability of the class predicted. They
    come in the order in which the words appear, null for one that the model does not know.
    """
    settings = run.params.report
    rows = worst_mistakes(run.predictions, settings.mistakes)
    lists = tokenize(pa.array([run.texts[row] for row in rows], pa.string()))
    documents: list[dict[str, Any]] = [
        {
            "row": row,
            "true": int(next(iter(run.predictions.values())).labels[row]),
            "text": run.texts[row][: settings.characters],
            "more": max(0, len(run.texts[row]) - settings.characters),
            "answers": [],
        }
        for row in rows
    ]
    for number, (variant, model) in enumerate(run.models.items()):
        answers = run.predictions[variant]
        ids = np.split(model.vocabulary.ids(lists.values), lists.offsets.to_numpy()[1:-1])
        wrong = [index for index, row in enumerate(rows) if answers.predicted[row] != answers.labels[row]]
        found = leave_one_out(
            [ids[index] for index in wrong],
            partial(model.probabilities, backend="jax"),
            model.architecture.max_len,
        )
        for index, contributions in zip(wrong, found, strict=True):
            predicted = int(answers.predicted[rows[index]])
            weights = dict(
                zip(contributions.word_ids.tolist(), contributions.weights[:, predicted].tolist(), strict=True)
            )
            in_order = dict(zip(lists[index].as_py(), ids[index].tolist(), strict=True))
            documents[index]["answers"].append(
                {
                    "variant": number,
                    "predicted": predicted,
                    "probability": round(float(answers.probabilities[rows[index], predicted]), 3),
                    "weights": [round(1000 * weights.get(id_, 0)) if id_ else None for id_ in in_order.values()],
                }
            )
    spent = np.cumsum([len(to_json(document).encode()) for document in documents])
    return documents[: int(np.searchsorted(spent, MISTAKES_BYTES, side="right"))]


def side_by_side(explanations: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Put the variants' LIME weights for the true class beside each other, documents that most explain first.

    `explanations` holds the content of data/explanations/VARIANT.json by variant.
    """
    documents: dict[int, list[tuple[str, dict[str, Any]]]] = {}
    for variant, entries in explanations.items():
        for entry in entries:
            documents.setdefault(entry["row"], []).append((variant, entry))
    laid_out = []
    for row, entries in sorted(documents.items(), key=lambda item: -len(item[1])):
        true = entries[0][1]["true"]["class"]
        models = [next(e for e in entry["explanations"] if e["class"] == true) for _, entry in entries]
        weights = [{word["word"]: word["weight"] for word in model["words"]} for model in models]
        largest = {word: max(abs(own.get(word, 0)) for own in weights) for own in weights for word in own}
        laid_out.append(
            {
                "row": row,
                "text": entries[0][1]["text"],
                "true": true,
                "scale": max(largest.values(), default=0) or 1,
                "sides": [
                    {
                        "variant": variant,
                        "predicted": entry["predicted"]["class"],
                        "probability": entry["true"]["probability"],
                        "score": model["score"],
                    }
                    for (variant, entry), model in zip(entries, models, strict=True)
                ],
                "words": [
                    {"word": word, "weights": [own.get(word) for own in weights]}
                    for word in sorted(largest, key=lambda word: -largest[word])
                ],
            }
        )
    return laid_out


def important_words(importance: Mapping[str, Importance], classes: list[str]) -> list[dict[str, Any]]:
    """Name the words that add most to each class in any variant, with what they add in each, in points."""
    found = []
    for number, name in enumerate(classes):
        own = {
            variant: dict(zip(table.words, (100 * table.weights[:, number]).tolist(), strict=True))
            for variant, table in importance.items()
        }
        largest: dict[str, float] = {}
        for weights in own.values():
            for word in sorted(weights, key=lambda word: -weights[word])[:IMPORTANT_WORDS]:
                largest[word] = max(largest.get(word, 0), weights[word])
        shown = sorted(largest, key=lambda word: (-largest[word], word))[:IMPORTANT_WORDS]
        rows = [{"word": word, "weights": [weights.get(word) for weights in own.values()]} for word in shown]
        found.append({"class": name, "words": rows, "scale": max(largest.values(), default=0) or 1})
    return found


def tabulate(value: Mapping[str, Any], title: str = "") -> list[tuple[str, Table]]:
    """Lay out nested figures, whatever they are, as titled tables.

    Entries that share keys, such as two splits, stand beside each other, the longer side going down the page.
    """
    plain = {key: item for key, item in value.items() if not isinstance(item, dict | list)}
    nested = {
        key: item if isinstance(item, dict) else {str(number): part for number, part in enumerate(item, 1)}
        for key, item in value.items()
        if isinstance(item, dict | list)
    }
    heading = title[:1].upper() + title[1:] or "Summary"
    tables = [(heading, Table([], [[_title(key), item] for key, item in plain.items()]))] if plain else []
    if len(nested) > 1 and set.intersection(*map(set, nested.values())):
        keys = list(dict.fromkeys(key for entry in nested.values() for key in entry))
        deeper = [key for key in keys if any(isinstance(entry.get(key), dict | list) for entry in nested.values())]
        names, columns = list(nested), [key for key in keys if key not in deeper]
        rows = [[entry.get(key) for key in columns] for entry in nested.values()]
        if len(columns) > len(names):
            names, columns, rows = columns, names, [list(row) for row in zip(*rows, strict=True)]
        if rows:
            rows = [[_title(name), *row] for name, row in zip(names, rows, strict=True)]
            tables.append((heading, Table(["", *map(_title, columns)], rows)))
        groups = {key: {name: entry[key] for name, entry in nested.items() if key in entry} for key in deeper}
    else:
        groups = nested
    for key, entry in groups.items():
        tables += tabulate(entry, f"{title}: {_title(key)}" if title else _title(key))
    return tables


def parameters(values: Params) -> list[tuple[str, str]]:
    """Flatten the parameters: `train.epochs` and its value, in YAML's spelling; of sources, the one in use.

    Of a variant, what differs from `train`.
    """
    plain = {
        section: {name: own.model_dump(mode="json") for name, own in value.items()}
        if isinstance(value, dict)
        else value.model_dump(mode="json")
        for section in PARAMS_SECTIONS
        for value in [getattr(values, section)]
    }
    plain["sources"] = {values.data.source: plain["sources"][values.data.source]}
    for name, own in plain["variants"].items():
        plain["variants"][name] = {key: value for key, value in own.items() if plain["train"].get(key, ...) != value}
    return list(_flatten("", plain))


@dataclass(frozen=True)
class Axis:
    """The range on which the results table draws intervals."""

    low: float
    high: float

    @classmethod
    def of(cls, standings: Mapping[str, Any]) -> "Axis":
        """Span all intervals, to the next hundredth."""
        low = min(standing["accuracy"]["low"] for standing in standings.values())
        high = max(standing["accuracy"]["high"] for standing in standings.values())
        return cls(np.floor(100 * low) / 100, max(np.ceil(100 * high) / 100, np.floor(100 * low) / 100 + 0.01))

    def place(self, value: float) -> str:
        """Where a value lies, as a CSS percentage."""
        return f"{100 * (value - self.low) / (self.high - self.low):.2f}%"


SECTIONS = {
    "results": "Results",
    "try": "Try it",
    "learning": "Learning",
    "classes": "Classes",
    "calibration": "Calibration",
    "mistakes": "Mistakes",
    "explanations": "Explanations",
    "data": "Data",
    "parameters": "Parameters",
}

CURVES = {
    "train_loss": "Training loss a document",
    "validation_loss": "Validation loss a document",
    "validation_accuracy": "Validation accuracy",
}

MEASURES = {"precision": "Precision", "recall": "Recall", "f1": "F1"}


def _charts(run: Run) -> dict[str, charts.Chart]:
    specifications = {
        column: charts.curves(run.histories, column, title)
        for column, title in CURVES.items()
        if _is_drawn(run, column)
    }
    scores = {variant: metrics["test"]["per_class"] for variant, metrics in run.metrics.items()}
    for measure, title in MEASURES.items():
        specifications[measure] = charts.per_class(scores, measure, title)
    bins = []
    for number, (variant, answers) in enumerate(run.predictions.items()):
        size = len(run.classes)
        matrix = np.bincount(answers.labels * size + answers.predicted, minlength=size**2).reshape(size, size)
        specifications[f"confusion-{number}"] = charts.confusion(matrix, run.classes, variant)
        correct = answers.predicted == answers.labels
        table = charts.calibration_bins(answers.probabilities, correct, run.params.evaluate.calibration_bins)
        bins.append(table.assign(variant=variant))
    specifications["calibration"] = charts.calibration(pd.concat(bins), list(run.predictions))
    return specifications


def _is_drawn(run: Run, column: str) -> bool:
    return any(not math.isnan(getattr(epoch, column)) for history in run.histories.values() for epoch in history)


def _limits(run: Run, documents: list[dict[str, Any]]) -> str:
    """Say how many of the mistakes the page lists."""
    wrong = [answers.predicted != answers.labels for answers in run.predictions.values()]
    total = int(np.any(wrong, axis=0).sum())
    return (
        "" if len(documents) == total else f", {len(documents):,} of the {total:,} documents that a variant got wrong"
    )


def _examples(run: Run) -> tuple[list[str], list[str]]:
    """Choose a test document of each class, the first of middling length that the best variant gets right."""
    answers = run.predictions[next(iter(run.comparison["variants"]))]
    chosen: dict[int, str] = {}
    for row in sorted(row for row in run.texts if row < TRIED):
        text = run.texts[row]
        if answers.predicted[row] == answers.labels[row] and 80 <= len(text) <= EXAMPLE_CHARACTERS:
            chosen.setdefault(int(answers.labels[row]), text)
    shown = sorted(chosen)[:8]
    return [run.classes[label] for label in shown], [chosen[label] for label in shown]


def _fill(context: dict[str, Any], data: dict[str, Any], scripts: list[str], box: Box) -> str:
    models = {variant: model.encoded for variant, model in box.models.items()}
    page: str = (
        _environment()
        .get_template("report.html")
        .render(
            **context,
            box=box,
            data=Markup(to_json({**data, "words": pack_text(box.words), "models": models})),  # noqa: S704  escaped
            scripts=[Markup(script) for script in scripts],  # noqa: S704  the project's own
            policy=policy([*scripts, charts.library().result()]),
        )
    )
    return page


def policy(scripts: Iterable[str]) -> str:
    """State what the page may do: run these scripts and no others, use its own styles, fetch nothing."""
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    sources = " ".join(f"'sha256-{value}'" for value in hashes)
    return f"default-src 'none'; script-src {sources}; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _flatten(prefix: str, value: Any) -> Iterable[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _flatten(f"{prefix}.{key}" if prefix else str(key), item)
    else:
        yield prefix, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _title(key: Any) -> str:
    return str(key).replace("_", " ")
