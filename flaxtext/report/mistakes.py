"""The report's mistakes: the most confident wrong answers, and what each word added to them."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from flaxtext.artifacts.predictions import Predictions
from flaxtext.explain.explanation import Contributions, leave_one_out
from flaxtext.model.classifier import Classifier
from flaxtext.report.packing import to_json
from flaxtext.report.run import Run
from flaxtext.text.tokenizers import tokenize

MISTAKES_BYTES = 1_500_000
"""What the mistakes may weigh, unpacked: three to four times what they take of the page."""

BLOCK_CLASSES = 2**17
"""Documents times classes whose words are weighed at a time: the weights are of all classes."""


def worst_mistakes(predictions: Mapping[str, Predictions], limit: int) -> list[int]:
    """Choose the rows of each variant's `limit` most confident mistakes, the most confident of any variant first."""
    highest: dict[int, float] = {}
    for answers in predictions.values():
        wrong = np.flatnonzero(answers.predicted != answers.labels)
        worst = wrong[np.argsort(-answers.confidence[wrong], kind="stable")][:limit]
        for row, confidence in zip(worst.tolist(), answers.confidence[worst].tolist(), strict=True):
            highest[row] = max(highest.get(row, 0), confidence)
    return sorted(highest, key=lambda row: (-highest[row], row))


def list_mistakes(run: Run) -> list[dict[str, Any]]:
    """Lay out the mistakes that the page lists: text, classes by number, and each wrong variant's words.

    A word's weight, in thousandths, is what leaving it out takes from the probability of the class predicted. They
    come in the order in which the words appear, null for one that the model does not know.
    """
    settings = run.params.report
    rows = worst_mistakes(run.predictions, settings.mistakes)
    lists = tokenize(pa.array([run.texts[row] for row in rows], pa.string()), run.tokenizer)
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
        for index, contributions in zip(wrong, _contributions(model, [ids[index] for index in wrong]), strict=True):
            predicted = int(answers.predicted[rows[index]])
            weights = dict(
                zip(contributions.word_ids.tolist(), contributions.weights[:, predicted].tolist(), strict=True)
            )
            in_order = dict(zip(lists[index].as_py(), ids[index].tolist(), strict=True))
            documents[index]["answers"].append(
                {
                    "variant": number,
                    "predicted": predicted,
                    "probability": round(float(answers.confidence[rows[index]]), 3),
                    "weights": [round(1000 * weights.get(id_, 0)) if id_ else None for id_ in in_order.values()],
                }
            )
    spent = np.cumsum([len(to_json(document).encode()) for document in documents])
    return documents[: int(np.searchsorted(spent, MISTAKES_BYTES, side="right"))]


def _contributions(model: Classifier, documents: list[np.ndarray]) -> Iterator[Contributions]:
    """Leave each word out of documents, of a few at a time."""
    size = max(1, BLOCK_CLASSES // len(model.classes))
    predict = partial(model.probabilities, backend="numpy")
    for start in range(0, len(documents), size):
        yield from leave_one_out(documents[start : start + size], predict, model.architecture.max_len)


def say_limits(run: Run, documents: list[dict[str, Any]]) -> str:
    """Say how many of the mistakes the page lists."""
    wrong = [answers.predicted != answers.labels for answers in run.predictions.values()]
    total = int(np.any(wrong, axis=0).sum())
    return (
        "" if len(documents) == total else f", {len(documents):,} of the {total:,} documents that a variant got wrong"
    )
