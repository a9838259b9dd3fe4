"""Texts and numbers in few characters of a web page, deflated and in base64; `templates/portable.js` reads them."""

import base64
import json
import zlib
from typing import Any

import numpy as np


def to_json(value: Any) -> str:
    """Write JSON that may stand inside a script element: nothing in it can end the element or start a comment."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def pack_text(text: str) -> str:
    """Pack a text."""
    return _to_base64(zlib.compress(text.encode(), 9))


def pack_numbers(array: np.ndarray) -> str:
    """Pack a float32 or uint32 array, whose shape is lost.

    All first bytes come before all second ones, as in Parquet's BYTE_STREAM_SPLIT: the empty bytes of small numbers
    stand together, and take next to nothing. Of the rest, no sequence comes twice: to look for one, as deflate does
    unless told to look for runs alone, takes 14 times as long, and saves nothing.
    """
    data = array.astype(array.dtype.newbyteorder("<")).tobytes()
    runs = zlib.compressobj(9, strategy=zlib.Z_RLE)
    return _to_base64(runs.compress(np.frombuffer(data, np.uint8).reshape(-1, 4).T.tobytes()) + runs.flush())


def pack_integers(array: np.ndarray) -> str:
    """Pack an int32 array; 0, -1, 1, -2 and so on become 0, 1, 2, 3, so that both signs have small numbers."""
    return pack_numbers(np.where(array < 0, -2 * array - 1, 2 * array).astype(np.uint32))


def _to_base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
