"""flaxtext measured side by side with its peers; `python -m bench` writes RESULTS.md."""

from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
