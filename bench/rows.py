"""The comparisons, a function each: what is run against what, and the table that comes of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import median

import numpy as np

from bench import documents, ours, peers, tutorial
from bench.bundle_words import top_words
