"""What several variants predicted of the same documents, as class numbers."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from flaxtext.artifacts.predictions import Predictions


@dataclass(frozen=True)
class Judged:
    """Labels, and what each variant predicted.

    Attributes:
        labels: `int[n]`.
        predicted: by the variant's model, `int[n]`.
        by_seed: by each of its seeds, `int[seeds, n]`; only variants with several have an entry.
        n_classes: of the source; not all need occur.
        majority: the largest class of what each variant was trained on; none has an entry where that is not known.
    """

    labels: np.ndarray
    predicted: dict[str, np.ndarray]
    by_seed: dict[str, np.ndarray]
    n_classes: int
    majority: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, predictions: Mapping[str, Predictions], largest: Mapping[str, str | None] | None = None) -> "Judged":
        """Number the classes that occur in predictions of the same split, by variant.

        `largest` names the largest class of train, by variant; None where it is not known.
        """
        known = {name: label for name, label in (largest or {}).items() if label is not None}
        several = {name: own for name, own in predictions.items() if len(own.by_seed) > 1}
        occurring = set(known.values())
        for name, own in predictions.items():
            numbers = [own.labels, own.predicted, *(own.by_seed if name in several else ())]
            occurring.update(own.classes[number] for number in np.unique(np.concatenate(numbers)))
        place = {name: number for number, name in enumerate(sorted(occurring))}
        maps = {name: np.array([place.get(label, -1) for label in own.classes]) for name, own in predictions.items()}
        first = next(iter(predictions))
        return cls(
            labels=maps[first][predictions[first].labels],
            predicted={name: maps[name][own.predicted] for name, own in predictions.items()},
            by_seed={name: maps[name][own.by_seed] for name, own in several.items()},
            n_classes=max(len(own.classes) for own in predictions.values()),
            majority={name: place[label] for name, label in known.items()},
        )
