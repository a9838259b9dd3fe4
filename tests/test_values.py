"""The one form that each value of Arrow has as text and as JSON."""

import subprocess
import sys
import uuid
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from conftest import PROJECT

from flaxtext.io.values import NoTextError, json_tokens, value_texts


def held(integers, kind):
    """Values that Arrow holds as integers."""
    return pa.array(integers, pa.int32() if kind.bit_width == 32 else pa.int64()).view(kind)


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        (
            held([0, None, 2_932_897, -719_529, 2**31 - 1], pa.date32()),
            ["1970-01-01", None, "+10000-01-01", "-0001-12-31", "+5881580-07-11"],
        ),
        (held([-719_528, 2_932_896], pa.date32()), ["0000-01-01", "9999-12-31"]),
        (held([86_400_000], pa.date64()), ["1970-01-02"]),
        (
            held([0, -1, 1500], pa.timestamp("ms")),
            ["1970-01-01T00:00:00", "1969-12-31T23:59:59.999", "1970-01-01T00:00:01.500"],
        ),
        (held([10**9 + 1], pa.timestamp("ns")), ["1970-01-01T00:00:01.000000001"]),
        (held([2**63 - 1], pa.timestamp("s")), ["+292277026596-12-04T15:30:07"]),
        (
            held(
                [1_704_067_200, 1_719_792_000, 400 * 31_556_952 * 30 + 1_719_792_000],
                pa.timestamp("s", "Europe/Berlin"),
            ),
            ["2024-01-01T01:00:00+01:00", "2024-07-01T02:00:00+02:00", "+14024-07-01T02:00:00+02:00"],
        ),
        (held([-(10**10)], pa.timestamp("s", "Europe/Berlin")), ["1653-02-10T06:13:20Z"]),  # 53 minutes 28 seconds
        (held([0], pa.timestamp("s", "-03:30")), ["1969-12-31T20:30:00-03:30"]),
        (held([0], pa.timestamp("s", "UTC")), ["1970-01-01T00:00:00Z"]),
        (held([0], pa.timestamp("s", "Mars/Phobos")), ["1970-01-01T00:00:00Z"]),
        (held([1, 86_399], pa.time32("s")), ["00:00:01", "23:59:59"]),
        (held([5], pa.time64("us")), ["00:00:00.000005"]),
        (held([0, 86_400, 90_061, -1, None], pa.duration("s")), ["PT0S", "P1D", "P1DT1H1M1S", "-PT1S", None]),
        (held([500_000, -(2**63)], pa.duration("us")), ["PT0.5S", "-P106751991DT4H54.775808S"]),
        (pa.array([True, None]), ["true", None]),
        (pa.array([2**64 - 1], pa.uint64()), ["18446744073709551615"]),
        (pa.array([Decimal("1e-10"), Decimal("12.5")], pa.decimal128(30, 10)), ["0.0000000001", "12.5000000000"]),
        (pa.array([b"a", b"\xff", b"base64:", None]), ["a", "base64:/w==", "base64:YmFzZTY0Og==", None]),
        (pa.array(["a", "base64:"], pa.large_string()), ["a", "base64:"]),
        (pa.array([b"ab", b"\xff\xfe"], pa.binary(2)), ["ab", "base64://4="]),
        (pa.array(["x", None, "x"]).dictionary_encode(), ["x", None, "x"]),
        (pc.run_end_encode(pa.array(["x", "x", None])), ["x", "x", None]),
        (pa.nulls(2), [None, None]),
        (pa.array([uuid.UUID(int=5).bytes, None], pa.uuid()), ["00000000-0000-0000-0000-000000000005", None]),
        (pa.ExtensionArray.from_storage(pa.bool8(), pa.array([1, 0], pa.int8())), ["true", "false"]),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else "",
)
def test_forms(values, texts):
    assert value_texts(values).to_pylist() == texts
    assert value_texts(values[1:]).to_pylist() == texts[1:]
    is_token = any(test(values.type) for test in (pa.types.is_boolean, pa.types.is_integer, pa.types.is_decimal))
    is_token |= getattr(values.type, "extension_name", "") == "arrow.bool8"
    quotes = "" if is_token else '"'
    assert json_tokens(values) == ["null" if text is None else f"{quotes}{text}{quotes}" for text in texts]


def test_floats():
    for kind in (pa.float16(), pa.float32(), pa.float64()):
        values = pa.array([1, 0.1, None, float("nan"), float("inf"), -float("inf"), -0.0], kind)
        assert json_tokens(values) == ["1.0", "0.1", "null", '"NaN"', '"Infinity"', '"-Infinity"', "-0.0"]
        assert value_texts(values).to_pylist()[1:6] == ["0.1", None, "nan", "inf", "-inf"]
    assert json_tokens(pa.array([1e22, 5e-324, 123456789.125])) == ["1e+22", "5e-324", "123456789.125"]


@pytest.mark.parametrize(
    ("values", "tokens"),
    [
        (pa.array([[1, None], None, [], [2]]), ["[1,null]", "null", "[]", "[2]"]),
        (pa.array([[1, None], None, [2, 3]], pa.list_(pa.int8(), 2)), ["[1,null]", "null", "[2,3]"]),
        (pa.array([["a"], None], pa.list_view(pa.string())), ['["a"]', "null"]),
        (
            pa.array([{"a%": 1, "b": "é"}, None, {"a%": None, "b": '"'}]),
            ['{"a%":1,"b":"é"}', "null", '{"a%":null,"b":"\\""}'],
        ),
        (
            pa.array([[("k", [1.0]), ("l", None)], None, []], pa.map_(pa.string(), pa.list_(pa.float32()))),
            ['{"k":[1.0],"l":null}', "null", "{}"],
        ),
        (pa.array([[("2", 1)]], pa.map_(pa.string(), pa.int8())), ['{"2":1}']),
        (pa.array([{"when": [held([0], pa.date32())[0].as_py()]}]), ['{"when":["1970-01-01"]}']),
        (pa.array(['{"a":\n1e400}', None, "{x", "NaN"], pa.json_()), ['{"a": 1e400}', "null", '"{x"', '"NaN"']),
    ],
    ids=lambda value: str(value.type)[:20] if isinstance(value, pa.Array) else "",
)
def test_nested(values, tokens):
    assert json_tokens(values) == tokens
    assert json_tokens(values[1:]) == tokens[1:]
    if pa.types.is_nested(values.type):
        assert value_texts(values).to_pylist() == [{"null": None}.get(token, token) for token in tokens]


def test_strings_that_are_not_utf8_are_bytes():
    ends = pa.py_buffer(np.array([0, 1, 2], np.int32))
    assert value_texts(pa.Array.from_buffers(pa.string(), 2, [None, ends, pa.py_buffer(b"a\xff")])).to_pylist() == [
        "a",
        "base64:/w==",
    ]


def test_a_type_without_a_form():
    with pytest.raises(NoTextError, match="month_day_nano_interval"):
        value_texts(pa.array([(1, 2, 3)], pa.month_day_nano_interval()))


def test_no_pandas_is_imported(tmp_path):
    """Arrow's own conversions to Python would, for nanoseconds."""
    kinds = [pa.timestamp("ns"), pa.timestamp("ns", "Asia/Tokyo"), pa.duration("ns"), pa.time64("ns"), pa.date32()]
    columns = {str(kind): held([1, None], kind) for kind in kinds}
    columns |= {"text": ["a", "b"], "d": [Decimal(1), None], "l": [[1.5], None], "s": [{"a": True}, None]}
    pq.write_table(pa.table(columns), tmp_path / "f.parquet")
    lines = '{"text": "a", "b": true, "s": {"a": [1.5]}, "l": [false]}\n{"text": "b"}\n'
    (tmp_path / "f.jsonl").write_text(lines)
    program = """
import sys
from pathlib import Path
from flaxtext.core.arrow import string_array
from flaxtext.io.reading import read_frames
from flaxtext.io.table import Table
from flaxtext.io.writing import KEEP, encode_frame, open_writer
for source in ("parquet", "jsonl"):
    for target in KEEP:
        out = Table("out", Path(sys.argv[1], f"out.{target}"), target)
        with open_writer(out) as write:
            for frame in read_frames(Table("f", Path(sys.argv[1], f"f.{source}"), source), ["text"], KEEP[target]):
                write(encode_frame(frame, {"new": string_array(["x"] * len(frame.numbers))}, out))
print("pandas" in sys.modules)
"""
    command = [sys.executable, "-c", program, str(tmp_path)]
    assert subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True).stdout == "False\n"
