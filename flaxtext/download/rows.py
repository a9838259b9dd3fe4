"""Takes the documents of a file out of its rows: what is left out is counted, and what is wrong is told at once."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flaxtext.core.printable import LENGTH, SHOWN, name_some, visible
from flaxtext.download.labels import Classes, CleanLabels
from flaxtext.io.reading import Frame, join_columns
from flaxtext.io.table import Table, is_blank

TIMES_MEDIAN = 1000
"""A document this many times as long as the median is likely to hold other rows."""

Reject = Callable[[str, int, str, str, str], None]
"""Hears of a row that is left out: file, row, reason, label, text."""


@dataclass
class Lengths:
    """The lengths of documents, in characters, of which few facts are kept.

    Attributes:
        counts: length -> documents.
        longest: length and row of the `SHOWN` longest.
    """

    counts: Counter[int] = field(default_factory=Counter)
    longest: list[tuple[int, int]] = field(default_factory=list)

    def add(self, texts: pa.StringArray, numbers: np.ndarray) -> None:
        """Measure some documents, which stand in the rows `numbers`."""
        lengths = pc.utf8_length(texts).to_numpy()
        found, counts = np.unique(lengths, return_counts=True)
        for length, count in zip(found.tolist(), counts.tolist(), strict=True):
            self.counts[length] += count
        at = np.flatnonzero(lengths > (self.longest[-1][0] if len(self.longest) == SHOWN else 0))
        at = at[np.argsort(lengths[at], kind="stable")[-SHOWN:]]
        longest = [*self.longest, *zip(lengths[at].tolist(), numbers[at].tolist(), strict=True)]
        self.longest = sorted(longest, key=lambda own: (-own[0], own[1]))[:SHOWN]

    @property
    def median(self) -> int:
        """The length that half of the documents have at most; 0 where there are none."""
        left = (self.counts.total() + 1) // 2
        for length in sorted(self.counts):
            left -= self.counts[length]
            if left <= 0:
                return length
        return 0

    def excessive(self) -> list[tuple[int, int]]:
        """List length and row of documents over a thousand times as long as the median, `SHOWN` at most."""
        median = self.median
        return [own for own in self.longest if own[0] > TIMES_MEDIAN * median]


@dataclass
class Fault:
    """Rows that have the same fault: how many, and the numbers and labels of the first."""

    count: int = 0
    rows: list[int] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)

    def add(self, numbers: np.ndarray, labels: pa.StringArray, bad: np.ndarray) -> None:
        """Count the rows that are `bad: bool[n]`."""
        self.count += int(bad.sum())
        first = np.flatnonzero(bad)[: SHOWN - len(self.rows)]
        self.rows += numbers[first].tolist()
        self.labels += labels.take(pa.array(first)).to_pylist()

    def where(self) -> str:
        """Say which rows they are."""
        if self.count == 1:
            return f"row {self.rows[0]}"
        more = ", ..." if self.count > len(self.rows) else ""
        return f"rows {', '.join(map(str, self.rows))}{more} ({self.count:,} in all)"


class Sieve:
    """Takes the documents out of the rows of one file.

    Attributes:
        read: rows of the file; a header is none.
        blank: rows without text and label.
        no_text: rows with a label alone.
        no_label: rows with a text alone.
        unknown: rows with a label that is of no class.
        kept: documents.
        stripped: documents from whose labels something invisible was taken away.
        composed: documents in whose labels characters were composed.
    """

    def __init__(self, table: Table, texts: int, classes: Classes, reject: Reject | None, kept: Sequence[str]) -> None:
        """Take documents out of `table`.

        Args:
            table: the file.
            texts: how many columns of a frame, the first ones, are text; the next one is the label.
            classes: what labels there are.
            reject: hears of rows without text or label, which are left out; None: they are faults.
            kept: what the columns after the label are called.
        """
        self._table = table
        self._texts = texts
        self._classes = classes
        self._reject = reject
        self._names = ["text", "label", *kept]
        self._last = 1 if table.format in ("csv", "tsv") and table.options.header else 0
        self._lengths = Lengths()
        self.read = self.blank = self.kept = self.stripped = self.composed = 0
        self.no_text, self.no_label, self.unknown = Fault(), Fault(), Fault()

    def documents(self, frame: Frame) -> pa.RecordBatch:
        """Return the documents among some rows: text, label and the columns that are kept."""
        text, label = join_columns(frame.columns[: self._texts]), frame.columns[self._texts]
        numbers = np.asarray(frame.numbers, np.int64)
        cleaned = CleanLabels.of(label)
        codes = cleaned.codes(self._classes)
        no_text, no_label = is_blank(text).to_numpy(zero_copy_only=False), cleaned.missing
        unknown = ~no_text & ~no_label & (codes < 0)

        skipped = int(numbers[-1]) - self._last - len(numbers)  # blank lines that the reader passed over
        self.read += len(numbers) + skipped
        self._last = int(numbers[-1])
        self.blank += int((no_text & no_label).sum()) + skipped
        self.no_text.add(numbers, label, no_text & ~no_label)
        self.no_label.add(numbers, label, no_label & ~no_text)
        self.unknown.add(numbers, label, unknown)
        if self._reject and (no_text != no_label).any():
            at = np.flatnonzero(no_text != no_label)
            texts, labels = (column.take(pa.array(at)).to_pylist() for column in (text, label))
            for row, missing, own_text, own_label in zip(numbers[at].tolist(), no_text[at], texts, labels, strict=True):
                reason = "without text" if missing else "without label"
                self._reject(self._table.name, row, reason, own_label or "", own_text)

        columns = [text, *frame.columns[self._texts + 1 :]]
        keep = ~(no_text | no_label | unknown)
        if not keep.all():
            at = pa.array(np.flatnonzero(keep))
            columns = [column.take(at) for column in columns]
            codes, numbers = codes[keep], numbers[keep]
        self.kept += len(codes)
        rows = cleaned.rows[keep]
        self.stripped += int(cleaned.stripped[rows].sum())
        self.composed += int(cleaned.composed[rows].sum())
        self._lengths.add(columns[0], numbers)
        labels = pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(self._classes.names, pa.string()))
        return pa.RecordBatch.from_arrays([columns[0], labels, *columns[1:]], self._names)

    def problem(self, key: str) -> str | None:
        """Say what is wrong with the file, on one line, and what to do; None if nothing is.

        `key` is where the source stands in params.yaml.
        """
        said, remedies = [], ["correct the file"]
        if not self._reject:
            if self.no_text.count:
                said.append(f"no text in {self.no_text.where()}")
            if self.no_label.count:
                said.append(f"no label in {self.no_label.where()}")
            if said:
                remedies.append(f"set {key}.skip_empty: true to leave out rows without text or label")
        if self.unknown.count:
            labels = [f"'{visible(label, LENGTH - 2)}'" for label in dict.fromkeys(self.unknown.labels)]
            are = "is" if len(labels) == 1 else "are"
            said.append(
                f"label {', '.join(labels)} in {self.unknown.where()} {are} not one of "
                f"{name_some(list(self._classes.of))}"
            )
            remedies.append(f"add the label to {key}.classes")
        if not said and not self.kept:
            return f"{self._table.name}: no documents in the file" + (f": {self.left_out()}" if self.read else "")
        if not said:
            return None
        *others, last = remedies
        return f"{self._table.name}: {'; '.join(said)}; {', '.join(others)}{' or ' if others else ''}{last}"

    def left_out(self) -> str:
        """Say how many rows were read, and how many were left out, and why."""
        left_out = [
            f"{count:,} {reason}"
            for count, reason in (
                (self.blank, "blank"),
                (self.no_text.count, "without text"),
                (self.no_label.count, "without label"),
            )
            if count
        ]
        return f"{self.read:,} rows read{'; ' if left_out else ''}{', '.join(left_out)}"

    def summary(self) -> str:
        """Say how many rows were read, left out and kept."""
        return f"{self._table.name}: {self.left_out()}; {self.kept:,} kept"

    def notes(self) -> list[str]:
        """Say what was done to labels, and which documents are so long that something may be wrong."""
        lines, name = [], self._table.name
        changed = []
        if self.stripped:
            labels = "label" if self.stripped == 1 else "labels"
            changed.append(f"white space or invisible characters removed around or in {self.stripped:,} {labels}")
        if self.composed:
            changed.append(f"accents composed in {self.composed:,} {'label' if self.composed == 1 else 'labels'}")
        if changed:
            lines.append(f"note: {name}: {'; '.join(changed)}")
        for length, row in self._lengths.excessive():
            lines.append(
                f"warning: {name}: row {row} has {length:,} characters, over a thousand times the median "
                f"({self._lengths.median:,}): does it hold other rows, for a quote that is not closed?"
            )
        return lines
