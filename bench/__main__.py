"""Measure flaxtext against its peers, and write bench/RESULTS.md."""

import argparse
import tempfile
from pathlib import Path

from bench import PROJECT, documents, parts, wholes
from bench.report import page
from bench.setting import Setting
from flaxtext.core.errors import run

SHARED = PROJECT.parent / "shared/ag_news"
ROWS = {
    "epoch": parts.epoch,
    "token_ids": parts.token_ids,
    "lime": parts.lime,
    "fasttext": wholes.fasttext,
    "bigrams": wholes.bigrams,
    "sklearn": wholes.sklearn,
    "whole": wholes.whole,
    "growth": wholes.growth,
}


def main() -> None:
    """Measure the rows that the command line names, printing each table when it is done."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--source",
        type=Path,
        default=SHARED if SHARED.is_dir() else PROJECT / "data/raw",
        help="folder with train and test, as .csv as AG News is published or .parquet as in data/raw (%(default)s)",
    )
    parser.add_argument("--documents", type=int, help="training documents: the first ones, or more by recombination")
    parser.add_argument("--pairs", type=int, default=5, help="how often each side runs")
    parser.add_argument("--only", help=f"rows to measure, of {','.join(ROWS)}")
    parser.add_argument("--quick", action="store_true", help="one pair on 2,000 documents: does it run?")
    parser.add_argument("--output", type=Path, default=PROJECT / "bench/RESULTS.md")
    args = parser.parse_args()
    names = args.only.split(",") if args.only else list(ROWS)
    if unknown := set(names) - set(ROWS):
        parser.error(f"--only: no row {', '.join(sorted(unknown))}; there are {', '.join(ROWS)}")
    if args.pairs < 1:
        parser.error("--pairs: at least 1")
    if args.quick:
        args.pairs, args.documents = 1, 2000

    with tempfile.TemporaryDirectory() as scratch:
        loaded = documents.load(args.source, args.documents)
        print(f"{loaded.description}; {args.pairs} pair(s)\n", flush=True)
        setting = Setting(loaded, Path(scratch), args.pairs)
        tables = []
        for name in names:
            tables.append(ROWS[name](setting))
            print(tables[-1].markdown(), flush=True)
            args.output.write_text(page(loaded.description, args.pairs, tables), encoding="utf-8")
    print(f"written: {args.output}")


if __name__ == "__main__":
    run(main)
