"""Which test documents are explained, and what is said of each."""

from typing import Any

import numpy as np

from flaxtext.artifacts.predictions import Predictions
from flaxtext.config.explain import Explain
from flaxtext.core.errors import UserError
from flaxtext.core.printable import LENGTH, visible
from flaxtext.explain.explanation import Answers, as_json, explain, read_documents, six_digits
from flaxtext.model.classifier import Classifier


def choose_documents(rows: list[int] | None, mistakes: int, predictions: Predictions) -> dict[int, str]:
    """Choose rows of the test split: row -> "chosen" or "mistake".

    Without `rows`, the tutorial's choice. The `mistakes` come by falling probability of the predicted class.

    Raises:
        UserError: a row beyond the test split.
    """
    n = len(predictions.rows)
    if rows is None:
        rows = [int(np.random.RandomState(1234).randint(1, n)) if n > 1 else 0]
    for row in rows:
        if row >= n:
            raise UserError(f"params.yaml: explain.rows: {row} is beyond the test split's {n} rows (0 to {n - 1})")
    wrong = np.flatnonzero(predictions.labels != predictions.predicted)
    worst = wrong[np.argsort(-predictions.confidence[wrong], kind="stable")].tolist()
    chosen = dict.fromkeys(rows, "chosen")
    return chosen | dict.fromkeys([row for row in worst if row not in chosen][:mistakes], "mistake")


def explain_document(
    model: Classifier,
    row: int,
    reason: str,
    text: str,
    predictions: Predictions,
    settings: Explain,
    answers: Answers,
) -> dict[str, Any]:
    """Explain one document, as it stands in the JSON file; another document changes nothing here.

    `answers` are the model's, for shortened documents.
    """
    [document] = read_documents(model, {row: text})
    named = {"true": int(predictions.labels[row]), "predicted": int(predictions.predicted[row])}
    explained = list(dict.fromkeys([named["predicted"], named["true"]]))
    result = explain(
        document,
        answers,
        explained,
        samples=settings.samples,
        words=settings.words,
        rng=np.random.default_rng([settings.seed, row]),
    )
    probabilities = {"true": predictions.label_probability[row], "predicted": predictions.confidence[row]}
    sides = {
        side: {"class": model.classes[label], "probability": six_digits(probabilities[side])}
        for side, label in named.items()
    }
    models = as_json(result, [model.classes[label] for label in explained])
    return {"row": row, "reason": reason, "text": text, **sides, "explanations": models}


def summarize(documents: list[dict[str, Any]]) -> str:
    """Lay out one line per document: row, true and predicted class, the words with the largest weights."""
    lines = [("row", "true", "predicted", "words for (+) and against (-) the predicted class")]
    for document in documents:
        words = document["explanations"][0]["words"][:6]
        listed = ", ".join(f"{visible(word['word'], LENGTH)} {word['weight']:+.2f}" for word in words)
        true, predicted = (visible(document[which]["class"], LENGTH) for which in ("true", "predicted"))
        lines.append((str(document["row"]), true, predicted, listed))
    widths = [max(len(line[column]) for line in lines) for column in range(3)]
    return "\n".join(f"{a:>{widths[0]}}  {b:<{widths[1]}}  {c:<{widths[2]}}  {d}" for a, b, c, d in lines)
