"""Figures, and all else that stages say in JSON: indented, in UTF-8, the same bytes for the same values.

Their keys are what `dvc metrics` shows, so these files hold no version number.
"""

import json
from pathlib import Path
from typing import Any

from flaxtext.core.errors import UserError
from flaxtext.core.files import write_text


def write_json(path: str | Path, value: Any) -> None:
    """Write a value, floats as they are, whole or not at all; NaN and infinity are refused."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: str | Path) -> Any:
    """Read a value. Raises `UserError` where there is no such file, or no JSON in it."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run `dvc repro` to make it") from None
    except ValueError:
        raise UserError(f"{path}: not JSON; run `dvc repro` to make it anew") from None


def rounded(value: Any) -> Any:
    """Round the floats in nested dicts and lists to six significant digits; leave out what is None."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value
