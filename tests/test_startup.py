"""A script imports faster inside `fast_start`, which leaves all that it changes as it was.

A script that has done its work ends at once, whatever would go wrong while the interpreter takes itself apart.
"""

import re
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


STATE = """
import gc, importlib.metadata, os, sys
from flaxtext.core.startup import fast_start

def state():
    names = [name for name in vars(importlib.metadata) if not name.startswith("__")]
    own = {name: id(vars(importlib.metadata)[name]) for name in names}
    return gc.isenabled(), gc.get_threshold(), dict(os.environ), list(sys.meta_path), own
"""


def test_garbage_collection_rests_inside_and_goes_on_afterwards():
    program = f"""{STATE}
before = state()
with fast_start():
    import pyarrow
    inside = gc.isenabled()
print(inside, state() == before, gc.isenabled())
"""
    assert words_of(program) == ["False", "True", "True"]


def test_what_was_switched_off_or_set_before_stays_so():
    program = f"""{STATE}
gc.disable()
os.environ["PYDANTIC_DISABLE_PLUGINS"] = "logfire-plugin"
before = state()
with fast_start():
    pass
print(state() == before)
"""
    assert words_of(program) == ["True"]


def test_an_error_inside_leaves_all_as_it_was():
    program = f"""{STATE}
before = state()
try:
    with fast_start():
        import flaxtext.no_such_module
except ImportError:
    print(state() == before)
"""
    assert words_of(program) == ["True"]


def test_all_packages_can_be_found_inside():
    """No package's metadata is hidden from what is imported."""
    program = f"""{STATE}
with fast_start():
    print(len(list(importlib.metadata.distributions())) > 10, importlib.metadata.version("numpy")[0].isdigit())
"""
    assert words_of(program) == ["True", "True"]


def test_pydantic_looks_for_no_plugins_inside():
    program = f"""{STATE}
with fast_start():
    found = os.environ["PYDANTIC_DISABLE_PLUGINS"]
    import flaxtext.config.train
print(found, "PYDANTIC_DISABLE_PLUGINS" in os.environ)
"""
    assert words_of(program) == ["__all__", "False"]


def test_a_library_changes_nothing():
    program = f"""{STATE}
before = state()
import flaxtext, flaxtext.artifacts.bundle, flaxtext.core.startup, flaxtext.model.classifier, flaxtext.train.variants
after = state()
ours = {{"PYDANTIC_DISABLE_PLUGINS", "XLA_FLAGS", "NPROC", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"}}
print(before[:2] == after[:2], before[4].items() <= after[4].items(), ours & {{*after[2]}} == ours & {{*before[2]}})
print(not any(type(finder).__module__.startswith("flaxtext") for finder in after[3]))
"""
    assert words_of(program) == ["True"] * 4


CONVERT = "import pyarrow as pa; pa.array([1]); pa.scalar('a'); pa.nulls(1, pa.int32()).to_numpy(zero_copy_only=False)"
START = "from flaxtext.core.startup import fast_start\nwith fast_start(): pass\n"


def test_pyarrow_imports_no_pandas_in_a_script():
    program = f"import sys\n{START}{CONVERT}; print('pandas' in sys.modules)"
    assert words_of(program) == ["False"]
    assert words_of(program.replace(START, "")) == ["True"]  # or there is nothing to spare any more


def test_a_script_may_use_pandas_all_the_same():
    program = f"""
{START}{CONVERT}
import pandas as pd
frame = pa.table({{"a": [1, 2]}}).to_pandas()
print(type(frame) is pd.DataFrame, frame.shape == (2, 1), pa.Table.from_pandas(frame).equals(pa.table({{"a": [1, 2]}})))
"""
    assert words_of(program) == ["True", "True", "True"]


def test_pandas_that_is_imported_already_stays():
    program = f"import pandas, sys\n{START}print(sys.modules['pandas'] is pandas)"
    assert words_of(program) == ["True"]


@pytest.mark.parametrize("stage", ["download", "build_vocab", "vectorize", "train", "evaluate", "explain", "compare"])
def test_a_stage_imports_no_pandas_that_it_does_not_use(stage):
    program = f"import sys; sys.path.insert(0, 'stages'); import {stage}; print('pandas' in sys.modules)"
    assert words_of(program) == ["False"]


@pytest.mark.parametrize(
    "stage", sorted(path.stem for path in (PROJECT / "stages").glob("*.py") if path.stem != "checkout")
)
def test_a_stage_imports_all_that_is_heavy_inside(stage):
    """Whatever a script imports from flaxtext, it imports faster."""
    text = (PROJECT / "stages" / f"{stage}.py").read_text(encoding="utf-8")
    assert "\nwith fast_start():\n" in text
    assert re.findall(r"^(?:from|import) (?:flaxtext|jax|numpy|pyarrow)", text, re.MULTILINE) == []
    assert "\n    run_script(main)\n" in text


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

flaxtext.core.startup.run_script(main)
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
    ended = run(ABORT.format(end="pass").replace("flaxtext.core.startup.run_script(main)", "main()"))
    assert ended.returncode == -signal.SIGABRT


def test_a_script_waits_for_its_threads():
    wait = "threading.Thread(target=lambda: (time.sleep(0.2), print('waited'))).start()"
    program = f"import threading, time, flaxtext.core.startup; flaxtext.core.startup.run_script(lambda: {wait})"
    assert words_of(program) == ["waited"]


def test_output_that_cannot_be_written_is_an_error():
    program = [sys.executable, "-c", ABORT.format(end="pass")]
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(program, cwd=PROJECT, stdout=full, stderr=subprocess.PIPE, text=True)
    assert (ended.returncode, ended.stderr) == (1, "error: [Errno 28] No space left on device\n")
