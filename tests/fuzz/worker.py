"""Runs cases in a process of its own, in a fresh folder each, and measures what each takes."""

import faulthandler
import os
import shlex
import shutil
import sys
import threading
import time
import traceback
from collections.abc import Callable
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path

from ruamel.yaml import YAML

from flaxtext.io import csv, streams
from tests.fuzz.cases import Case
from tests.fuzz.rules import Limits, Run, Verdict, judge

PROJECT = Path(__file__).resolve().parents[2]


def serve(pipe: Connection, home: Path, limits: Limits, plant: Callable[[], None] | None) -> None:
    """Answer each case that comes in with its verdict, until None comes. `plant` may break the project first."""
    os.environ["TMPDIR"] = str(home / "tmp")
    streams = {number: os.open(home / name, os.O_RDWR | os.O_CREAT | os.O_APPEND) for number, name in STREAMS.items()}
    for number, opened in streams.items():
        os.dup2(opened, number)  # so that what Arrow itself says is heard, too
    commands = _commands()
    if plant:
        plant()
    pipe.send("ready")
    while (case := pipe.recv()) is not None:
        pipe.send(_run(case, home, limits, commands))


BLOCKS = streams.BLOCK, csv.CACHED
STREAMS = {0: "stdin", 1: "stdout", 2: "stderr"}


def _commands() -> dict[str, Callable[[], None]]:
    """Import what cases run, once: name -> a function that reads `sys.argv` and ends as a script does."""
    sys.path.insert(0, str(PROJECT / "stages"))  # Python does so for a script
    download = import_module("stages.download")
    from tqdm import tqdm

    from flaxtext.cli.main import main
    from flaxtext.config.params import read_params
    from flaxtext.core import errors

    tqdm.set_lock(threading.RLock())  # its own is a semaphore, which a worker that is killed would leave
    return {
        "flaxtext": main,
        "download": lambda: errors.run(download.main),
        "read_params": lambda: errors.run(lambda: read_params() and None),
    }


def _words(case: Case) -> list[str]:
    if case.command[0] != "download":
        return case.command
    command = YAML(typ="safe").load(PROJECT / "dvc.yaml")["stages"]["download"]["cmd"]
    return shlex.split(command)[1:]  # without `python`


def _run(case: Case, home: Path, limits: Limits, commands: dict[str, Callable[[], None]]) -> Verdict:
    folder = home / "case"
    for name in ("case", "tmp"):
        shutil.rmtree(home / name, ignore_errors=True)
        (home / name).mkdir()
    for name, data in case.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    for number in STREAMS:
        os.ftruncate(number, 0)
    (home / "stdin").write_bytes(case.stdin)
    os.lseek(0, 0, os.SEEK_SET)
    os.chdir(folder)
    sys.argv = _words(case)
    # New ones, so that nothing of one case is left to the next; the descriptors stay open.
    sys.stdin, sys.stdout, sys.stderr = (open(n, "w" if n else "r", encoding="utf-8", closefd=False) for n in STREAMS)  # noqa: SIM115
    streams.BLOCK, csv.CACHED = (case.block, case.block // 8) if case.block else BLOCKS
    status, raised = 0, ""
    if not case.long:
        faulthandler.dump_traceback_later(limits.seconds, file=2)  # says where it hangs
    reset_peak()
    started = time.perf_counter()
    try:
        commands[case.command[0]]()
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:  # noqa: BLE001 - what the command may not raise
        raised = traceback.format_exc()
    seconds, peak = time.perf_counter() - started, peak_bytes()
    faulthandler.cancel_dump_traceback_later()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os.chdir(home)
    run = Run(status, (home / "stdout").read_bytes(), (home / "stderr").read_bytes(), raised, seconds, peak)
    return judge(case, run, folder, home / "tmp", limits)


def reset_peak() -> None:
    """Let the kernel measure this process' largest memory anew."""
    Path("/proc/self/clear_refs").write_text("5")


def peak_bytes() -> int:
    """Return the most memory that this process has held since `reset_peak`, in bytes."""
    return memory_of("self", "VmHWM")


def memory_of(process: int | str, key: str) -> int:
    """Return a figure of a process' memory as Linux tells it, in bytes; 0 if it is gone."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{key}:")), 0)
