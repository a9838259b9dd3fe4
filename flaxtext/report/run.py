"""What a finished run left, for the report to show."""

from dataclasses import dataclass, field
from typing import Any

from flaxtext.artifacts.history import Epoch
from flaxtext.artifacts.importance import Importance
from flaxtext.artifacts.predictions import Predictions
from flaxtext.config.params import Params
from flaxtext.model.classifier import Classifier
from flaxtext.text.words import Tokenizer


@dataclass(frozen=True)
class Run:
    """What a finished run left, by variant in the order of params.yaml.

    Attributes:
        metrics, explanations: the content of metrics/VARIANT.json and data/explanations/VARIANT.json.
        histories: one entry per epoch.
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
    def tokenizer(self) -> Tokenizer:
        """What finds the words: all variants of a run read those of one vocabulary."""
        return next(iter(self.models.values())).vocabulary.tokenizer

    @property
    def classes(self) -> list[str]:
        """Names of the classes, in the source's order."""
        return next(iter(self.predictions.values())).classes
