"""In a script, and only there, the garbage collector rests while it imports, and no import searches all packages.

Nor does PyArrow import pandas.

A script that has done its work ends at once, whatever would go wrong while the interpreter takes itself apart.
"""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import PROJECT


def run(program):
    """Run a program."""
    return subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True)


def words_of(program):
    """Run a program that succeeds; what it prints."""
    ended = run(program)
    ended.check_returncode()
    return ended.stdout.split()


def test_it_rests_until_a_script_runs():
    program = """
import gc, flaxtext.core.startup
print(gc.isenabled())
flaxtext.core.startup.run(lambda: print(gc.isenabled(), gc.get_freeze_count() > 1000))
"""
    assert words_of(program) == ["False", "True", "True"]


SEARCH = """
import importlib.metadata
def search(searcher):
    exec("found = list(importlib.metadata.distributions())", names := {**globals(), "__name__": searcher})
    return len(names["found"]) > 10
"""


def test_jax_and_pydantic_find_no_package_until_a_script_runs():
    program = f"""
{SEARCH}
import flaxtext.core.startup
searchers = ["jax._src.numpy", "pydantic.plugin", "importlib.metadata"]
print(*map(search, searchers))
flaxtext.core.startup.run(lambda: print(*map(search, searchers)))
"""
    assert words_of(program) == ["False", "False", "True", "True", "True", "True"]


def test_a_library_leaves_both_alone():
    program = f"""
{SEARCH}
import gc
import flaxtext, flaxtext.cli.main, flaxtext.artifacts.bundle, flaxtext.train.variants
print(gc.isenabled(), search("jax._src.numpy"))
"""
    assert words_of(program) == ["True", "True"]


CONVERT = "import pyarrow as pa; pa.array([1]); pa.scalar('a'); pa.nulls(1, pa.int32()).to_numpy(zero_copy_only=False)"


def test_pyarrow_imports_no_pandas_in_a_script():
    program = f"import sys, flaxtext.core.startup; {CONVERT}; print('pandas' in sys.modules)"
    assert words_of(program) == ["False"]
    assert words_of(program.replace(", flaxtext.core.startup", "")) == ["True"]  # or there is nothing to spare any more


def test_a_script_may_use_pandas_all_the_same():
    program = f"""
import flaxtext.core.startup
{CONVERT}
import pandas as pd
frame = pa.table({{"a": [1, 2]}}).to_pandas()
print(type(frame) is pd.DataFrame, frame.shape == (2, 1), pa.Table.from_pandas(frame).equals(pa.table({{"a": [1, 2]}})))
"""
    assert words_of(program) == ["True", "True", "True"]


@pytest.mark.parametrize("stage", ["download", "build_vocab", "vectorize", "train", "explain", "compare"])
def test_a_stage_imports_no_pandas_that_it_does_not_use(stage):
    program = f"import sys; sys.path.insert(0, 'stages'); import {stage}; print('pandas' in sys.modules)"
    assert words_of(program) == ["False"]


ABORT = """
import os, sys
import flaxtext.core.startup
from flaxtext.core.errors import UserError

class Late:
    def __del__(self, abort=os.abort):
        abort()

sys.late = Late()  # let go of when the interpreter takes itself apart

def main():
    print("done" * 10_000)
    {end}

flaxtext.core.startup.run(main)
"""


@pytest.mark.parametrize(
    ("end", "status", "error"),
    [
        ("pass", 0, ""),
        ("raise UserError('a.csv: empty')", 1, "error: a.csv: empty\n"),
        ("raise KeyboardInterrupt", 130, "interrupted: nothing half-written was kept\n"),
        ("sys.exit()", 0, ""),
        ("sys.exit(2)", 2, ""),
        ("sys.exit('no')", 1, "no\n"),
    ],
)
def test_a_script_ends_before_the_interpreter_takes_itself_apart(end, status, error):
    ended = run(ABORT.format(end=end))
    assert (ended.returncode, ended.stdout, ended.stderr) == (status, "done" * 10_000 + "\n", error)


def test_a_mistake_of_ours_keeps_its_traceback():
    ended = run(ABORT.format(end="raise ValueError('ours')"))
    assert ended.returncode == 1
    assert ended.stdout == "done" * 10_000 + "\n"
    assert ended.stderr.startswith("Traceback")
    assert ended.stderr.endswith("ValueError: ours\n")


def test_it_would_abort_otherwise():
    ended = run(ABORT.format(end="pass").replace("flaxtext.core.startup.run(main)", "main()"))
    assert ended.returncode == -signal.SIGABRT


def test_a_script_waits_for_its_threads():
    wait = "threading.Thread(target=lambda: (time.sleep(0.2), print('waited'))).start()"
    program = f"import threading, time, flaxtext.core.startup; flaxtext.core.startup.run(lambda: {wait})"
    assert words_of(program) == ["waited"]


def test_output_that_cannot_be_written_is_an_error():
    program = [sys.executable, "-c", ABORT.format(end="pass")]
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(program, cwd=PROJECT, stdout=full, stderr=subprocess.PIPE, text=True)
    assert (ended.returncode, ended.stderr) == (1, "error: [Errno 28] No space left on device\n")
