"""Valid tables of many shapes, as people and programs write them."""

import csv
import datetime
import decimal
import gzip
import io
import json
import string
from dataclasses import dataclass
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

WORDS = [
    *("a", "good", "film", "bad", "the", "actors", "were", "plot", "of", "it", "never", "boring", "and", "time"),
    *("10/10", "don't", "naïve", "Übung", "日本語", "привет", "😀", "e\u0301", "x\u00a0y", "“quoted”", "<br />"),
    *("music", "&amp;", "http://x.y/z?a=b&c"),
]
ODD_WORDS = [
    *('say "hi"', "a,b", "a;b", "a|b", "two\nlines", "tab\there", "cr\rhere", "=1+1", "-x", "'", "\\", "\\n", "{}"),
    *("#", "line\r\nhere"),
]
"""What a format has to quote, or a reader could stumble on."""
LABELS = [["neg", "pos"], ["1", "2"], ["sport", "World news", "é"], ["-1", "0", "1"], ["a", "b", "c", "d"]]


@dataclass(frozen=True)
class File:
    """A table's file.

    Attributes:
        name: its name, which tells the format.
        data: its bytes.
        texts: its column `text`, an empty string where one is missing.
        mixed: whether it has columns that not every format can hold.
    """

    name: str
    data: bytes
    texts: list[str]
    mixed: bool


def write_file(rng: Random, kind: str, least: int = 1) -> File:
    """Write a valid table of a kind, csv, tsv, jsonl or parquet, of `least` rows or more."""
    size = max(least, rng.choice((1, 2, 12, 20, 20, 30, 40)))
    writer = {"csv": _csv, "tsv": _tsv, "jsonl": _jsonl, "parquet": _parquet}[kind]
    columns = _columns(rng, size)
    more = kind in ("jsonl", "parquet") and rng.random() < 0.5
    data = writer(rng, columns, more)
    name = f"in.{kind}"
    if kind != "parquet" and rng.random() < 0.15:
        data, name = gzip.compress(data, mtime=0), name + ".gz"
    return File(name, data, columns["text"], more)


def _columns(rng: Random, size: int) -> dict[str, list[str]]:
    odd = rng.choice((0.0, 0.0, 0.05, 0.2))
    names = rng.choice(LABELS)
    labels = [names[index % len(names)] for index in range(size)]
    rng.shuffle(labels)
    columns = {"text": [_text(rng, odd) for _ in range(size)], "label": labels}
    for name in rng.sample(["id", "title", "date", "meta.x", "Größe", "a b"], rng.randrange(3)):
        columns[name] = [str(rng.randrange(10**6)) if name == "id" else _text(rng, odd)[:30] for _ in range(size)]
    if rng.random() < 0.1:
        columns["text"][rng.randrange(size)] = ""
    order = list(columns)
    rng.shuffle(order)
    return {name: columns[name] for name in order}


def _text(rng: Random, odd: float) -> str:
    words = [rng.choice(ODD_WORDS if rng.random() < odd else WORDS) for _ in range(rng.randrange(1, 25))]
    return " ".join(words).strip() or "x"


def _csv(rng: Random, columns: dict[str, list[str]], _: bool) -> bytes:
    return _delimited(rng, columns, rng.choice(",,,,,,;\t|"), rng.choice((csv.QUOTE_MINIMAL, csv.QUOTE_ALL)))


def _tsv(rng: Random, columns: dict[str, list[str]], _: bool) -> bytes:
    if rng.random() < 0.5:
        return _delimited(rng, columns, "\t", rng.choice((csv.QUOTE_MINIMAL, csv.QUOTE_ALL)))
    for values in columns.values():  # as databases export it: nothing is quoted, a quote is a letter
        values[:] = [" ".join(value.split()) for value in values]
        if any(value.startswith('"') for value in values):
            values[:] = [value.replace('"', "") for value in values]
    lines = ["\t".join(row) for row in (columns, *zip(*columns.values(), strict=True))]
    return "".join(line + "\n" for line in lines).encode()


def _delimited(rng: Random, columns: dict[str, list[str]], delimiter: str, quoting: Any) -> bytes:
    if any("\r" in value for values in columns.values() for value in values):
        quoting = csv.QUOTE_ALL  # which Python's csv, before 3.13, leaves without quotes otherwise
    file = io.StringIO(newline="")
    end = rng.choice(("\n", "\n", "\r\n"))
    rows = csv.writer(file, delimiter=delimiter, quoting=quoting, lineterminator=end)
    rows.writerows([columns, *zip(*columns.values(), strict=True)])
    text = file.getvalue()
    if rng.random() < 0.1:
        text = text.removesuffix(end)
    return text.encode(rng.choice(("utf-8",) * 8 + ("utf-8-sig", "utf-16")))


def _jsonl(rng: Random, columns: dict[str, list[str]], more: bool) -> bytes:
    ascii_only = more or rng.random() < 0.3  # half a surrogate pair stands in a file as an escape alone
    blank = rng.random() < 0.1
    lines = []
    for row in zip(*columns.values(), strict=True):
        record: dict[str, Any] = dict(zip(columns, row, strict=True))
        if more:
            record["own"] = _json_value(rng)
        line = json.dumps(record, ensure_ascii=ascii_only)
        lines.append(line + ("\n\n" if blank and rng.random() < 0.2 else "\n"))
    return "".join(lines).encode(rng.choice(("utf-8",) * 9 + ("utf-8-sig",)))


def _json_value(rng: Random, depth: int = 0) -> Any:
    values: list[Any] = [None, True, 0, -1, 2**53 + 1, 2**70, 0.1, 1e300, 5e-324, float("nan"), "", "é", "1", "\ud800x"]
    if depth < 3 and rng.random() < 0.3:
        inner = [_json_value(rng, depth + 1) for _ in range(rng.randrange(3))]
        return inner if rng.random() < 0.5 else dict(zip(("a", "b", "c"), inner, strict=False))
    return rng.choice(values)


def _parquet(rng: Random, columns: dict[str, list[str]], more: bool) -> bytes:
    size = len(columns["text"])
    text = [value or None for value in columns["text"]]
    text_type = rng.choice((pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string()), pa.binary()))
    if pa.types.is_binary(text_type):
        text = [None if value is None else value.encode() for value in text]
    arrays = {"text": pa.array(text, text_type)}
    if all(label.lstrip("-").isdigit() for label in columns["label"]) and rng.random() < 0.5:
        arrays["label"] = pa.array(list(map(int, columns["label"])), rng.choice((pa.int8(), pa.int64(), pa.int32())))
    else:
        arrays["label"] = pa.array(columns["label"], rng.choice((pa.string(), pa.large_string())))
    for index in range(rng.randrange(1, 6) if more else 0):
        kind = _arrow_type(rng)
        arrays[f"own{index}"] = pa.array([_arrow_value(rng, kind) for _ in range(size)], kind)
    sink = io.BytesIO()
    pq.write_table(
        pa.table(arrays),
        sink,
        compression=rng.choice(("none", "snappy", "zstd", "gzip", "lz4", "brotli")),
        use_dictionary=rng.random() < 0.7,
        row_group_size=rng.choice((5, 1000)),
        data_page_version=rng.choice(("1.0", "2.0")),
        write_page_index=rng.random() < 0.2,
        store_schema=rng.random() < 0.8,
    )
    return sink.getvalue()


def _arrow_type(rng: Random, depth: int = 0) -> pa.DataType:
    if depth < 2 and rng.random() < 0.25:
        inner = _arrow_type(rng, depth + 1)
        nested = [
            pa.list_(inner),
            pa.large_list(inner),
            pa.struct({"x": inner, "y": pa.int8()}),
            pa.map_(pa.string(), inner),
        ]
        return rng.choice(nested)
    unit = rng.choice(("s", "ms", "us", "ns"))
    return rng.choice(
        [
            *(pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint32(), pa.uint64()),
            *(
                pa.float16(),
                pa.float32(),
                pa.float64(),
                pa.bool_(),
                pa.null(),
                pa.binary(),
                pa.large_binary(),
                pa.binary(3),
            ),
            *(
                pa.string(),
                pa.large_string(),
                pa.date32(),
                pa.date64(),
                pa.time32("ms"),
                pa.time64("us"),
                pa.time64("ns"),
            ),
            *(pa.timestamp(unit), pa.timestamp(unit, "UTC"), pa.timestamp(unit, "Europe/Berlin"), pa.duration(unit)),
            *(pa.timestamp(unit, "+05:30"), pa.decimal128(38, 5), pa.decimal256(60, 10)),
            pa.dictionary(pa.int8(), pa.string()),
        ]
    )


def _arrow_value(rng: Random, kind: pa.DataType) -> Any:
    """Make a value of a type of Arrow's, often one at a limit."""
    if pa.types.is_null(kind) or rng.random() < 0.15:
        return None
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return [_arrow_value(rng, kind.value_type) for _ in range(rng.randrange(3))]
    if pa.types.is_struct(kind):
        return {field.name: _arrow_value(rng, field.type) for field in kind}
    if pa.types.is_map(kind):
        return [(name, _arrow_value(rng, kind.item_type)) for name in string.ascii_lowercase[: rng.randrange(3)]]
    if pa.types.is_boolean(kind):
        return rng.random() < 0.5
    if pa.types.is_integer(kind):
        signed = pa.types.is_signed_integer(kind)
        low = -(2 ** (kind.bit_width - 1)) if signed else 0
        return rng.choice((low, low + 2**kind.bit_width - 1, 0, 1, rng.randrange(100)))
    if pa.types.is_floating(kind):
        return rng.choice((0.0, -0.0, 0.1, -1.5, 60000.0, float("inf"), float("nan"), rng.random()))
    if pa.types.is_decimal(kind):
        digits = rng.choice((1, kind.precision))
        return decimal.Decimal((rng.randrange(2), (9,) * digits, -kind.scale))
    if pa.types.is_fixed_size_binary(kind):
        return rng.choice((b"abc", b"\0\xff\n", b"   "))
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return rng.choice((b"", b"abc", b"\0\xff\n", b"\x1f\x8b"))
    if pa.types.is_time(kind):
        return datetime.time(rng.randrange(24), rng.randrange(60), rng.randrange(60), rng.choice((0, 1000)))
    if pa.types.is_temporal(kind):  # as whole numbers: Python's own dates end at the year 9999
        limit = 2**31 - 1 if pa.types.is_date32(kind) else 2**52  # of seconds: Parquet keeps them as milliseconds
        day = rng.choice((0, -1, 10_957, 2_932_897, -719_529, limit, rng.randrange(20_000)))
        value = day * 86_400_000 if pa.types.is_date64(kind) and day != limit else day
        return pa.scalar(value, pa.int32() if pa.types.is_date32(kind) else pa.int64()).cast(kind)
    return rng.choice(("", "x", "é", "1", "a,b", 'a"b', "two\nlines", "=1+1", "\0", "NaN", "2001-01-01"))
