"""Lets a stage run the code beside it: each script imports this first.

`python stages/NAME.py` would otherwise import the `flaxtext` that is installed, which may be that of another folder: where
DVC runs an experiment in a copy of the project, where two clones share an environment, or in a worktree. What is recorded
would then not be what ran.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import flaxtext  # noqa: E402
from flaxtext.core.startup import fast_start, run  # noqa: E402

__all__ = ["ROOT", "fast_start", "run"]

if Path(flaxtext.__file__).resolve().parent.parent != ROOT:
    sys.exit(f"error: {Path(flaxtext.__file__).parent} was imported, and not {ROOT / 'flaxtext'}, beside the stages")
