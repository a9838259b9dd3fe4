"""Look for what is wrong with the data, and stop the pipeline where it exceeds a limit.

Reads both splits and the vocabulary; writes `metrics/data.json`: the share of each fault; `data/checks/findings.csv`:
the documents at fault; and, if no limit of params.yaml is exceeded, `data/checks/passed`, which vectorize waits for.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv

import flaxtext.core.startup
from flaxtext.check import checks
from flaxtext.check.checks import CHECKS, SPLITS, Share
from flaxtext.core import params
from flaxtext.core.errors import UserError
from flaxtext.core.files import atomic, write_json, write_text
from flaxtext.tables.frames import neutralize
from flaxtext.text import vocabulary
from flaxtext.text.corpus import Corpus

EXAMPLES = {"leakage": 2, "near_leakage": 2, "label_conflicts": 2, "duplicates": 1, "near_duplicates": 1, "markup": 2}
"""Findings that are printed, by check."""
WIDTH = 100
"""Characters of a document that are printed."""


def main() -> None:
    """Check both splits; figures and findings are written even where a limit is exceeded, to be looked at."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--vocab", type=Path, required=True)
    parser.add_argument("--metrics", type=Path, required=True)
    parser.add_argument("--findings", type=Path, required=True)
    parser.add_argument("--passed", type=Path, required=True)
    args = parser.parse_args()
    loaded = params.load()
    section = loaded.check
    args.passed.unlink(missing_ok=True)

    documents = checks.read(Corpus(args.train), Corpus(args.test), vocabulary.load(args.vocab))
    findings = checks.find(documents, similarity=section.similarity, shingle_words=section.shingle_words)
    shares = checks.shares(documents, findings, loaded.vectorize.max_len)
    figures = checks.figures(documents)
    listed = checks.table(documents, findings)
    with atomic(args.findings) as temporary:
        csv.write_csv(harmless(listed), temporary)
    values = {split: {name: share.value for name, share in shares[split].items()} for split in SPLITS}
    write_json(args.metrics, {split: figures[split] | values[split] for split in SPLITS})

    print_table(figures, shares)
    print_warnings(figures, shares, listed)
    if exceeded := over(figures, shares, section.limits):
        raise UserError("\n".join([*exceeded, f"{args.findings} lists the documents, {args.metrics} has the figures"]))
    write_text(args.passed, "No limit of section check of params.yaml is exceeded.\n")


def harmless(listed: pa.Table) -> pa.Table:
    """Keep a spreadsheet from running texts as formulas."""
    columns = zip(listed.schema.names, listed.columns, strict=True)
    return pa.table({name: neutralize(own) if pa.types.is_string(own.type) else own for name, own in columns})


def print_table(figures: dict[str, dict[str, Any]], shares: dict[str, dict[str, Share]]) -> None:
    """Print a row a check, a column a split."""
    rows = {name: [shares[split].get(name) for split in SPLITS] for name in CHECKS}
    cells = {name: [f"{s.count:,} ({checks.percent(s.value)})" if s else "" for s in row] for name, row in rows.items()}
    lengths = [" / ".join(str(figures[s][key]) for key in ("median_words", "p95_words", "max_words")) for s in SPLITS]
    print(f"{'':<26}{'train':>18}{'test':>18}")
    print(f"{'documents':<26}" + "".join(f"{figures[split]['documents']:>18,}" for split in SPLITS))
    print(f"{'words: median / 95% / max':<26}" + "".join(f"{length:>18}" for length in lengths))
    for name, row in cells.items():
        print(f"{name.replace('_', ' '):<26}" + "".join(f"{cell:>18}" for cell in row))
    sys.stdout.flush()  # ahead of the warnings


def print_warnings(figures: dict[str, dict[str, Any]], shares: dict[str, dict[str, Share]], listed: pa.Table) -> None:
    """Print a sentence a fault, with an example or two."""
    for name, check in CHECKS.items():
        for split in check.splits:
            share = shares[split][name]
            if share.value <= check.bearable:
                continue
            print(f"warning: {checks.sentence(name, split, share, figures[split]['classes'])}", file=sys.stderr)
            at = (listed["check"].to_numpy() == name) & (listed["split"].to_numpy() == split)
            for row in listed.take(np.flatnonzero(at)[: EXAMPLES.get(name, 0)]).to_pylist():
                print(f"  {place(row)}", file=sys.stderr)
                if row["other_row"] is not None:
                    print(f"    {row['similarity']:.0%} like {place(row, 'other_')}", file=sys.stderr)


def place(row: dict[str, Any], prefix: str = "") -> str:
    """Describe one of the documents of a finding, on one line."""
    text = " ".join(row[f"{prefix}text"].split())
    return f"{row[f'{prefix}split']} row {row[f'{prefix}row']}, {row[f'{prefix}label']}: {text[:WIDTH]}"


def over(
    figures: dict[str, dict[str, Any]], shares: dict[str, dict[str, Share]], limits: dict[str, float]
) -> list[str]:
    """Say which limits are exceeded, a line each, and what to do."""
    return [
        f"params.yaml: check.max_{name}: the limit is {limit:g}, {split} has {shares[split][name].value:g}: "
        f"{checks.sentence(name, split, shares[split][name], figures[split]['classes'])}; "
        f"{CHECKS[name].mend}, or raise the limit"
        for name, limit in limits.items()
        for split in CHECKS[name].splits
        if shares[split][name].value > limit
    ]


if __name__ == "__main__":
    flaxtext.core.startup.run(main)
