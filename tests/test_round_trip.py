"""Own columns keep their values through reading and writing, whatever the two formats are.

What comes out is read with other libraries than those that wrote it, or undone by what stands here.
"""

import base64
import csv
import io
import json
import math
import re
from decimal import Decimal
from fractions import Fraction
from unittest import mock

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flaxtext.core.arrow import number_array, string_array
from flaxtext.io import streams
from flaxtext.io.reading import read_frames
from flaxtext.io.table import Table
from flaxtext.io.writing import KEEP, encode_frame, open_writer

FORMATS = ["csv", "tsv", "jsonl", "parquet"]
PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
INT64 = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
MEETINGS = st.integers(-(10**10), 10**11)  # seconds from 1653 to 5138


def copy(source: Table, target: Table) -> None:
    """Read all rows, and write them with two columns added, as predict does."""
    with open_writer(target) as write:
        for frame in read_frames(source, ["text"], KEEP[target.format]):
            rows = len(frame.numbers)
            added = {"predicted": string_array(["a"] * rows), "probability": number_array(np.full(rows, 0.1, "f4"))}
            write(encode_frame(frame, added, target))


def rows_of(table: Table) -> list[dict]:
    """Read a written table: cells of text, JSON with numbers as they are spelled, or Arrow's scalars."""
    if table.format == "parquet":
        content = pq.read_table(table.path)
        return [{name: content[name][row] for name in content.schema.names} for row in range(len(content))]
    text = table.path.read_bytes().decode()
    if table.format == "jsonl":
        spelled = {"parse_int": Spelled, "parse_float": Spelled, "parse_constant": Spelled}
        return [json.loads(line, **spelled) for line in text.split("\n")[:-1]]
    delimiter = "," if table.format == "csv" else "\t"
    return list(csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter))


class Spelled(str):
    """A number of JSON as it is spelled."""

    __slots__ = ()


def moved(folder, content, source_format, target_format) -> list[dict]:
    """Write `content`, copy it to another format in many small blocks, and read that."""
    source, target = (
        Table(f"f.{kind}", folder / f"{n}.{kind}", kind) for n, kind in enumerate([source_format, target_format])
    )
    if isinstance(content, pa.Table):
        pq.write_table(content, source.path, store_schema=True)
    else:
        source.path.write_bytes(content)
    with mock.patch.object(streams, "BLOCK", 300):
        copy(source, target)
    rows = rows_of(target)
    for row in rows:
        assert plain(row.pop("predicted")) == "a"
        assert float(plain(row.pop("probability"))) == pytest.approx(0.1, rel=1e-6)
    return rows


def plain(value):
    return value.as_py() if isinstance(value, pa.Scalar) else value


# Undoing the forms that docs/formats.md lists: from text to the integer, the number or the bytes that it stands for.


def as_date(text: str) -> int:
    year, month, day = re.fullmatch(r"([+-]\d{4,}|\d{4})-(\d\d)-(\d\d)", text).groups()
    assert not (year[0] == "+" and len(year) < 6)
    return int(np.datetime64(f"{int(year):+05d}-{month}-{day}", "D").astype(np.int64))


def as_seconds(text: str) -> Fraction:
    hour, minute, second = re.fullmatch(r"(\d\d):(\d\d):(\d\d(?:[.]\d+)?)", text).groups()
    return int(hour) * 3600 + int(minute) * 60 + Fraction(second)


def as_moment(text: str) -> Fraction:
    date, time, offset = re.fullmatch(r"(.+)T([\d:.]+)(Z|[+-]\d\d:\d\d)?", text).groups()
    ahead = 0
    if offset and offset != "Z":
        ahead = int(f"{offset[0]}1") * as_seconds(f"{offset[1:]}:00")
    return as_date(date) * 86_400 + as_seconds(time) - ahead


def as_duration(text: str) -> Fraction:
    sign, days, hours, minutes, seconds = re.fullmatch(
        r"(-?)P(?:(\d+)D)?(?:T(?=.)(?:(\d+)H)?(?:(\d+)M)?(?:([\d.]+)S)?)?", text
    ).groups()
    total = int(days or 0) * 86_400 + int(hours or 0) * 3600 + int(minutes or 0) * 60 + Fraction(seconds or 0)
    return -total if sign else total


def as_bytes(text: str) -> bytes:
    return base64.b64decode(text[7:]) if text.startswith("base64:") else text.encode()


def integers(kind, per=None, strategy=INT64, read=int):
    """Values that Arrow holds as integers, `per` of them a unit of what `read` gives."""
    width = pa.int32() if kind.bit_width == 32 else pa.int64()

    def build(values):
        return pa.array(values, width).view(kind)

    return kind, build, strategy, lambda text: read(text) * (per or 1)


def simple(kind, strategy, read):
    return kind, lambda values: pa.array(values, kind), strategy, read


def same_float(text: str) -> float:
    return float(text.replace("Infinity", "inf"))


DAYS = st.integers(-(2**31), 2**31 - 1)
KINDS = [
    simple(pa.bool_(), st.booleans(), {"true": True, "false": False}.__getitem__),
    simple(pa.int8(), st.integers(-128, 127), int),
    simple(pa.int64(), INT64, int),
    simple(pa.uint64(), st.integers(0, 2**64 - 1), int),
    simple(pa.float64(), st.floats(), same_float),
    simple(pa.float32(), st.floats(width=32), lambda text: float(np.float32(same_float(text)))),
    simple(pa.float16(), st.floats(width=16), lambda text: float(np.float16(same_float(text)))),
    simple(pa.decimal128(38, 20), st.decimals(-(10**17), 10**17, places=20), Decimal),
    simple(pa.decimal256(76, 3), st.integers(-(10**75), 10**75).map(lambda n: Decimal(n).scaleb(-3)), Decimal),
    simple(pa.string(), TEXT, str),
    simple(pa.large_string(), TEXT, str),
    simple(pa.string_view(), TEXT, str),
    simple(pa.binary(), st.binary(max_size=8), as_bytes),
    simple(pa.large_binary(), st.binary(max_size=8), as_bytes),
    simple(pa.binary(3), st.binary(min_size=3, max_size=3), as_bytes),
    (
        pa.dictionary(pa.int32(), pa.string()),
        lambda values: pa.array(values, pa.string()).dictionary_encode(),
        TEXT,
        str,
    ),
    integers(pa.date32(), strategy=DAYS, read=as_date),
    integers(pa.date64(), 86_400_000, DAYS.map(lambda day: day * 86_400_000), as_date),
    integers(pa.time32("ms"), 1000, st.integers(0, 86_399_999), as_seconds),
    integers(pa.time64("ns"), 10**9, st.integers(0, 86_400 * 10**9 - 1), as_seconds),
    *(integers(pa.timestamp(unit), PER_SECOND[unit], INT64, as_moment) for unit in ("ms", "us", "ns")),
    integers(pa.timestamp("us", "UTC"), 10**6, INT64, as_moment),
    integers(pa.timestamp("ms", "-03:30"), 10**3, INT64, as_moment),
    integers(pa.timestamp("us", "Europe/Berlin"), 10**6, INT64, as_moment),
    integers(pa.timestamp("us", "Mars/Phobos"), 10**6, INT64, as_moment),
    *(integers(pa.duration(unit), per, INT64, as_duration) for unit, per in PER_SECOND.items()),
    simple(pa.null(), st.none(), str),
]
NESTED = [
    (pa.list_(pa.int64()), st.lists(st.none() | INT64, max_size=3)),
    (pa.large_list(pa.string()), st.lists(TEXT, max_size=3)),
    (
        pa.struct([("a", pa.string()), ("b", pa.list_(pa.bool_()))]),
        st.fixed_dictionaries({"a": TEXT, "b": st.lists(st.booleans())}),
    ),
    (pa.map_(pa.string(), pa.int64()), st.dictionaries(TEXT, INT64, max_size=3).map(lambda own: list(own.items()))),
    (
        pa.list_(pa.struct([("x", pa.decimal128(20, 2))])),
        st.lists(st.decimals(-99, 99, places=2).map(lambda x: {"x": x})),
    ),
]
NUMBERS = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)


@st.composite
def columns_of_parquet(draw):
    """Draw a column of each kind: its type, the array, the values, and what undoes the text of one."""
    rows = draw(st.integers(1, 6))
    columns = []
    for kind, build, strategy, read in KINDS:
        values = draw(st.lists(st.none() | strategy, min_size=rows, max_size=rows))
        columns.append((kind, build(values), values, read))
    for kind, strategy in NESTED:
        values = draw(st.lists(st.none() | strategy, min_size=rows, max_size=rows))
        columns.append((kind, pa.array(values, kind), values, None))
    return columns


def same(found, expected) -> bool:
    return found == expected or (isinstance(expected, float) and math.isnan(expected) and math.isnan(found))


def spelled(kind, value):
    """Return a nested value as JSON spells it."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, dict):
        return {name: spelled(kind.field(name).type, item) for name, item in value.items()}
    if pa.types.is_map(kind):
        return {name: spelled(kind.item_type, item) for name, item in value}
    return [spelled(kind.value_type, item) for item in value] if isinstance(value, list) else str(value)


def check_from_parquet(folder, columns, target):
    names = [f"{index}-{kind}" for index, (kind, *_) in enumerate(columns)]
    arrays = [array for _, array, _, _ in columns]
    rows = len(arrays[0])
    content = pa.table([pa.array([f"row {row}" for row in range(rows)]), *arrays], names=["text", *names])
    found = moved(folder, content, "parquet", target)
    assert [plain(row["text"]) for row in found] == content["text"].to_pylist()
    if target == "parquet":
        read = pq.read_table(folder / "1.parquet").select(content.schema.names)
        expected = pq.read_table(folder / "0.parquet")
        assert read.schema.equals(expected.schema, check_metadata=True)
        for name in names:  # with NaN beside NaN
            assert str(read[name].combine_chunks()) == str(expected[name].combine_chunks())
        return
    for name, (kind, _, values, undo) in zip(names, columns, strict=True):
        for row, value in zip(found, values, strict=True):
            cell = row[name]
            if value is None:
                assert cell == ("" if target in ("csv", "tsv") else None)
            elif undo is None:
                if target in ("csv", "tsv"):
                    cell = json.loads(cell, parse_int=str, parse_float=str)
                assert cell == spelled(kind, value)
            else:
                if target == "jsonl" and pa.types.is_boolean(kind):
                    cell = {True: "true", False: "false"}[cell]
                elif target == "jsonl":  # numbers are numbers, and what JSON has no number for is a string
                    is_number = any(test(kind) for test in NUMBERS) and (undo is not same_float or math.isfinite(value))
                    assert isinstance(cell, Spelled) == (is_number and cell not in ("NaN", "Infinity", "-Infinity"))
                assert same(undo(cell), value), (name, cell, value)


EXAMPLES = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@pytest.mark.parametrize("target", FORMATS)
def test_values_of_parquet(tmp_path_factory, target):
    @settings(EXAMPLES, max_examples=4)
    @given(columns_of_parquet())
    def check(columns):
        check_from_parquet(tmp_path_factory.mktemp("moved"), columns, target)

    check()


@pytest.mark.slow
@pytest.mark.parametrize("target", FORMATS)
def test_values_of_parquet_at_length(tmp_path_factory, target):
    @settings(EXAMPLES, max_examples=100)
    @given(columns_of_parquet())
    def check(columns):
        check_from_parquet(tmp_path_factory.mktemp("moved"), columns, target)

    check()


NUMBER = st.one_of(
    st.integers().map(str),
    INT64.map(str),
    st.integers(-9, 9).map(str),
    st.floats().map(lambda value: json.dumps(value)),
    st.decimals(allow_nan=False, allow_infinity=False).map(lambda value: f"{value:e}".replace("e+", "E")),
    st.sampled_from(["1e400", "-1e-400", "-0", "0.1234567890123456789", "1E5", "1.0", "NaN", "-Infinity", "9" * 5000]),
)
STRING = st.builds(json.dumps, TEXT, ensure_ascii=st.booleans())
SCALAR = st.one_of(st.sampled_from(["null", "true", "false"]), NUMBER, STRING)
HALF = st.just('"\\ud83d"')  # half of a surrogate pair: JSON that UTF-8 cannot say


def spaced(strategy):
    return st.tuples(st.sampled_from(["", " ", "\t"]), strategy, st.sampled_from(["", " "])).map("".join)


def list_of(item):
    return st.lists(spaced(item), max_size=3).map(lambda items: f"[{','.join(items)}]")


def object_of(item):
    return st.dictionaries(TEXT, spaced(item), max_size=3).map(
        lambda own: "{" + ",".join(f"{json.dumps(name)}:{value}" for name, value in own.items()) + "}"
    )


ANY = st.recursive(SCALAR | HALF, lambda inner: list_of(inner) | object_of(inner), max_leaves=6)
SAME_KEYS = st.builds('{{"a": {}, "b": {{"c": {}}}}}'.format, st.integers(-9, 9), STRING)
COLUMNS = [ANY, NUMBER, st.integers(-9, 9).map(str), INT64.map(str), st.integers(0, 2**64 - 1).map(str), STRING]
COLUMNS += [list_of(NUMBER), list_of(st.integers(-9, 9).map(str)), SAME_KEYS, list_of(SAME_KEYS), SCALAR]
COLUMNS += [st.sampled_from(["true", "false", "null"]), st.floats().map(json.dumps)]


@st.composite
def json_lines(draw):
    """Draw objects: the spelling of the value of each key, and the lines."""
    objects, lines = [], []
    strategies = {f"{number} é": strategy for number, strategy in enumerate(COLUMNS)}
    for number in range(draw(st.integers(1, 5))):
        own = draw(st.fixed_dictionaries({}, optional=strategies))
        if own.get("0 é") == '"\\ud83d"':
            own["0 é"] = '["\\ud83d"]'  # alone it has a message of its own
        objects.append(own)
        members = [f'"text": "row {number}"', *(f"{json.dumps(name)} :{value}" for name, value in own.items())]
        lines.append("{" + " , ".join(draw(st.permutations(members))) + draw(st.sampled_from(["}", " }\r", "}\n"])))
    return objects, lines


def parse(text: str):
    return json.loads(text, parse_int=Spelled, parse_float=Spelled, parse_constant=Spelled)


def equals(found, expected) -> bool:
    """Whether a value of Parquet is what JSON spelled."""
    if isinstance(expected, Spelled):
        if isinstance(found, str):
            return found == expected
        number = float(expected.replace("Infinity", "inf"))
        if isinstance(found, float) and not math.isfinite(number):
            return not expected[-1].isdigit() and str(found) == str(number)
        return Decimal(str(found)) == Decimal(expected) if isinstance(found, int | float) else False
    if isinstance(found, list):
        return len(found) == len(expected) and all(map(equals, found, expected))
    if isinstance(found, dict):
        return found.keys() == expected.keys() and all(equals(found[name], expected[name]) for name in found)
    return type(found) is type(expected) and found == expected


def check_from_json(folder, objects, lines, target):
    found = moved(folder, "\n".join(lines).encode(), "jsonl", target)
    assert [plain(row["text"]) for row in found] == [f"row {number}" for number in range(len(objects))]
    if target == "jsonl":
        written = (folder / "1.jsonl").read_text(encoding="utf-8").split("\n")[:-1]
        added = ', "predicted": "a", "probability": 0.1}'
        assert written == [line.strip().removesuffix("}").rstrip() + added for line in lines]
        return
    names = {name for own in objects for name in own}
    for row, own in zip(found, objects, strict=True):
        assert set(row) == {"text", *names}
        for name in names:
            expected = parse(own.get(name, "null"))
            cell = plain(row[name])
            if target == "parquet" and not (isinstance(cell, str) and isinstance(expected, bool | list | dict)):
                assert equals(cell, expected), (name, cell, expected)
            elif expected is None:
                assert cell == ""
            elif isinstance(expected, str):
                assert cell == expected
            else:
                assert parse(cell) == expected


@pytest.mark.parametrize("target", FORMATS)
def test_values_of_json_lines(tmp_path_factory, target):
    @settings(EXAMPLES, max_examples=15)
    @given(json_lines())
    def check(drawn):
        check_from_json(tmp_path_factory.mktemp("moved"), *drawn, target)

    check()


@pytest.mark.slow
@pytest.mark.parametrize("target", FORMATS)
def test_values_of_json_lines_at_length(tmp_path_factory, target):
    @settings(EXAMPLES, max_examples=150)
    @given(json_lines())
    def check(drawn):
        check_from_json(tmp_path_factory.mktemp("moved"), *drawn, target)

    check()


@pytest.mark.parametrize("target", FORMATS)
@pytest.mark.parametrize("source", ["csv", "tsv"])
def test_values_of_csv(tmp_path_factory, source, target):
    @settings(EXAMPLES, max_examples=8)
    @given(st.lists(st.tuples(TEXT, TEXT | NUMBER.filter(lambda number: len(number) < 99)), min_size=1, max_size=6))
    def check(rows):
        file = io.StringIO(newline="")
        writer = csv.writer(file, delimiter="," if source == "csv" else "\t", quoting=csv.QUOTE_ALL)
        writer.writerows([("text", 'a "name", é'), *rows])
        found = moved(tmp_path_factory.mktemp("moved"), file.getvalue().encode(), source, target)
        assert [tuple(map(plain, row.values())) for row in found] == rows

    check()
