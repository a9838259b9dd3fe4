"""What the check stage says: a table of all checks, a sentence and examples for each fault, and limits exceeded."""

import sys
from typing import Any

import numpy as np
import pyarrow as pa

from flaxtext.check.checks import CHECKS, SPLITS, Share, remedy, sentence
from flaxtext.check.class_names import merging_line
from flaxtext.core.printable import LENGTH, SHOWN, percent, visible

EXAMPLES = {
    "leakage": 2,
    "near_leakage": 2,
    "label_conflicts": 2,
    "duplicates": 1,
    "near_duplicates": 1,
    "empty": 1,
    "markup": 2,
    "cut": 1,
}
"""Findings that are printed, by check."""
WIDTH = 100
"""Characters of a document that are printed."""


def print_table(figures: dict[str, dict[str, Any]], shares: dict[str, dict[str, Share]]) -> None:
    """Print one check per row, one split per column."""
    rows = {name: [shares[split].get(name) for split in SPLITS] for name in CHECKS}
    cells = {name: [f"{s.count:,} ({percent(s.value)})" if s else "" for s in row] for name, row in rows.items()}
    lengths = [" / ".join(str(figures[s][key]) for key in ("median_words", "p95_words", "max_words")) for s in SPLITS]
    print(f"{'':<26}{'train':>18}{'test':>18}")
    print(f"{'documents':<26}" + "".join(f"{figures[split]['documents']:>18,}" for split in SPLITS))
    print(f"{'words: median / 95% / max':<26}" + "".join(f"{length:>18}" for length in lengths))
    for length in figures["train"]["longer_than"]:
        beyond = [figures[split]["longer_than"][length] for split in SPLITS]
        if any(beyond):
            print(f"{f'longer than {int(length):,} words':<26}" + "".join(f"{percent(part):>18}" for part in beyond))
    for name, row in cells.items():
        print(f"{name.replace('_', ' '):<26}" + "".join(f"{cell:>18}" for cell in row))
    sys.stdout.flush()  # ahead of the warnings


def print_warnings(
    figures: dict[str, dict[str, Any]],
    shares: dict[str, dict[str, Share]],
    listed: pa.Table,
    source: str,
    class_of: dict[str, str],
    merged: dict[str, str],
) -> None:
    """Print a line for each fault, which says what to do, and an example or two.

    `source` is the source's name; `class_of` says of which class a label in its files is, and `merged` what
    `checks.to_merge` does.
    """
    for name, check in CHECKS.items():
        for split in check.splits:
            share = shares[split][name]
            if share.value <= check.bearable:
                continue
            sizes = figures[split]["classes"]
            unless = f"; nothing, if {check.unless}" if check.unless else ""
            says = f"{sentence(name, split, share, sizes)}; {remedy(name, source, sizes)}{unless}"
            print(f"warning: {says}", file=sys.stderr)
            at = (listed["check"].to_numpy() == name) & (listed["split"].to_numpy() == split)
            for row in listed.take(np.flatnonzero(at)[: EXAMPLES.get(name, 0)]).to_pylist():
                print(f"  {_place(row)}", file=sys.stderr)
                if row["other_row"] is not None:
                    print(f"    {row['similarity']:.0%} like {_place(row, 'other_')}", file=sys.stderr)
            if name == "similar_classes" and merged:
                print(f"  {_pairs(merged)}; in params.yaml, under the source, this merges them:", file=sys.stderr)
                print(f"  {merging_line(class_of, merged)}", file=sys.stderr)
                merged = {}  # is said once


def _pairs(merged: dict[str, str]) -> str:
    pairs = [f"'{visible(name, LENGTH)}' and '{visible(main, LENGTH)}'" for name, main in merged.items()]
    return ", ".join(pairs[:SHOWN]) + (", ..." if len(pairs) > SHOWN else "")


def _place(row: dict[str, Any], prefix: str = "") -> str:
    """Describe one of the documents of a finding, on one line."""
    text, label = " ".join(row[f"{prefix}text"].split()), visible(row[f"{prefix}label"], LENGTH)
    return f"{row[f'{prefix}split']} row {row[f'{prefix}row']}, {label}: {visible(text[:WIDTH])}"


def over(
    figures: dict[str, dict[str, Any]], shares: dict[str, dict[str, Share]], limits: dict[str, float], source: str
) -> list[str]:
    """Say which limits are exceeded, one line each, and what to do."""
    return [
        f"params.yaml: check.max_{name}: the limit is {limit:g}, {split} has {shares[split][name].value:g}: "
        f"{sentence(name, split, shares[split][name], figures[split]['classes'])}; "
        f"{remedy(name, source, figures[split]['classes'])}, or raise the limit"
        for name, limit in limits.items()
        for split in CHECKS[name].splits
        if shares[split][name].value > limit
    ]
