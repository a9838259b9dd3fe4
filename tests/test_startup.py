"""In a script, and only there, the garbage collector rests while it imports, and PyArrow leaves pandas alone."""

import subprocess
import sys

import pytest
from conftest import PROJECT


def words_of(program):
    """Run a program; what it prints."""
    ended = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=True)
    return ended.stdout.split()


def test_it_rests_until_a_script_runs():
    program = """
import gc, flaxtext.startup
print(gc.isenabled())
flaxtext.startup.run(lambda: print(gc.isenabled(), gc.get_freeze_count() > 1000))
"""
    assert words_of(program) == ["False", "True", "True"]


def test_a_library_leaves_it_alone():
    program = "import gc, flaxtext, flaxtext.cli, flaxtext.bundle, flaxtext.variants; print(gc.isenabled())"
    assert words_of(program) == ["True"]


CONVERT = "import pyarrow as pa; pa.array([1]); pa.scalar('a'); pa.nulls(1, pa.int32()).to_numpy(zero_copy_only=False)"


def test_pyarrow_imports_no_pandas_in_a_script():
    program = f"import sys, flaxtext.startup; {CONVERT}; print('pandas' in sys.modules)"
    assert words_of(program) == ["False"]
    assert words_of(program.replace(", flaxtext.startup", "")) == ["True"]  # or there is nothing to spare any more


def test_a_script_may_use_pandas_all_the_same():
    program = f"""
import flaxtext.startup
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
