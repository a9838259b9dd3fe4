"""What came of the cases: a table of figures, and a folder for each that failed."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from tests.fuzz.cases import KINDS, Case
from tests.fuzz.pool import Worker
from tests.fuzz.rules import Verdict

TRIES = 150
"""Runs that making a failing file smaller may take."""


@dataclass
class Figures:
    """Of the cases of a kind: how many there were, what came of them, the longest and the largest of them."""

    cases: int = 0
    right: int = 0
    refused: int = 0
    long: int = 0
    failed: int = 0
    seconds: float = 0
    peak: int = 0

    def add(self, verdict: Verdict) -> None:
        """Count a case."""
        self.cases += 1
        self.right += verdict.outcome == "right"
        self.refused += verdict.outcome == "refused"
        self.long += verdict.outcome == "long"
        self.failed += verdict.failed
        self.seconds = max(self.seconds, verdict.seconds)
        self.peak = max(self.peak, verdict.peak)


def table(results: Iterable[tuple[str, Verdict]]) -> str:
    """Lay the figures out as a table in Markdown, a row for each kind of case."""
    kinds = {kind: Figures() for kind in KINDS}
    every = Figures()
    for kind, verdict in results:
        kinds[kind].add(verdict)
        every.add(verdict)
    lines = [
        "| kind | cases | right answer | one line | went on | failed | longest, s | most memory, MB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {kind} | {own.cases:,} | {own.right:,} | {own.refused:,} | {own.long:,} | {own.failed:,} "
        f"| {own.seconds:.1f} | {own.peak / 1e6:,.0f} |"
        for kind, own in {**kinds, "all": every}.items()
    ]
    return "\n".join(lines)


def describe(case: Case, verdict: Verdict) -> str:
    """Say in a few lines what failed, and how to run it again."""
    said = verdict.said.strip().split("\n")
    if verdict.outcome == "hang":  # where it stands, the innermost first
        said = [said[0], *(line for line in said if "/flaxtext/" in line)][:5]
    shown = said if len(said) <= 6 else [said[0], "...", *said[-4:]]
    lines = "\n".join(f"    {line[:300]}" for line in shown)
    return (
        f"FAILED {case.number} ({case.kind}): {verdict.outcome}\n{lines}\n    python -m tests.fuzz --case {case.number}"
    )


def keep(case: Case, verdict: Verdict, folder: Path) -> None:
    """Write a case's files to a folder of its own, to be run there, with what it said."""
    own = folder / str(case.number)
    for name, data in case.files.items():
        (own / name).parent.mkdir(parents=True, exist_ok=True)
        (own / name).write_bytes(data)
    if case.stdin:
        (own / "stdin").write_bytes(case.stdin)
    (own / "FAILED").write_text(f"{case.command}\n{verdict.outcome}: {verdict.said}\n", encoding="utf-8")


def smaller(case: Case, verdict: Verdict, worker: Worker) -> Case:
    """Cut pieces from the damaged file for as long as the same rule is broken in the same way."""
    if case.fuzzed is None or verdict.outcome in ("hang", "memory"):
        return case
    case = replace(case, texts=None)
    tries, size = 0, len(case.files[case.fuzzed])
    while size and tries < TRIES:
        data, at = case.files[case.fuzzed], 0
        while at < len(data) and tries < TRIES:
            fewer = case.with_fuzzed(data[:at] + data[at + size :])
            tries += 1
            if _alike(worker.run(fewer), verdict):
                case, data = fewer, data[:at] + data[at + size :]
            else:
                at += size
        size //= 2
    return case


def _alike(one: Verdict, other: Verdict) -> bool:
    def kind_of(verdict: Verdict) -> str:
        return verdict.said.strip().split("\n")[-1].partition(":")[0] if verdict.outcome == "traceback" else ""

    return one.outcome == other.outcome and kind_of(one) == kind_of(other)
