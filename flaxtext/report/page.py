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
from concurrent.futures import Future
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from flaxtext.artifacts.predictions import Predictions
from flaxtext.evaluate.evaluation import confusion
from flaxtext.explain.explanation import one_blas_thread
from flaxtext.report import charts
from flaxtext.report.box import TRIED, Box, pack_models
from flaxtext.report.classes import MATRIX_CLASSES, charted_scores, confusion_tables
from flaxtext.report.mistakes import list_mistakes, say_limits, worst_mistakes
from flaxtext.report.packing import pack_text, to_json
from flaxtext.report.portable import TOLERANCE, count_ngrams
from flaxtext.report.run import Run
from flaxtext.report.tables import Axis, important_words, largest_first, lay_out_figures, list_parameters, side_by_side
from flaxtext.text.words import rules

PAGE_BYTES = 4_950_000
"""What the page may weigh: the words and n-grams that "try it" knows fill what the rest leaves."""

EXAMPLE_CHARACTERS = 300

TEMPLATES = Path(__file__).with_name("templates")
SCRIPTS = ("portable.js", "report.js")

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
    "train_loss": "Training loss per document",
    "validation_loss": "Validation loss per document",
    "validation_accuracy": "Validation accuracy",
}

MEASURES = {"precision": "Precision", "recall": "Recall", "f1": "F1"}


def rows_needed(predictions: Mapping[str, Predictions], limit: int) -> set[int]:
    """Name the rows of the test split whose texts a report reads."""
    documents = len(next(iter(predictions.values())).labels)
    return {*range(min(TRIED, documents)), *worst_mistakes(predictions, limit)}


def render_report(run: Run) -> str:
    """Render the report. The same run gives the same bytes, on any number of cores."""
    library = charts.chart_library()
    with one_blas_thread():
        return _render(run, library)


def _render(run: Run, library: Future[str]) -> str:
    documents, scores = list_mistakes(run), charted_scores(run.predictions)
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
        "majority": run.comparison.get("majority"),
        "axis": Axis.of(run.comparison["variants"]),
        "documents": run.comparison["documents"],
        "words": max(len(model.vocabulary) for model in run.models.values()),
        "ngrams": {variant: count_ngrams(model.features) for variant, model in run.models.items()},
        "tolerance": TOLERANCE,
        "curves": [(name, title) for name, title in CURVES.items() if _is_drawn(run, name)],
        "drawn_classes": len(next(iter(scores.values()))),
        "bars_height": charts.per_class_height(scores) + 60,
        "matrix_height": charts.confusion_height(len(run.classes)) + 110,
        "confusions": confusion_tables(run.predictions, documents) if len(run.classes) > MATRIX_CLASSES else None,
        "pickers": _pickers(run, documents),
        "limits": say_limits(run, documents),
        "characters": run.params.report.characters,
        "explained": side_by_side(run.explanations),
        "faithfulness": run.faithfulness,
        "important": important_words(run.importance, run.classes),
        "checks": lay_out_figures(largest_first(run.checks)),
        "parameters": list_parameters(run.params),
        **dict(zip(("example_classes", "examples"), _examples(run), strict=True)),
    }
    context["sections"] = [(name, title) for name, title in SECTIONS.items() if name != "data" or run.checks]
    data: dict[str, Any] = {
        "variants": context["variants"],
        "classes": run.classes,
        "colors": context["colors"],
        "tokenizer": rules(run.tokenizer),
        "examples": context["examples"],
        "mistakes": pack_text(json.dumps(documents, ensure_ascii=False, separators=(",", ":"))),
        "charts": pack_text(json.dumps(_charts(run, scores), separators=(",", ":"))),
        "library": pack_text(library.result()),
    }
    scripts = [(TEMPLATES / name).read_text(encoding="utf-8") for name in SCRIPTS]
    rest = len(_fill(context, data, scripts, Box("", {}, {}, 0, {})).encode())
    tried = [run.texts[row] for row in sorted(run.texts) if row < TRIED]
    settings = run.params.report
    box = pack_models(run.models, tried, words=settings.words, ngrams=settings.ngrams, size=PAGE_BYTES - rest)
    return _fill(context, data, scripts, box)


def _pickers(run: Run, documents: list[dict[str, Any]]) -> dict[str, list[tuple[int, str]]]:
    """What the filters of the mistakes offer, by number: variants, and the classes that are among the mistakes."""
    true = {document["true"] for document in documents}
    predicted = {answer["predicted"] for document in documents for answer in document["answers"]}
    return {
        "variant": list(enumerate(run.models)),
        **{
            name: [(code, run.classes[code]) for code in sorted(codes)]
            for name, codes in {"true": true, "predicted": predicted}.items()
        },
    }


def _charts(run: Run, scores: dict[str, dict[str, dict[str, float]]]) -> dict[str, charts.Chart]:
    specifications = {
        column: charts.draw_curves(run.histories, column, title)
        for column, title in CURVES.items()
        if _is_drawn(run, column)
    }
    for measure, title in MEASURES.items():
        specifications[measure] = charts.draw_per_class(scores, measure, title)
    bins = []
    for number, (variant, answers) in enumerate(run.predictions.items()):
        if len(run.classes) <= MATRIX_CLASSES:
            matrix = confusion(answers.predicted, answers.labels, len(run.classes))
            specifications[f"confusion-{number}"] = charts.draw_confusion(matrix, run.classes, variant)
        correct = answers.predicted == answers.labels
        table = charts.calibration_bins(answers.confidence, correct, run.params.evaluate.calibration_bins)
        bins.append(table.assign(variant=variant))
    specifications["calibration"] = charts.draw_calibration(pd.concat(bins), list(run.predictions))
    return specifications


def _is_drawn(run: Run, column: str) -> bool:
    return any(not math.isnan(getattr(epoch, column)) for history in run.histories.values() for epoch in history)


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
            policy=policy([*scripts, charts.chart_library().result()]),
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
