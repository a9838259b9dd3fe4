"""Dates, times and durations as ISO 8601 text, by integers: any year, and nanoseconds, which `datetime` has not."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
"""Unit of time -> how many of it make a second."""
DAY = 86_400
CYCLE = 146_097 * DAY
"""Seconds in 400 years, after which the calendar repeats itself, days of the week and all."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST, LAST = (int((datetime(year, 1, 1, tzinfo=UTC) - EPOCH).total_seconds()) for year in (2, 9600))
"""Seconds between which `datetime` knows the offset of a zone."""
UTC_NAMES = ("UTC", "Etc/UTC", "Z")


def date_texts(days: np.ndarray) -> list[str]:
    """Return days since 1970, `int64[n]`, as `2024-02-29`; years past 9999 and before 0 with a sign."""
    return [f"{_year(year)}-{month:02d}-{day:02d}" for year, month, day in _calendar(days)]


def time_texts(values: np.ndarray, unit: str) -> list[str]:
    """Return times of day, `int64[n]` in `unit`, as `13:30:00`, with a fraction in all digits of the unit or none."""
    return list(_clock(values // UNITS[unit], values % UNITS[unit], unit))


def timestamp_texts(values: np.ndarray, unit: str, zone: str | None) -> list[str]:
    """Return moments since 1970, `int64[n]` in `unit`, as `2024-02-29T13:30:00`.

    With a zone they are local times with their offset, such as `+01:00`. They are in UTC, with `Z`, if that is the
    zone, if no such zone is known here, or if the offset is not one of whole minutes, which ISO 8601 cannot say.
    """
    seconds, parts = values // UNITS[unit], values % UNITS[unit]
    offsets = _offsets(seconds, zone)
    days = seconds // DAY
    of_day = seconds - days * DAY + np.array([offset or 0 for offset in offsets], np.int64)
    days += of_day // DAY
    clocks = _clock(of_day % DAY, parts, unit)
    marks = [_mark(offset) for offset in offsets] if zone else [""] * len(values)
    return [f"{date}T{clock}{mark}" for date, clock, mark in zip(date_texts(days), clocks, marks, strict=True)]


def duration_texts(values: np.ndarray, unit: str) -> list[str]:
    """Return lengths of time, `int64[n]` in `unit`, as `P1DT2H`, `PT0.5S` or `-PT1S`."""
    return [_duration(value, unit) for value in values.tolist()]


def _calendar(days: np.ndarray) -> Iterator[tuple[int, int, int]]:
    """Yield year, month and day, of the Gregorian calendar at all times.

    In a year that begins in March the leap day is the last, and months have 153 days in each five.
    """
    cycles, of_cycle = np.divmod(days + 719_468, 146_097)  # days since March 1 of the year 0, in cycles of 400 years
    years = (of_cycle - of_cycle // 1_460 + of_cycle // 36_524 - of_cycle // 146_096) // 365
    of_year = of_cycle - (365 * years + years // 4 - years // 100)
    months = (5 * of_year + 2) // 153
    day = of_year - (153 * months + 2) // 5 + 1
    month = np.where(months < 10, months + 3, months - 9)
    year = years + 400 * cycles + (month <= 2)
    return zip(year.tolist(), month.tolist(), day.tolist(), strict=True)


def _year(year: int) -> str:
    return f"{year:04d}" if 0 <= year <= 9999 else f"{year:+05d}"


def _clock(seconds: np.ndarray, parts: np.ndarray, unit: str) -> Iterator[str]:
    digits = len(str(UNITS[unit])) - 1
    for second, part in zip(seconds.tolist(), parts.tolist(), strict=True):
        hour, second = divmod(second, 3600)
        text = f"{hour:02d}:{second // 60:02d}:{second % 60:02d}"
        yield f"{text}.{part:0{digits}d}" if part else text


def _offsets(seconds: np.ndarray, zone: str | None) -> list[int | None]:
    """Return by how many seconds local time is ahead of UTC; None where only UTC can be told."""
    if fixed := re.fullmatch(r"([+-])(\d\d):?(\d\d)", zone or ""):
        sign, hours, minutes = fixed.groups()
        return [int(f"{sign}1") * (int(hours) * 3600 + int(minutes) * 60)] * len(seconds)
    try:
        rules = None if not zone or zone in UTC_NAMES else ZoneInfo(zone)
    except (KeyError, ValueError, OSError):  # no such zone, or no name of one
        rules = None
    if rules is None:
        return [None] * len(seconds)
    offsets: list[int | None] = []
    for second in seconds.tolist():
        known = max(FIRST, second)  # before there were zones, the offset was the first one
        if known >= LAST:
            known = (known - LAST) % CYCLE + LAST - CYCLE
        local = (EPOCH + timedelta(seconds=known)).astimezone(rules).utcoffset() or timedelta()
        offset = local.days * DAY + local.seconds
        offsets.append(None if offset % 60 else offset)
    return offsets


def _mark(offset: int | None) -> str:
    if offset is None:
        return "Z"
    minutes = abs(offset) // 60
    return f"{'-' if offset < 0 else '+'}{minutes // 60:02d}:{minutes % 60:02d}"


def _duration(value: int, unit: str) -> str:
    seconds, part = divmod(abs(value), UNITS[unit])
    digits = len(str(UNITS[unit])) - 1
    fraction = f".{part:0{digits}d}".rstrip("0") if part else ""
    minutes, second = divmod(seconds, 60)
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    parts = [(days, "D"), (hours, "H"), (minutes, "M")]
    date, *time = (f"{number}{name}" if number else "" for number, name in parts)
    time.append(f"{second}{fraction}S" if second or fraction else "")
    clock = "".join(time)
    return f"{'-' if value < 0 else ''}P{date}{'T' + clock if clock else ''}" if value else "PT0S"
