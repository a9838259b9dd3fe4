"""The report's mistakes: the most confident wrong answers, and what each word added to them."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from flaxtext.artifacts.predictions import Predictions
from flaxtext.explain.documents import read_documents
from flaxtext.explain.explanation import Document, leave_one_out
from flaxtext.model.classifier import Classifier
from flaxtext.model.shortening import answer_shortened
from flaxtext.report.packing import to_json
from flaxtext.report.run import Run

MISTAKES_BYTES = 1_500_000
"""What the mistakes may weigh, unpacked: three to four times what they take of the page."""

BLOCK_PROBABILITIES = 2**22
"""Probabilities of shortened documents that are worked out at a time: those of all classes, of which one is wanted."""

MAX_WORK = 2**25
"""Words of all shortened documents of a variant: where documents are long, the words of the last ones go unweighed."""


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
    come in the order in which the words appear in what is shown of the text, null for one that cannot matter to the
    model. Where documents are long, those of the last ones are None altogether (`MAX_WORK`).
    """
    settings = run.params.report
    rows = worst_mistakes(run.predictions, settings.mistakes)
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
        wrong = [index for index, row in enumerate(rows) if answers.predicted[row] != answers.labels[row]]
        texts = {index: run.texts[rows[index]] for index in wrong}
        shown = model.tokenize([documents[index]["text"] for index in wrong])
        predicted = [int(answers.predicted[rows[index]]) for index in wrong]
        weights = weigh_words(model, read_documents(model, texts), shown, predicted)
        for index, label, own in zip(wrong, predicted, weights, strict=True):
            documents[index]["answers"].append(
                {
                    "variant": number,
                    "predicted": label,
                    "probability": round(float(answers.confidence[rows[index]]), 3),
                    "weights": own,
                }
            )
    spent = np.cumsum([len(to_json(document).encode()) for document in documents])
    return documents[: int(np.searchsorted(spent, MISTAKES_BYTES, side="right"))]


def weigh_words(
    model: Classifier, documents: list[Document], shown: list[list[str]], predicted: list[int]
) -> Iterator[list[int | None] | None]:
    """Leave each word that is shown of a document out of it, and say what that takes from a class's probability.

    `shown` are words of each document, `predicted` the number of a class. Yields a list for each document: of its
    distinct words shown, the weight in thousandths, or None for one that cannot matter; and None alone from the
    document on at which `MAX_WORK` is spent.
    """
    reached = [model.reach(document.ids) for document in documents]
    chosen = [
        reach & np.isin(document.ids.ids, _ids_of(document, words))
        for document, reach, words in zip(documents, reached, shown, strict=True)
    ]
    forms = np.array(
        [1 + len(np.unique(document.ids.ids[own])) for document, own in zip(documents, chosen, strict=True)]
    )
    lengths = np.array([len(document.ids.ids) for document in documents])
    weighed = int(np.searchsorted(np.cumsum(forms * lengths), MAX_WORK, side="right"))
    blocks = np.cumsum(forms * len(model.classes)) // BLOCK_PROBABILITIES
    for block in np.split(np.arange(weighed), np.flatnonzero(np.diff(blocks[:weighed])) + 1):
        found = leave_one_out(
            [documents[number].ids for number in block],
            [chosen[number] for number in block],
            partial(answer_shortened, model),
        )
        for number, own in zip(block.tolist(), found, strict=True):
            weights = dict(zip(own.word_ids.tolist(), own.weights[:, predicted[number]].tolist(), strict=True))
            yield _in_thousandths(model, documents[number], shown[number], weights)
    yield from (None for _ in documents[weighed:])


def _numbers(document: Document) -> dict[str, int]:
    """Give the id of each word of a document."""
    return dict(zip(document.tokens, document.ids.ids[document.is_word].tolist(), strict=True))


def _ids_of(document: Document, words: list[str]) -> list[int]:
    numbers = _numbers(document)
    return [numbers[word] for word in words if word in numbers]


def _in_thousandths(
    model: Classifier, document: Document, shown: list[str], weights: dict[int, float]
) -> list[int | None]:
    """Lay weights by id out by the distinct words shown; the last one may be cut, and is then no word."""
    of_words, known = _numbers(document), model.vocabulary.rows
    return [
        None if number >= known and not model.reads_unknown else round(1000 * weights.get(number, 0))
        for number in (of_words.get(word, 0) for word in dict.fromkeys(shown))
    ]


def say_limits(run: Run, documents: list[dict[str, Any]]) -> str:
    """Say how many of the mistakes the page lists, and how many without weights."""
    wrong = [answers.predicted != answers.labels for answers in run.predictions.values()]
    total = int(np.any(wrong, axis=0).sum())
    unweighed = sum(any(answer["weights"] is None for answer in document["answers"]) for document in documents)
    listed = f", {len(documents):,} of the {total:,} documents that a variant got wrong"
    note = f" ({unweighed:,} are too long, and so many, that their words are not weighed for every variant)"
    return ("" if len(documents) == total else listed) + (note if unweighed else "")
