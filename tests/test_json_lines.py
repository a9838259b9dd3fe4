"""JSON Lines: what keys become columns, of which types, and what is said of lines that are none."""

import json
import os
import threading

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flaxtext.core.arrow import string_array
from flaxtext.core.errors import UserError
from flaxtext.io import jsonl, streams
from flaxtext.io.json_values import MAX_VALUES, members, select_members
from flaxtext.io.reading import read_frames
from flaxtext.io.table import MAX_COLUMNS, Table
from flaxtext.io.writing import KEEP, encode_frame, open_writer


def source(path, content: str | bytes) -> Table:
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
    return Table("f", path, "jsonl")


def column(table: Table, name: str) -> list:
    return [value for frame in read_frames(table, [name]) for value in frame.columns[0].to_pylist()]


def batches(table: Table, keep="batch") -> pa.Table:
    return pa.Table.from_batches([frame.rows for frame in read_frames(table, ["t"], keep)])


def message(table: Table, name="t", keep="nothing") -> str:
    with pytest.raises(UserError) as caught:
        list(read_frames(table, [name], keep))
    return str(caught.value)


def copied(table: Table, kind: str, **added) -> bytes:
    target = Table(f"out.{kind}", table.path.with_name(f"out.{kind}"), kind)
    with open_writer(target) as write:
        for frame in read_frames(table, ["t"], KEEP[kind]):
            write(
                encode_frame(
                    frame, {name: string_array([own] * len(frame.numbers)) for name, own in added.items()}, target
                )
            )
    return target.path.read_bytes()


def test_numbers_and_truth_values_are_text_as_they_are_spelled(tmp_path):
    spelled = ["1", "1.0", "1e5", "-0", "1E+400", "0.10", "true", "false", "9" * 5000]
    table = source(tmp_path / "f", "".join(f'{{"t": {value}}}\n' for value in spelled))
    assert column(table, "t") == spelled


def test_keys_that_come_twice(tmp_path):
    table = source(tmp_path / "f", '{"t": "a", "t": "b"}\n')
    assert column(table, "t") == ["b"]
    assert copied(table, "jsonl", new="x") == b'{"t": "a", "t": "b", "new": "x"}\n'


def test_nested_keys(tmp_path):
    lines = [
        {"meta": {"label": "a", "deep": {"x.y": 1}}},
        {"meta.label": "own", "meta": {"label": "b", "deep": {"x.y": None}}},
        {"meta": None},
    ]
    table = source(tmp_path / "f", "\n".join(map(json.dumps, lines)))
    assert column(table, "meta.label") == ["a", "own", None]
    assert column(table, "meta.deep.x.y") == ["1", None, None]
    assert message(table, "meta.no") == "f: row 1: no column 'meta.no'; there are meta.label, meta.deep.x.y"
    assert message(table, "no") == "f: row 1: no column 'no'; there are meta"
    assert message(table, "meta") == 'f: row 1: meta is {"label":"a","deep":{"x.y":1}}, not a string or number'


def test_only_line_feeds_end_a_line(tmp_path):
    table = source(tmp_path / "f", '\ufeff{"t": "a\u2028b\u0085c"}\r\n\r\n \n{"t": "d\\ne"}\r\n')
    assert column(table, "t") == ["a\u2028b\u0085c", "d\ne"]
    assert [frame.numbers for frame in read_frames(table, ["t"])] == [[1, 4]]


def test_half_a_surrogate_pair(tmp_path):
    table = source(tmp_path / "f", '{"t": "a"}\n\n{"t": "b", "x\\udc00": 1, "y": "\\ud83d", "z": ["\\ud83d"]}\n')
    assert message(source(tmp_path / "g", '{"t": "a"}\n\n{"t": "b\\ud83d"}'), "t") == (
        r"f: row 3: half of a surrogate pair (\ud83d) in t; write the whole pair, or remove it"
    )
    assert copied(table, "jsonl", new="x").split(b"\n")[1] == (
        rb'{"t": "b", "x\udc00": 1, "y": "\ud83d", "z": ["\ud83d"], "new": "x"}'
    )
    for keep in ("batch", "texts"):
        assert message(table, keep=keep) == (
            r"f: row 3: half of a surrogate pair (\udc00) in a key; write the whole pair, or remove it"
        )
        own = source(tmp_path / "g", '{"t": "a"}\n\n{"t": "b", "y": "\\ud83d"}\n')
        assert message(own, keep=keep) == (
            r"f: row 3: half of a surrogate pair (\ud83d) in y; write the whole pair, or remove it"
        )
        nested = source(tmp_path / "g", '{"t": "a", "y": [{"\\ud83d": "😀"}]}\n')
        assert batches(nested, keep)["y"].to_pylist() == ['[{"\\ud83d":"😀"}]']


def test_types_hold_the_whole_file(tmp_path, monkeypatch):
    """They do not depend on where blocks begin, nor does a key that comes late."""
    monkeypatch.setattr(streams, "BLOCK", 200)
    values = {
        "int": ["1", "-5", "9223372036854775807"],
        "unsigned": ["1", "18446744073709551615"],
        "big": ["1", "12345678901234567890123"],
        "double": ["1", "0.1", "1e5", "NaN", "-0"],
        "long_and_double": ["9007199254740993", "0.5"],
        "long_decimal": ["0.5", "0.1234567890123456789"],
        "huge": ["0.5", "1e400"],
        "bool": ["true", "null", "false"],
        "mixed": ["true", "1", '"x"', "[1, 1.50]"],
        "list": ["[1, 2]", "[]", "null"],
        "mixed_list": ["[1]", '["x"]'],
        "object": ['{"a": 1, "b": [true]}', '{"b": [], "a": 2}'],
        "other_keys": ['{"a": 1}', '{"b": 1}'],
        "empty": ["{}", "null"],
        "empty_inside": ["[{}]", "null"],
        "null": ["null", "null"],
    }
    rows = [f'{{"t": "{number}"}}' for number in range(100)]
    for name, own in values.items():
        rows += [f'{{"t": "x", "{name}": {value}}}' for value in own]
    table = batches(source(tmp_path / "f", "\n".join(rows)))
    assert len(table) == len(rows)
    found = {name: [value for value in table[name].to_pylist() if value is not None] for name in values}
    kinds = {name: str(table.schema.field(name).type) for name in values}
    assert kinds == {
        "int": "int64",
        "unsigned": "uint64",
        "double": "double",
        "bool": "bool",
        "list": "list<item: int64>",
        "object": "struct<a: int64, b: list<item: bool>>",
        **dict.fromkeys(["big", "long_and_double", "long_decimal", "huge", "mixed", "mixed_list"], "string"),
        **dict.fromkeys(["other_keys", "empty", "empty_inside", "null"], "string"),
    }
    assert found["int"] == [1, -5, 2**63 - 1]
    assert found["unsigned"] == [1, 2**64 - 1]
    assert str(found["double"]) == "[1.0, 0.1, 100000.0, nan, -0.0]"
    for name in ("big", "long_and_double", "long_decimal", "huge"):
        assert found[name] == values[name]
    assert found["bool"] == [True, False]
    assert found["mixed"] == ["true", "1", "x", "[1,1.50]"]
    assert found["list"] == [[1, 2], []]
    assert found["mixed_list"] == ["[1]", '["x"]']
    assert found["object"] == [{"a": 1, "b": [True]}, {"a": 2, "b": []}]
    assert found["other_keys"] == ['{"a":1}', '{"b":1}']
    assert found["empty"] == ["{}"]
    assert found["empty_inside"] == ["[{}]"]
    texts = batches(source(tmp_path / "f", "\n".join(rows)), "texts")
    assert set(texts.schema.types) == {pa.string()}
    assert [value for value in texts["double"].to_pylist() if value is not None] == values["double"]


def test_a_pipe_is_read_once(tmp_path):
    """Its types and columns are those of a file all the same."""
    content = b'{"t": "a", "n": 1}\n{"t": "b", "n": 0.5, "late": true}\n'
    expected = batches(source(tmp_path / "f", content))
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=[content], daemon=True)
    writer.start()
    assert batches(Table("f", tmp_path / "pipe", "jsonl")).equals(expected)
    writer.join()
    assert expected.to_pydict() == {"t": ["a", "b"], "n": [1.0, 0.5], "late": [None, True]}


def test_the_cases_of_values_that_changed(tmp_path):
    mixed = '{"t":"ball","a":1}\n{"t":"ball","a":1.5}\n{"t":"win","a":true}\n'
    table = source(tmp_path / "f", mixed)
    assert copied(table, "csv", new="x") == b'"t","a","new"\n"ball","1","x"\n"ball","1.5","x"\n"win","true","x"\n'
    assert copied(table, "jsonl", new="x").decode() == mixed.replace("}", ', "new": "x"}')
    numbers = '{"t":"ball","id":12345678901234567890123,"f":0.1234567890123456789,"g":1e400,"h":1E5,"n":NaN}\n'
    table = source(tmp_path / "f", numbers)
    assert copied(table, "jsonl", new="x").decode() == numbers.replace("}", ', "new": "x"}')
    assert copied(table, "tsv", new="x").decode().split("\n")[1] == (
        '"ball"\t"12345678901234567890123"\t"0.1234567890123456789"\t"1e400"\t"1E5"\t"NaN"\t"x"'
    )
    copied(table, "parquet", new="x")
    [row] = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert str(row["n"]) == "nan"
    assert {name: row[name] for name in "fgh"} == {"f": "0.1234567890123456789", "g": "1e400", "h": 1e5}


@pytest.mark.parametrize("line", ['{"t": "a", "new": 1}', '{"t": "a", "n\\u0065w": 1}', '{"t": "a", "\\u006eew" : 1}'])
def test_a_key_of_a_new_one(tmp_path, line):
    with pytest.raises(UserError, match=r"out.jsonl: row 2 of the input has a column 'new' already; give the new ones"):
        copied(source(tmp_path / "f", '{"t": "new"}\n' + line), "jsonl", new="x")


def test_objects_are_extended_as_they_stand(tmp_path):
    table = source(tmp_path / "f", ' {"t" : "new" } \r\n{"t":"{"}\n')
    assert copied(table, "jsonl", new="é%") == '{"t" : "new", "new": "é%"}\n{"t":"{", "new": "é%"}\n'.encode()


def test_members_of_an_object():
    text = '{ "a" : 1.0 , "b\\n":{"x": [1, 2]},"a": "}" }'
    assert list(members(text)) == [("a", '"a" : 1.0'), ("b\n", '"b\\n":{"x": [1, 2]}'), ("a", '"a": "}"')]
    assert list(members("{ }")) == []
    assert select_members(text.encode(), ["b\n", "c", "a"]) == b'{"b\\n":{"x": [1, 2]}, "a": "}"}'


def test_too_much_in_a_line(tmp_path):
    many = b'{"t": "x", "m": [' + b"[]," * MAX_VALUES + b"0]}"
    assert message(source(tmp_path / "f", many)) == (
        f"f: row 1: more than {MAX_VALUES:,} values; JSON Lines is one whole object per line"
    )
    text = ",[{" * MAX_VALUES  # which is one value
    assert column(source(tmp_path / "f", json.dumps({"t": text})), "t") == [text]
    wide = json.dumps({"t": "x", **{str(number): number for number in range(MAX_COLUMNS)}})
    for keep in ("batch", "texts"):
        assert message(source(tmp_path / "f", wide), keep=keep) == (
            "f: row 1: more than 10,000 columns, with '9999'; write .jsonl, which needs none"
        )
    assert column(source(tmp_path / "f", wide), "t") == ["x"]


def test_lines_are_counted_a_second_way(tmp_path):
    """Should a line be lost between two blocks, that is said."""

    class Block(bytes):
        def count(self, end):
            return super().count(end) + bool(self)

    class File:
        def __init__(self):
            self.blocks = [Block(b'{"t": "a"}\n{"t": "b"}\n'), b""]

        def read(self, _size):
            return self.blocks.pop(0)

    with pytest.raises(UserError, match=r"^f: 2 rows were read, but it has 3 lines; please report this$"):
        list(jsonl._lines(source(tmp_path / "f", b""), File(), "utf-8"))
