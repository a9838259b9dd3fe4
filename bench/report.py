"""What was measured, as Markdown."""

import datetime
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median

from bench.measure import ratios

PACKAGES = (
    "flaxtext dvc flax jax jaxlib optax numpy pyarrow scikit-learn keras lime fasttext-wheel".split()  # noqa: SIM905
)
INTRODUCTION = """\
Written by `make bench`: flaxtext and each peer on the same documents, on the same machine, in one run, the two sides in turn.
Seconds are medians. *Times faster* is the peer's seconds divided by flaxtext's, pair by pair: median (least to most).
Both sides are warm unless a line says otherwise. Start-up of the process, imports and compilation are stated apart. Peak memory is a whole
process's, each side in one of its own that does this work once; Python and imports are in it.
"""


@dataclass
class Table:
    """A table under a heading, with a paragraph that says what was measured."""

    title: str
    text: str
    header: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)

    def markdown(self) -> str:
        """Lay it out."""
        lines = [self.header, ["---"] * len(self.header), *self.rows]
        return f"## {self.title}\n\n{self.text}\n\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines)


COMPARISON = ("work", "peer", "peer, s", "flaxtext, s", "times faster", "peak memory: peer, flaxtext", "notes")


def comparison(
    work: str,
    peer: str,
    theirs: Sequence[float],
    ours: Sequence[float],
    peaks: tuple[float, float] | None = None,
    notes: str = "",
) -> Sequence[str]:
    """Lay out a row under `COMPARISON`: seconds by pair, peaks in MB."""
    middle, least, most = ratios(theirs, ours)
    faster = f"**{middle:.3g}** ({least:.3g} to {most:.3g})"
    memory = f"{peaks[0]:,.0f}, {peaks[1]:,.0f} MB" if peaks else ""
    return work, peer, f"{median(theirs):.3g}", f"{median(ours):.3g}", faster, memory, notes


def environment() -> str:
    """Describe the machine, the versions and the date; names no host and no path."""
    cpus = Path("/proc/cpuinfo")
    models = [line.partition(":")[2] for line in cpus.read_text().splitlines() if line.startswith("model name")]
    model = models[0].strip() if models else platform.processor()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return (
        f"- Machine: {model}, {os.cpu_count()} cores, {memory:.0f} GB memory, {platform.system()} {platform.release()}\n"
        f"- Versions: Python {platform.python_version()}, {', '.join(f'{name} {installed(name)}' for name in PACKAGES)}\n"
        f"- Date: {datetime.datetime.now(datetime.UTC).date()}\n"
    )


def installed(package: str) -> str:
    """The version of an installed package."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "(not installed)"


def page(description: str, pairs: int, tables: Sequence[Table]) -> str:
    """Lay out the whole report."""
    head = f"# Results\n\n{INTRODUCTION}\n{environment()}- Documents: {description}\n- Pairs: {pairs}\n"
    return "\n".join([head, *(table.markdown() for table in tables)])
