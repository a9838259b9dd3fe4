"""How JAX compiles: where the cache of compiled code is, that it stays small, and what XLA is told."""

import os
import subprocess
import sys

import numpy as np
import pytest

from flaxtext.model.compilation import Compiled, cut_back


def fill(folder, sizes):
    """Write files of these sizes, each read a second later than the one before."""
    for second, size in enumerate(sizes):
        path = folder / str(second)
        path.write_bytes(bytes(size))
        os.utime(path, (second, 1000 - second))


def left(folder):
    return sorted(path.name for path in folder.iterdir())


def test_what_was_read_longest_ago_goes_first(tmp_path):
    fill(tmp_path, [10, 20, 30, 40])
    cut_back(tmp_path, 70)
    assert left(tmp_path) == ["2", "3"]


def test_a_folder_within_its_bound_stays_as_it_is(tmp_path):
    fill(tmp_path, [10, 20, 30, 40])
    cut_back(tmp_path, 100)
    assert left(tmp_path) == ["0", "1", "2", "3"]


def test_no_folder_is_no_error(tmp_path):
    cut_back(tmp_path / "none", 10)
    assert not (tmp_path / "none").exists()


def compile_something(home, **environment):
    """Compile in a fresh process whose user lives in `home`; returns the flags that XLA was given."""
    code = "import jax, os; from flaxtext.model.compilation import configure_jax; configure_jax();"
    code += "jax.jit(lambda x: x * 3)(2.0); print(os.environ['XLA_FLAGS'])"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("JAX_", "XLA_"))}
    paths = {"HOME": str(home), "XDG_CACHE_HOME": str(home / ".cache"), "LOCALAPPDATA": str(home)}
    command = [sys.executable, "-c", code]
    ended = subprocess.run(command, env={**kept, **paths, **environment}, check=True, capture_output=True, text=True)
    return ended.stdout.split()


def test_compiled_code_is_kept_for_the_user(tmp_path):
    compile_something(tmp_path)
    assert any(path.is_file() and "flaxtext" in path.parts for path in tmp_path.rglob("jit*"))


def test_jax_settings_win(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    compile_something(tmp_path / "home", JAX_COMPILATION_CACHE_DIR=str(elsewhere))
    compile_something(tmp_path / "home", JAX_ENABLE_COMPILATION_CACHE="false")
    assert any(elsewhere.iterdir())
    assert not list((tmp_path / "home").rglob("jit*"))


@pytest.mark.parametrize(
    ("given", "flags"),
    [
        ({}, ["--xla_gpu_deterministic_ops=true"]),
        (
            {"XLA_FLAGS": "--xla_backend_optimization_level=1"},
            ["--xla_backend_optimization_level=1", "--xla_gpu_deterministic_ops=true"],
        ),
        ({"XLA_FLAGS": "--xla_gpu_deterministic_ops=false"}, ["--xla_gpu_deterministic_ops=false"]),
    ],
)
def test_a_gpu_repeats_itself_unless_it_is_told_otherwise(tmp_path, given, flags):
    """XLA ends a process that gives it a flag that it does not know, on a CPU as well."""
    assert compile_something(tmp_path, **given) == flags


def test_an_option_that_xla_does_not_know_is_done_without():
    double = Compiled(lambda x: 2 * x, {"xla_no_such_option": 1})
    assert double(21) == 42
    assert double(np.float32(0.5)) == 1
    early = Compiled(lambda x: 2 * x, {"xla_no_such_option": 1})
    early.compile(21)
    assert early(21) == 42


def test_any_other_error_is_told():
    def fail(x):
        return x / 0 if isinstance(x, int) else undefined(x)  # noqa: F821

    with pytest.raises(NameError):
        Compiled(fail, {"xla_backend_optimization_level": 1})(1)
