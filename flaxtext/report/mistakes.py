"""The report's mistakes: the most confident wrong answers, and what each word added to them."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from flaxtext.artifacts.predictions import Predictions
from flaxtext.core.arrow import string_array
from flaxtext.explain.explanation import leave_one_out
from flaxtext.model.classifier import Classifier
from flaxtext.model.shortening import answer_shortened
from flaxtext.report.packing import to_json
from flaxtext.report.run import Run
from flaxtext.text.token_ids import TokenIds

MISTAKES_BYTES = 1_500_000
"""What the mistakes may weigh, unpacked: three to four times what they take of the page."""

BLOCK_PROBABILITIES = 2**22
"""Probabilities of shortened documents that are worked out at a time: those of all classes, of which one is wanted."""

MAX_WORK = 2**24
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
        texts = string_array([run.texts[rows[index]] for index in wrong])
        shown = model.tokenize([documents[index]["text"] for index in wrong])
        predicted = [int(answers.predicted[rows[index]]) for index in wrong]
        weights = weigh_words(model, model.number(texts), shown, predicted)
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
    model: Classifier, documents: TokenIds, shown: list[list[str]], predicted: list[int]
) -> Iterator[list[int | None] | None]:
    """Leave each word that is shown of a document out of it, and say what that takes from a class's probability.

    `documents` are whole, `shown` the first words of each, the last of which may be cut, `predicted` the number of a
    class. Yields a list for each document: of its distinct words shown, the weight in thousandths, or None for one that
    cannot matter; and None alone from the document on at which `MAX_WORK` is spent.
    """
    owners = np.repeat(np.arange(len(documents)), documents.lengths)
    is_word = documents.ids > 0
    before = np.append(0, np.cumsum(is_word))
    place = before[:-1] - before[documents.offsets[owners]]  # of each word among the words of its document
    chosen = model.reach(documents) & (place < np.array([len(words) for words in shown], np.int64)[owners])
    distinct = np.unique(owners[chosen].astype(np.int64) << 32 | documents.ids[chosen])
    forms = 1 + np.bincount(distinct >> 32, minlength=len(documents))
    weighed = int(np.searchsorted(np.cumsum(forms * documents.lengths), MAX_WORK, side="right"))
    blocks = np.cumsum(forms * len(model.classes)) // BLOCK_PROBABILITIES
    for block in np.split(np.arange(weighed), np.flatnonzero(np.diff(blocks[:weighed])) + 1):
        alone = [documents[number : number + 1] for number in block.tolist()]
        spans = [slice(*documents.offsets[number : number + 2]) for number in block.tolist()]
        found = leave_one_out(alone, [chosen[span] for span in spans], partial(answer_shortened, model))
        for number, span, own in zip(block.tolist(), spans, found, strict=True):
            weights = dict(zip(own.word_ids.tolist(), own.weights[:, predicted[number]].tolist(), strict=True))
            words = documents.ids[span][is_word[span]].tolist()
            ids = dict(reversed(list(zip(shown[number], words, strict=False))))  # that of where a word comes first
            yield [_in_thousandths(model, ids.get(word, 0), weights) for word in dict.fromkeys(shown[number])]
    yield from (None for _ in range(weighed, len(documents)))


def _in_thousandths(model: Classifier, id_: int, weights: dict[int, float]) -> int | None:
    cannot_matter = id_ >= model.vocabulary.rows and not model.reads_unknown
    return None if cannot_matter else round(1000 * weights.get(id_, 0))


def say_limits(run: Run, documents: list[dict[str, Any]]) -> str:
    """Say how many of the mistakes the page lists, and how many without weights."""
    wrong = [answers.predicted != answers.labels for answers in run.predictions.values()]
    total = int(np.any(wrong, axis=0).sum())
    unweighed = sum(any(answer["weights"] is None for answer in document["answers"]) for document in documents)
    listed = f", {len(documents):,} of the {total:,} documents that a variant got wrong"
    note = f" ({unweighed:,} are too long, and so many, that their words are not weighed for every variant)"
    return ("" if len(documents) == total else listed) + (note if unweighed else "")
