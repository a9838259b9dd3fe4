"""The fuzzing itself: each rule notices what breaks it; and a share of its cases. `make stress` runs 20,000."""

import os
import sys
import time

import pyarrow as pa
import pytest

from tests.fuzz.cases import KINDS, Case, make_case, models
from tests.fuzz.oracle import MalformedError, input_records
from tests.fuzz.pool import run_cases
from tests.fuzz.report import describe, table
from tests.fuzz.rules import Limits

CSV = b"text,label\na good film,pos\nbad,neg\nboring,neg\n"
LIMITS = Limits(seconds=3, bytes=400_000_000)


def predict(number, data=CSV, **more):
    files = {**models()[0], "in.csv": data}
    command = ["flaxtext", "predict", "-m", "model", "-i", "in.csv", "-o", "out.jsonl"]
    return Case(number, "predict csv", files, command, tables=("in.csv", "out.jsonl"), **more)


def break_the_reader():
    """Make the reader of CSV do harm where the first text says which: what `test_each_rule_...` plants in a worker."""
    from flaxtext.core.errors import UserError
    from flaxtext.io import reading

    read = reading.READERS["csv"]

    def broken(table, columns, keep):
        for numbers, strings, rows in read(table, columns, keep):
            harm = strings[0][0].as_py()
            if harm == "raise":
                raise KeyError(harm)
            if harm == "abort":
                os.abort()
            if harm == "hang":
                time.sleep(60)
            if harm == "eat":
                bytearray(500_000_000)
            if harm == "two lines":
                raise UserError("one", "two")
            if harm == "unprintable":
                print("note: \x1b[31m", file=sys.stderr)
            if harm == "leave":
                table.path.with_name("left").write_text("")
                raise UserError("left a file")
            if harm == "quit":
                raise SystemExit(3)
            if harm == "change":
                strings[0] = pa.array(["x"] * len(strings[0]))
                rows = pa.record_batch([strings[0], rows["label"]], names=["text", "label"])
            if harm == "drop":
                numbers, strings, rows = numbers[1:], [own[1:] for own in strings], rows[1:]
            yield numbers, strings, rows

    reading.READERS["csv"] = broken


HARM = {
    "raise": ("traceback", "KeyError: 'raise'"),
    "abort": ("abort", "exit code -6"),
    "hang": ("hang", "in broken"),  # where the worker stood
    "eat": ("memory", " MB"),
    "two lines": ("message", "two"),
    "unprintable": ("message", "not printable"),
    "leave": ("left behind", "left"),
    "quit": ("status", "3"),
    "change": ("wrong answer", "record 1: text is 'x', and right was 'change'"),
    "drop": ("wrong answer", "2 rows, and right were 3"),
    "no harm": ("right", "out.jsonl: 3 rows"),
}


def test_each_rule_notices_what_breaks_it():
    cases = [predict(number, CSV.replace(b"a good film", harm.encode())) for number, harm in enumerate(HARM)]
    found = {list(HARM)[case.number]: verdict for case, verdict in run_cases(cases, 2, LIMITS, break_the_reader)}
    assert {harm: verdict.outcome for harm, verdict in found.items()} == {
        harm: rule for harm, (rule, _) in HARM.items()
    }
    for harm, (_, said) in HARM.items():
        assert said in found[harm].said, harm


def test_a_valid_file_that_is_refused_is_a_failure():
    cases = [predict(0, b"text,label\n"), predict(1, b"text,label\n", valid=True)]
    found = {case.number: verdict for case, verdict in run_cases(cases, 1)}
    assert found[0].outcome == "refused"
    assert found[0].said.startswith("error: in.csv: no rows")
    assert found[1].outcome == "valid refused"


def test_a_case_follows_from_its_number():
    assert make_case(17) == make_case(17)
    assert len({make_case(number).kind for number in range(300)}) == len(KINDS)


@pytest.mark.parametrize(
    ("kind", "data", "right"),
    [
        ("csv", b'text,a\r\n"x ""y""\n",1\r\n\r\n', [[{"text": 'x "y"\n', "a": "1"}, {"text": "", "a": ""}]]),
        ("csv", b'a;text\n1;"x"\n', [[{"a": "1", "text": "x"}]]),
        ("csv", "text,a\né,1\n".encode("utf-16"), [[{"text": "é", "a": "1"}]]),
        ("csv", b'text,a\n"x" y,1\n', None),
        ("csv", b'text,a\n"x,1\n', None),
        ("csv", b"text,a\nx,1,2\n", None),
        ("csv", b"text,a\n\xff,1\n", None),
        ("tsv", b'text\ta\n"x\t1\ny\t"2\n', [[{"text": '"x', "a": "1"}, {"text": "y", "a": '"2'}]]),
        ("jsonl", b'{"text": 1}\n \n{"text": null}', [[{"text": 1}, {"text": None}]]),
        ("jsonl", b'{"text": 1', None),
        ("jsonl", b"[1]", None),
    ],
)
def test_what_is_right_is_known_without_the_project(tmp_path, kind, data, right):
    (tmp_path / "f").write_bytes(data)
    if right is None:
        with pytest.raises(MalformedError):
            input_records(tmp_path / "f", kind)
    else:
        assert input_records(tmp_path / "f", kind) == right


def check(numbers):
    results = list(run_cases(map(make_case, numbers)))
    failed = [describe(case, verdict) for case, verdict in results if verdict.failed]
    assert not failed, "\n".join(failed)
    assert len(results) == len(numbers)
    assert f"| all | {len(numbers):,} |" in table((case.kind, verdict) for case, verdict in results)


def test_a_handful_of_cases():
    check(range(1_000_000, 1_000_040))


@pytest.mark.slow
def test_some_hundred_cases():
    check(range(2_000_000, 2_000_500))
