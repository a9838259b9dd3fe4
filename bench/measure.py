"""How things are measured: two or more sides in turn, pair by pair; and work in a process of its own.

As a script, `python -m bench.measure MODULE:FUNCTION KEYWORDS`, this is that process.
"""

import gc
import importlib
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple, TypeVar

from bench import PROJECT

T = TypeVar("T")
Clock = Callable[[], float]


def timed(work: Callable[[], object], clock: Clock = time.perf_counter) -> Callable[[], float]:
    """Make work that returns the seconds it took."""

    def seconds() -> float:
        started = clock()
        _result = work()  # kept until the clock is read: to free it is not the work
        return clock() - started

    return seconds


def alternate(sides: Mapping[str, Callable[[], T]], pairs: int) -> dict[str, list[T]]:
    """Run A, B, A, B, ...: whatever else the machine does meanwhile, it does to both sides.

    Returns what each side returned, a value a pair.
    """
    results: dict[str, list[T]] = {name: [] for name in sides}
    for _ in range(pairs):
        for name, side in sides.items():
            gc.collect()  # so that no side clears up after another
            results[name].append(side())
    return results


def ratios(peer: Sequence[float], ours: Sequence[float]) -> tuple[float, float, float]:
    """How many times faster `ours` is, pair by pair: median, least and most."""
    by_pair = [theirs / mine for theirs, mine in zip(peer, ours, strict=True)]
    return median(by_pair), min(by_pair), max(by_pair)


class Child(NamedTuple):
    """What a function did in a process of its own.

    Attributes:
        result: what it returned.
        seconds: of the process, as its parent saw it.
        startup: seconds of them before and after the function: Python, imports, exit.
        peak: the process's peak memory, in MB (10^6 bytes).
    """

    result: dict[str, Any]
    seconds: float
    startup: float
    peak: float


def child(function: str, *, cache: Path | None = None, **keywords: Any) -> Child:
    """Call a function, "bench.peers:fasttext", in a fresh process; keywords and result go as JSON."""
    started = time.perf_counter()
    output = shell(sys.executable, "-m", "bench.measure", function, json.dumps(keywords), cache=cache)
    seconds = time.perf_counter() - started
    answer = json.loads(output.splitlines()[-1])  # the function may print, too
    return Child(answer["result"], seconds, seconds - answer["seconds"], answer["peak"])


def shell(*command: str, folder: Path = PROJECT, cache: Path | None = None) -> str:
    """Run a command in `folder`, with the flaxtext that is there, and return what it printed.

    JAX keeps what it compiles in the folder `cache`, or nowhere.

    Raises:
        RuntimeError: the command failed.
    """
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    compilation = {
        "JAX_ENABLE_COMPILATION_CACHE": str(cache is not None).lower(),
        "JAX_COMPILATION_CACHE_DIR": str(cache or ""),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(folder), **compilation}
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{ended.stdout}{ended.stderr}")
    return ended.stdout


def peak_memory() -> float:
    """This process's peak memory so far, in MB."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would count the parent's memory at the time of the fork
        [line] = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")]
        return int(line.split()[1]) * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # bytes, on macOS


def main() -> None:
    """Call the function that the command line names, and print its result, seconds and peak memory."""
    module, _, name = sys.argv[1].partition(":")
    function = getattr(importlib.import_module(module), name)
    gc.freeze()  # start-up includes the imports: no collection looks through them again, as in flaxtext's stages
    started = time.perf_counter()
    result = function(**json.loads(sys.argv[2]))
    print(json.dumps({"result": result, "seconds": time.perf_counter() - started, "peak": peak_memory()}))


if __name__ == "__main__":
    main()
