"""The garbage collector rests while a script imports, and only then, and only in a script."""

import subprocess
import sys

from conftest import PROJECT


def collecting(program):
    """Run a program; what it prints."""
    ended = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=True)
    return ended.stdout.split()


def test_it_rests_until_a_script_runs():
    program = """
import gc, flaxtext.startup
print(gc.isenabled())
flaxtext.startup.run(lambda: print(gc.isenabled(), gc.get_freeze_count() > 1000))
"""
    assert collecting(program) == ["False", "True", "True"]


def test_a_library_leaves_it_alone():
    program = "import gc, flaxtext, flaxtext.cli, flaxtext.bundle, flaxtext.variants; print(gc.isenabled())"
    assert collecting(program) == ["True"]
