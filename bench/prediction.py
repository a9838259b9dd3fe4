"""How many documents a second `flaxtext predict` answers, from Parquet to Parquet."""

import argparse
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from bench import PROJECT
from flaxtext.core.errors import run


def main() -> None:
    """Repeat a file's documents, predict them all a few times, and print each rate and the median."""
    parser = argparse.ArgumentParser(prog="python -m bench.prediction", description=__doc__)
    parser.add_argument("--source", type=Path, default=PROJECT / "data/raw/train.parquet", help="Parquet with a text")
    parser.add_argument("--model", type=Path, default=PROJECT / "data/models/average_20")
    parser.add_argument("--rows", type=int, default=500_000, help="at least so many (%(default)s)")
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()

    texts = pq.read_table(args.source, columns=["text"])
    table = pa.concat_tables([texts] * -(-args.rows // len(texts)))
    characters = texts.nbytes / len(texts)
    print(f"{len(table):,} documents of {characters:.0f} bytes on average, {args.model.name}, {len(texts):,} different")
    with tempfile.TemporaryDirectory() as scratch:
        source, target = Path(scratch, "in.parquet"), Path(scratch, "out.parquet")
        pq.write_table(table, source, compression="zstd")
        rates = []
        for _ in range(args.runs):
            command = [sys.executable, "-m", "flaxtext", "predict", "-m", args.model, "-i", source, "-o", target]
            said = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=True).stderr
            rates.append(int(re.findall(r"([\d,]+) a second", said)[0].replace(",", "")))
            print(f"{rates[-1]:,} a second", flush=True)
    print(f"median {statistics.median(rates):,.0f} documents a second after start-up")


if __name__ == "__main__":
    run(main)
