"""Keeps the workers busy, watches their time and memory, and replaces those that died or have done their share."""

import multiprocessing
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue

from tests.fuzz.cases import Case
from tests.fuzz.rules import Limits, Verdict
from tests.fuzz.worker import memory_of, serve

SHARE = 200
"""Cases that a worker takes before a new one takes its place."""
START_SECONDS = 120
STOP_SECONDS = 2
GRACE = 2
"""By how much a worker may pass the limit of time before it is ended; it tells by then where it hangs."""
LIMITS = Limits()

Plant = Callable[[], None]


class Worker:
    """A process that runs cases, one after the other; started anew whenever it has to be."""

    def __init__(self, limits: Limits, plant: Plant | None = None) -> None:
        self._limits = limits
        self._plant = plant
        self._home = Path(tempfile.mkdtemp(prefix="fuzz-"))
        self._taken = SHARE
        self._process: multiprocessing.process.BaseProcess | None = None

    def run(self, case: Case) -> Verdict:
        """Run a case, and judge it; if the worker dies of it, that is the verdict."""
        if self._process is None or self._taken >= SHARE:
            self._start()
        self._taken += 1
        with suppress(OSError):  # it died since the last case; poll will tell
            self._pipe.send(case)
        started = time.perf_counter()
        largest = 0
        assert self._process is not None
        while not self._pipe.poll(0.05):
            seconds = time.perf_counter() - started
            largest = max(largest, memory_of(self._process.pid or 0, "VmRSS"))
            late = seconds > self._limits.seconds + GRACE
            if largest > (1 if late else 2) * self._limits.bytes:
                return self._end("memory", f"more than {largest / 1e6:,.0f} MB", seconds, largest)
            if late:
                return self._end("long" if case.long else "hang", f"more than {seconds:.1f} s", seconds, largest)
        try:
            verdict: Verdict = self._pipe.recv()
        except (EOFError, OSError):
            self._process.join()
            return self._end("abort", f"exit code {self._process.exitcode}", time.perf_counter() - started, largest)
        if memory_of(self._process.pid or 0, "VmRSS") > self._limits.bytes / 2:  # what stays would count for the next
            self._stop()
        return verdict

    def close(self) -> None:
        """End the worker, and remove its folder."""
        self._stop()
        shutil.rmtree(self._home, ignore_errors=True)

    def _start(self) -> None:
        self._stop()
        spawn = multiprocessing.get_context("spawn")
        self._pipe, other = spawn.Pipe()
        self._process = spawn.Process(target=serve, args=(other, self._home, self._limits, self._plant), daemon=True)
        self._process.start()
        other.close()
        if not self._pipe.poll(START_SECONDS):
            raise RuntimeError(f"a worker did not start within {START_SECONDS} s")
        try:
            self._pipe.recv()
        except EOFError:
            raise RuntimeError(f"a worker did not start:\n{self._said()}") from None
        self._taken = 0

    def _end(self, rule: str, how: str, seconds: float, peak: int) -> Verdict:
        said = f"{how}\n{self._said()}"
        if self._process is not None:
            self._process.kill()
        self._stop()
        return Verdict(rule, said, seconds, peak)

    def _stop(self) -> None:
        if self._process is not None:
            with suppress(OSError):  # it is gone
                self._pipe.send(None)
            self._process.join(STOP_SECONDS)
            self._process.kill()
            self._process.join()
            self._pipe.close()
            self._process = None

    def _said(self) -> str:
        return (self._home / "stderr").read_text(encoding="utf-8", errors="replace")[-4000:]


def run_cases(
    cases: Iterable[Case], workers: int = 2, limits: Limits = LIMITS, plant: Plant | None = None
) -> Iterator[tuple[Case, Verdict]]:
    """Run cases in as many workers at a time; yield each with its verdict as it ends."""
    idle: SimpleQueue[Worker] = SimpleQueue()
    made = [Worker(limits, plant) for _ in range(workers)]
    for worker in made:
        idle.put(worker)

    def run(case: Case) -> tuple[Case, Verdict]:
        worker = idle.get()
        try:
            return case, worker.run(case)
        finally:
            idle.put(worker)

    try:
        with ThreadPoolExecutor(workers) as threads:
            under_way: set[Future[tuple[Case, Verdict]]] = set()
            for case in cases:
                under_way.add(threads.submit(run, case))
                if len(under_way) >= 2 * workers:
                    done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
                    yield from (each.result() for each in done)
            yield from (each.result() for each in under_way)
    finally:
        for worker in made:
            worker.close()
