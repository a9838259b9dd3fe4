"""What the report shows of each class: everything where classes are few, otherwise what is worst and what is best."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from flaxtext.artifacts.predictions import Predictions
from flaxtext.evaluate.evaluation import ClassScores, worst_confusions

MATRIX_CLASSES = 30
"""Up to so many classes, confusions are drawn as a matrix."""
CONFUSIONS = 20
"""Of more, so many pairs of each variant are listed."""
CHART_CLASSES = 40
"""Up to so many classes, the charts have bars for each."""
ENDS = 10
"""Of more, they have bars for so many of the worst and so many of the best."""


def charted_scores(predictions: Mapping[str, Predictions]) -> dict[str, dict[str, dict[str, float]]]:
    """Lay out what `charts.draw_per_class` draws: figures by variant and class.

    Of many classes, these are the worst and then the best among those with test documents, by the variants' mean F1.
    """
    classes = next(iter(predictions.values())).classes
    scores = {name: ClassScores.of(own.predicted, own.labels, len(classes)) for name, own in predictions.items()}
    shown = list(range(len(classes)))
    if len(classes) > CHART_CLASSES:
        f1, support = np.mean([own.f1 for own in scores.values()], axis=0), next(iter(scores.values())).support
        worst, best = (np.lexsort((-support, mean)) for mean in (f1, -f1))
        ends = [[int(code) for code in order if support[code]] for order in (worst, best)]
        shown = list(dict.fromkeys(ends[0][:ENDS] + ends[1][:ENDS][::-1]))
    return {name: {classes[code]: own.of_class(code) for code in shown} for name, own in scores.items()}


def confusion_tables(
    predictions: Mapping[str, Predictions], mistakes: Sequence[Mapping[str, Any]]
) -> dict[str, list[dict[str, Any]]]:
    """List the pairs of classes that each variant confuses most, with how many of the page's mistakes show each.

    `mistakes` are those of `list_mistakes`.
    """
    listed = Counter(
        (answer["variant"], document["true"], answer["predicted"])
        for document in mistakes
        for answer in document["answers"]
    )
    return {
        name: [
            {**pair._asdict(), "listed": listed[number, pair.true, pair.predicted]}
            for pair in worst_confusions(own.predicted, own.labels, CONFUSIONS)
        ]
        for number, (name, own) in enumerate(predictions.items())
    }
