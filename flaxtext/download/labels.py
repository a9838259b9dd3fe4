"""Labels of a file: cleaned, counted, and put into classes."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

import numpy as np
import pyarrow as pa

from flaxtext.core.errors import UserError
from flaxtext.core.printable import LENGTH, SHOWN, clean_label, visible, without_invisible
from flaxtext.io.table import Column, Table

MAX_CLASSES = 5000
"""Different labels that are believed to be classes where the source does not name them."""
FEW = 20
"""Different labels that are believed to be classes even if most rows have a label of their own."""
EXAMPLES = 5
"""Labels that are shown of too many."""
WHOLE_NUMBER = re.compile("-?[0-9]{1,1000}")


@dataclass(frozen=True)
class CleanLabels:
    """The labels of n rows.

    Attributes:
        values: those that differ as they stand in the file, after cleaning.
        rows: `int32[n]`, indices into `values`.
        stripped: `bool[values]`, whether something invisible was taken away.
        composed: `bool[values]`, whether characters were composed.
    """

    values: list[str]
    rows: np.ndarray
    stripped: np.ndarray
    composed: np.ndarray

    @classmethod
    def of(cls, labels: pa.StringArray) -> "CleanLabels":
        """Clean `labels: string[n]`, each that differs once; a missing label is an empty one."""
        encoded = labels.fill_null("").dictionary_encode()
        found = encoded.dictionary.to_pylist()
        cleaned = [clean_label(label) for label in found]
        shown = [label if own == label else without_invisible(label) for own, label in zip(cleaned, found, strict=True)]
        return cls(
            values=cleaned,
            rows=encoded.indices.to_numpy(),
            stripped=np.fromiter(map(str.__ne__, shown, found), bool, len(found)),
            composed=np.fromiter(map(str.__ne__, cleaned, shown), bool, len(found)),
        )

    @property
    def missing(self) -> np.ndarray:
        """Whether a row has no label: `bool[n]`."""
        missing: np.ndarray = np.fromiter((not value for value in self.values), bool, len(self.values))[self.rows]
        return missing

    def codes(self, classes: "Classes") -> np.ndarray:
        """Return the class of each row, -1 where its label is of none: `int32[n]`."""
        codes: np.ndarray = np.array([classes.codes.get(value, -1) for value in self.values], np.int32)[self.rows]
        return codes


@dataclass(frozen=True)
class Classes:
    """The classes of a source.

    Attributes:
        of: label, cleaned -> name of its class. The classes are in the order in which their names come first.
    """

    of: dict[str, str]

    @cached_property
    def names(self) -> list[str]:
        """The names of the classes, in order."""
        return list(dict.fromkeys(self.of.values()))

    @cached_property
    def codes(self) -> dict[str, int]:
        """Label, cleaned -> index of its class in `names`."""
        place = {name: code for code, name in enumerate(self.names)}
        return {label: place[name] for label, name in self.of.items()}

    @property
    def renamed(self) -> dict[str, str] | None:
        """What `of` holds, None where each label is the name of its class."""
        return None if all(label == name for label, name in self.of.items()) else self.of


def found_classes(table: Table, column: Column, labels: Iterable[pa.StringArray], key: str) -> Classes:
    """Make a class of each label: sorted as whole numbers if all are, otherwise as text.

    Args:
        table: the file that they are in.
        column: where they are in it.
        labels: `string[n]` a batch.
        key: where the source stands in params.yaml.

    Raises:
        UserError: so many different labels that they can hardly be classes.
    """
    found: Counter[str] = Counter()
    for batch in labels:
        cleaned = CleanLabels.of(batch)
        counts = np.bincount(cleaned.rows, minlength=len(cleaned.values))
        for label, count in zip(cleaned.values, counts.tolist(), strict=True):
            found[label] += count
        del found[""]
        if len(found) > MAX_CLASSES:
            raise _too_many(table, column, f"more than {MAX_CLASSES:,} different labels", found, key)
    if len(found) > FEW and 2 * len(found) > found.total():
        raise _too_many(table, column, f"{len(found):,} different labels in {found.total():,} rows", found, key)
    if all(WHOLE_NUMBER.fullmatch(label) for label in found):
        ordered = sorted(found, key=lambda label: (int(label), label))
    else:
        ordered = sorted(found)
    return Classes(dict(zip(ordered, ordered, strict=True)))


def describe_counts(names: list[str], train: np.ndarray, test: np.ndarray) -> list[str]:
    """Say how many documents of each class, `int64[classes]`, the splits have; of many classes, for the largest."""
    sizes = train + test
    shown = range(len(names)) if len(names) <= SHOWN else np.argsort(-sizes, kind="stable")[:SHOWN].tolist()
    lines = [f"{visible(names[code], LENGTH)}: {train[code]:,} + {test[code]:,}" for code in shown]
    if len(names) > SHOWN:
        smallest = "1 document" if sizes.min() == 1 else f"{sizes.min():,} documents"
        lines.append(f"... {len(names):,} classes in all, of which these are the largest; the smallest has {smallest}")
    return lines


def _too_many(table: Table, column: Column, how_many: str, found: Iterable[str], key: str) -> UserError:
    name = column if isinstance(column, int) else f"'{visible(column, LENGTH)}'"
    examples = [f"'{visible(label, LENGTH - 2)}'" for label in islice(found, EXAMPLES)]
    return UserError(
        f"{table.name}: {how_many}, such as {', '.join(examples)}: is column {name} the label "
        f"column? Correct {key}.label; if it is, list the classes in {key}.classes"
    )
