"""Lets a stage run the code beside it, and write the same bytes on any number of cores: each script imports this first.

`python stages/NAME.py` would otherwise import the `flaxtext` that is installed, which may be that of another folder:
where DVC runs an experiment in a copy of the project, where two clones share an environment, or in a worktree. What is
recorded would then not be what ran.
"""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

THREADS = {
    "NPROC": "2",  # XLA's; one core takes turns with two threads at no visible cost
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
}
"""How many threads libraries use that, with another number of them, add up in another order; read as they start."""

ROOT = Path(__file__).resolve().parent.parent

if find_spec("pyarrow") is None:
    sys.exit("error: this Python lacks flaxtext's packages; run `source .venv/bin/activate`, or `make setup` first")

os.environ.update(THREADS)
sys.path.insert(0, str(ROOT))

import flaxtext  # noqa: E402
from flaxtext.core.startup import fast_start, run_script  # noqa: E402

__all__ = ["ROOT", "fast_start", "run_script"]

if Path(flaxtext.__file__).resolve().parent.parent != ROOT:
    sys.exit(f"error: {Path(flaxtext.__file__).parent} was imported, and not {ROOT / 'flaxtext'}, beside the stages")
