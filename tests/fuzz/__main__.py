"""`python -m tests.fuzz`: run cases, print what failed and the figures; status 1 if any failed."""

import argparse
import sys
import time
from pathlib import Path

from tests.fuzz.cases import make_case
from tests.fuzz.pool import Worker, run_cases
from tests.fuzz.report import describe, keep, smaller, table
from tests.fuzz.rules import Limits

SHRUNK = 20
"""Failures whose files are made smaller: each takes up to a minute."""


def main() -> None:
    """Run the cases that are asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=20_000, help="how many (default: 20000)")
    parser.add_argument("--first", type=int, default=0, help="the number of the first (default: 0)")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--keep", type=Path, default=Path(".fuzz"), help="where what failed is kept (default: .fuzz)")
    parser.add_argument("--case", type=int, help="run this one alone, and keep its files")
    args = parser.parse_args()
    if args.case is not None:
        sys.exit(_one(args.case, args.keep))

    started, results, failures = time.monotonic(), [], []
    numbers = range(args.first, args.first + args.cases)
    for case, verdict in run_cases(map(make_case, numbers), args.workers):
        results.append((case.kind, verdict))
        if verdict.failed:
            failures.append((case, verdict))
            print(describe(case, verdict), flush=True)
            keep(case, verdict, args.keep)
        if len(results) % 1000 == 0:
            seconds = time.monotonic() - started
            print(f"{len(results):,} cases in {seconds:,.0f} s, {len(failures):,} failed", flush=True)
    print(table(results))
    print(f"{len(results):,} cases in {(time.monotonic() - started) / 60:.1f} minutes")
    if failures:
        print(f"{len(failures):,} failed; their files are in {args.keep}/, the first {SHRUNK} of them made smaller")
        worker = Worker(Limits())
        for case, verdict in failures[:SHRUNK]:
            keep(smaller(case, verdict, worker), verdict, args.keep)
        worker.close()
    sys.exit(bool(failures))


def _one(number: int, folder: Path) -> int:
    case = make_case(number)
    worker = Worker(Limits())
    verdict = worker.run(case)
    worker.close()
    keep(case, verdict, folder)
    print(f"{case.number} ({case.kind}): {' '.join(case.command)!r}\n{verdict.outcome}: {verdict.said}")
    print(f"{verdict.seconds:.2f} s, {verdict.peak / 1e6:,.0f} MB; its files are in {folder}/{number}/")
    return int(verdict.failed)


if __name__ == "__main__":
    main()
