"""A script imports faster inside `fast_start`, which leaves all that it changes as it was.

A script that has done its work ends at once, whatever would go wrong while the interpreter takes itself apart.
"""

import os
import re
import signal
import subprocess
import sys
import textwrap
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
    assert (ended.returncode, ended.stderr) == (1, "error: standard output: no space left on device\n")


SCRIPT = """
import os, signal, sys, threading, time
from flaxtext.core.startup import run_script
from flaxtext.core.files import atomic

def main():
{body}

run_script(main{options})
"""


def script(body, options=""):
    """The words that run a script of the project's kind."""
    return [sys.executable, "-c", SCRIPT.format(body=textwrap.indent(textwrap.dedent(body), "    "), options=options)]


ENDINGS = {"SIGINT": "interrupted", "SIGTERM": "terminated", "SIGHUP": "hung up"}


@pytest.mark.parametrize("name", ENDINGS)
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_signal_leaves_nothing_half_written(tmp_path, name, kind):
    """Though a thread waits for what never comes, and an exception would be lost."""
    body = f"""
        threading.Thread(target=lambda: os.read(0, 1)).start()
        with atomic({str(tmp_path / "out")!r}) as temporary:
            if {kind!r} == "folder":
                temporary.mkdir()
                temporary = temporary / "half"
            temporary.write_text("half")
            print("ready", flush=True)
            while True:
                try:
                    time.sleep(60)
                except BaseException:
                    pass
    """
    pipe = subprocess.PIPE
    with subprocess.Popen(script(body), cwd=PROJECT, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        assert [path.name for path in tmp_path.iterdir()] == [".out.tmp"]
        process.send_signal(getattr(signal, name))
        _, printed = process.communicate(timeout=30)
    assert (process.returncode, printed) == (
        128 + getattr(signal, name),
        f"{ENDINGS[name]}: nothing half-written was kept\n",
    )
    assert list(tmp_path.iterdir()) == []


def test_a_signal_that_is_ignored_stays_so():
    """As `nohup` and a shell's background jobs have it."""
    body = "os.kill(os.getpid(), signal.SIGHUP); os.kill(os.getpid(), signal.SIGINT); print('done')"
    shell = ["sh", "-c", "trap '' HUP INT; exec \"$@\"", "sh", *script(body)]
    ended = subprocess.run(shell, cwd=PROJECT, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "done\n", "")


def test_ctrl_c_while_imports_are_under_way_is_one_line():
    program = "import os, signal\nfrom flaxtext.core.startup import fast_start\nwith fast_start():\n"
    program += "    os.kill(os.getpid(), signal.SIGINT)\n    import flaxtext.io.table\n"
    ended = run(program)
    assert (ended.returncode, ended.stderr) == (130, "interrupted: nothing half-written was kept\n")
    program = "import signal\nfrom flaxtext.core.startup import fast_start\nbefore = signal.getsignal(signal.SIGINT)\n"
    program += "with fast_start(): pass\nprint(signal.getsignal(signal.SIGINT) is before)"
    assert words_of(program) == ["True"]


def test_a_stage_does_its_work_though_nobody_reads_what_it_says(tmp_path):
    body = f"""
        for _ in range(9):
            print("words " * 9_999, flush=True)
        with atomic({str(tmp_path / "out")!r}) as temporary:
            temporary.write_text("whole")
    """
    for options, written in (("", ["out"]), (", ends_unread=True", [])):
        pipe = subprocess.PIPE
        with subprocess.Popen(script(body, options), cwd=PROJECT, stdout=pipe, stderr=pipe) as process:
            process.stdout.close()
            assert process.stderr.read() == b""
        assert process.returncode == 0
        assert [path.name for path in tmp_path.iterdir()] == written
        (tmp_path / "out").unlink(missing_ok=True)


def test_a_terminal_of_ascii_gets_replacements():
    body = "print('caf\\u00e9 \\udce9'); print('caf\\u00e9', file=sys.stderr)"
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    ended = subprocess.run(script(body), cwd=PROJECT, env=environment, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "caf? ?\n", "caf\\xe9\n")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_streams_that_are_closed_take_no_files_place(tmp_path, closed):
    body = f"""
        with open({str(tmp_path / "out")!r}, "w") as file:
            print("words")
            print("words", file=sys.stderr)
            sys.stdin.read() if sys.stdin.isatty() else None
            file.write("whole")
    """
    shell = ["sh", "-c", f'exec "$@" {closed}', "sh", *script(body)]
    assert subprocess.run(shell, cwd=PROJECT, capture_output=True).returncode == 0
    assert (tmp_path / "out").read_text() == "whole"
