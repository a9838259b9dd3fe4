"""Bitmaps of where a byte stands, place i at bit i % 64 of word i // 64: to look at all quotes of a file at once.

Finding quoted stretches by a prefix sum of the quotes' bits is of Langdale and Lemire, "Parsing Gigabytes of JSON per
Second", VLDB Journal 28 (2019).
"""

from typing import TypeAlias

import numpy as np

Bitmap: TypeAlias = "np.ndarray"
"""`uint64[ceil(n / 64)]`; the bits beyond n are 0."""
WORD = np.dtype("<u8")
SLICE = 1 << 18
"""Bytes that are compared at a time, which a processor's cache holds."""
ONE, TOP = np.uint64(1), np.uint64(63)


def bitmap(array: np.ndarray, value: int) -> Bitmap:
    """Mark where `array: uint8[n]` is `value`."""
    bits = np.zeros(-(-len(array) // 64) * 8, np.uint8)
    for start in range(0, len(array), SLICE):
        packed = np.packbits(array[start : start + SLICE] == value, bitorder="little")
        bits[start // 8 : start // 8 + len(packed)] = packed
    return bits.view(WORD)


def marked(places: np.ndarray, size: int) -> Bitmap:
    """Mark `places: int64[marked]` of `size`."""
    mask = np.zeros(-(-size // 64) * 64, bool)
    mask[places] = True
    return np.packbits(mask, bitorder="little").view(WORD)


def positions(marks: Bitmap) -> np.ndarray:
    """Return the places that are marked: `int64[marked]`."""
    words = np.flatnonzero(marks)
    bits = np.flatnonzero(np.unpackbits(marks[words].view(np.uint8), bitorder="little"))
    places: np.ndarray = (words << 6)[bits >> 6] + (bits & 63)
    return places


def count(marks: Bitmap) -> int:
    """Count the places that are marked."""
    return int(np.bitwise_count(marks).sum())


def last(marks: Bitmap) -> int | None:
    """Return the last place that is marked."""
    words = np.flatnonzero(marks)
    return None if not len(words) else int(words[-1]) * 64 + int(marks[words[-1]]).bit_length() - 1


def odd_before(marks: Bitmap, before: int = 0) -> Bitmap:
    """Mark the places up to which, themselves included, an odd number is marked, `before` counted too."""
    odd = marks.copy()
    for shift in (1, 2, 4, 8, 16, 32):
        odd ^= odd << np.uint64(shift)
    carried = np.bitwise_xor.accumulate(odd >> TOP)
    odd[1:] ^= np.uint64(0) - carried[:-1]  # 0 - 1 is a word of ones
    return ~odd if before % 2 else odd


def after(marks: Bitmap, first: bool) -> Bitmap:
    """Mark the places after those marked, and the first one if `first` is true."""
    moved = marks << ONE
    moved[1:] |= marks[:-1] >> TOP
    moved[0] |= np.uint64(first)
    return moved


def before(marks: Bitmap) -> Bitmap:
    """Mark the places before those marked."""
    moved = marks >> ONE
    moved[:-1] |= marks[1:] << TOP
    return moved
