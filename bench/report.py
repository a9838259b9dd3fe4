"""What was measured, as Markdown."""

import datetime
import os
import platform
import re
import sysconfig
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median

import numpy as np

import flaxtext
from bench.measure import ratios
from flaxtext.core.parallel import cores

PACKAGES = (
    *("dvc", "flax", "jax", "jaxlib", "optax", "numpy", "pyarrow"),
    *("keras", "lime", "fasttext-wheel", "scikit-learn"),
)
INTRODUCTION = """\
Written by `make bench`: flaxtext and each peer on the same documents and the same machine, in one run, the two sides
in turn. Seconds are medians. *Times faster* is the peer's seconds divided by flaxtext's, pair by pair: the median (the
least to the most). Each table says what its times include; where two figures stand in one cell, the peer's is the
first. Peak memory is that of a process of its own for each side, Python and imports included.
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


COMPARISON = ("work", "peer", "peer, s", "flaxtext, s", "times faster", "peak memory", "notes")


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
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    system = f"{platform.system()} {platform.release()}"
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES if _is_installed(name))
    is_optimized = "--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or "")
    build = "with" if is_optimized else "without"
    return (
        f"- Machine: {processor()}, {cores()} cores, {memory:.0f} GB memory, {system}\n"
        f"- Matrix products: {products():.0f} GFLOP/s by NumPy in float32, which is what bounds flattened embeddings\n"
        f"- Versions: Python {platform.python_version()} (built {build} --enable-optimizations), "
        f"flaxtext {flaxtext.__version__}, {packages}\n"
        f"- Date: {datetime.datetime.now(datetime.UTC).date()}\n"
    )


def _is_installed(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True


def processor() -> str:
    """Name the processor; clouds sell several generations by the same name, so family and model are told, too."""
    path = Path("/proc/cpuinfo")
    said = path.read_text() if path.exists() else ""
    names, *numbers = (re.findall(rf"^{key}\s*: (.*)", said, re.M) for key in ("model name", "cpu family", "model"))
    generation = f" (family {numbers[0][0]}, model {numbers[1][0]})" if all(numbers) else ""
    return f"{(names or [platform.machine()])[0]}{generation}"


def products() -> float:
    """Measure how fast NumPy multiplies matrices: 1e9 operations in float32 a second, on all cores."""
    matrix = np.random.default_rng(0).random((1500, 1500), np.float32)
    seconds = []
    for _ in range(10):
        started = time.perf_counter()
        matrix @ matrix
        seconds.append(time.perf_counter() - started)
    return 2 * len(matrix) ** 3 / min(seconds) / 1e9


def page(description: str, pairs: int, tables: Sequence[Table]) -> str:
    """Lay out the whole report."""
    head = f"# Results\n\n{INTRODUCTION}\n{environment()}- Documents: {description}\n- Pairs: {pairs}\n"
    return "\n".join([head, *(table.markdown() for table in tables)])
