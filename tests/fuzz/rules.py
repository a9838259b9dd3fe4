"""The rules that every case has to keep, whatever its files hold.

No traceback, no abort, no hang, no more memory than the limit; then either status 0 and a right answer, or status 1 and
one printable line, `error: ...`, with no file left behind.
"""

import json
import math
import re
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from flaxtext.io.table import format_of
from tests.fuzz.cases import Case
from tests.fuzz.oracle import MOST, MalformedError, Record, input_records, output_records, parquet_rows, parquet_table

CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""What does not belong on a terminal's line."""
DOUBTS = (
    "lines in quotes look like rows",
    "quotes are text here; set quoting: csv",
    "a field in quotes, the first one",
)
"""Why a valid table with quotes may be refused: stray quotes would look the same, as far as it was read."""
LONGEST = 1000
"""Characters of a line that is still read."""


@dataclass(frozen=True)
class Limits:
    """The most that a case may take; the worker's whole memory counts."""

    seconds: float = 10
    bytes: int = 10**9


@dataclass(frozen=True)
class Run:
    """What a command did: its status, its output, the traceback if it raised, how long it took and its memory."""

    status: int
    stdout: bytes
    stderr: bytes
    raised: str
    seconds: float
    peak: int


@dataclass(frozen=True)
class Verdict:
    """Of a case: `outcome` is right, refused, long or the rule that it broke; `said` is why, or how it ended."""

    outcome: str
    said: str
    seconds: float
    peak: int

    @property
    def failed(self) -> bool:
        """Whether a rule was broken."""
        return self.outcome not in ("right", "refused", "long")


class BrokenRuleError(Exception):
    """A rule was broken: its name, and how."""


def judge(case: Case, run: Run, folder: Path, temporary: Path, limits: Limits) -> Verdict:
    """Judge a run of a case, which worked in `folder`."""
    stderr = run.stderr.decode("utf-8", "replace")
    lines = stderr.split("\n")
    try:
        if run.raised or "Traceback (most" in stderr or "Exception ignored" in stderr:
            raise BrokenRuleError("traceback", run.raised or stderr)
        if run.seconds > limits.seconds and not case.long:
            raise BrokenRuleError("hang", f"{run.seconds:.1f} s\n{stderr}")
        if run.peak > limits.bytes:
            raise BrokenRuleError("memory", f"{run.peak / 1e6:,.0f} MB\n{stderr}")
        if any(CONTROL.search(line) for line in lines):
            raise BrokenRuleError("message", f"not printable: {stderr!r}")
        if any(len(line) > LONGEST for line in lines):
            raise BrokenRuleError("message", f"{max(map(len, lines)):,} characters in a line: {stderr[:LONGEST]}")
        changed = [name for name, data in case.files.items() if (folder / name).read_bytes() != data]
        if changed and (run.status or case.command[:2] != ["flaxtext", "set"]):
            raise BrokenRuleError("left behind", f"changed: {', '.join(changed)}")
        if any(temporary.iterdir()):
            raise BrokenRuleError("left behind", f"temporary: {', '.join(path.name for path in temporary.iterdir())}")
        if run.status == 0:
            if any(line.startswith("error: ") for line in lines):
                raise BrokenRuleError("message", stderr)
            _check_answer(case, run, folder)
        elif run.status == 1:
            _check_refusal(case, run, folder, lines)
        else:
            raise BrokenRuleError("status", f"{run.status}\n{stderr}")
    except BrokenRuleError as broken:
        return Verdict(*broken.args, run.seconds, run.peak)
    except Exception:  # noqa: BLE001 - an output that cannot be read, or a fault of these rules
        return Verdict("wrong answer", f"cannot be judged\n{traceback.format_exc()}", run.seconds, run.peak)
    return Verdict("refused" if run.status else "right", stderr.strip()[-400:], run.seconds, run.peak)


def _check_refusal(case: Case, run: Run, folder: Path, lines: list[str]) -> None:
    stderr = "\n".join(lines)
    if case.valid and not any(doubt in stderr for doubt in DOUBTS):
        raise BrokenRuleError("valid refused", stderr)
    while lines and lines[0].startswith(("warning: ", "note: ")):
        lines = lines[1:]
    error, *others, end = lines if len(lines) > 1 else ["", *lines]
    a_line_each = all(line.startswith(tuple(case.files)) for line in others)  # for each key, or each file
    if not error.startswith("error: ") or end or (others and not a_line_each):
        raise BrokenRuleError("message", f"expected one line, error: ...\n{stderr}")
    left = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    if left != sorted(case.files):
        raise BrokenRuleError("left behind", f"{set(left) - set(case.files)}\n{stderr}")
    if (
        run.stdout and "-o" not in case.command and case.kind != "predict texts"
    ):  # which answers the texts before the bad one
        raise BrokenRuleError("message", f"output beside an error: {run.stdout[:200]!r}")


# Right answers


def _check_answer(case: Case, run: Run, folder: Path) -> None:
    command = case.command
    check: Callable[[Case, Run, Path], None]
    if command[0] == "download":
        check = _check_corpus
    elif command[0] == "read_params":
        return
    elif command[1] == "set":
        check = _check_set
    elif command[1] == "predict":
        check = _check_table if "-o" in command else _check_lines
    else:
        check = _check_output
    check(case, run, folder)


def _expect(right: object, said: str) -> None:
    if not right:
        raise BrokenRuleError("wrong answer", said)


def _check_output(case: Case, run: Run, _: Path) -> None:
    """Check what is for people to be printable, and what is for programs to be JSON."""
    for line in run.stdout.decode().split("\n"):
        if "--json" not in case.command:
            _expect(not CONTROL.search(line), f"not printable: {line!r}")
        elif line:
            json.loads(line)


def _check_lines(case: Case, run: Run, folder: Path) -> None:
    """Check the answers to texts: one line for each."""
    _check_output(case, run, folder)
    lines = run.stdout.decode().split("\n")[:-1]
    if case.stdin or not any(word not in OPTIONS for word in case.command[2:]):
        texts = case.stdin.count(b"\n") + (not case.stdin.endswith(b"\n") and bool(case.stdin))
        _expect(len(lines) == texts, f"{len(lines)} lines for {texts} texts")
    if "--json" in case.command:
        classes = json.loads(case.files["model/config.json"])["classes"]
        for line in lines:
            record = json.loads(line)
            _check_prediction(record["predicted"], record["probability"], classes)


OPTIONS = {"-m", "model", "--json", "--"}


def _check_prediction(predicted: Any, probability: Any, classes: list[str]) -> None:
    if predicted is None or predicted == "":
        _expect(probability is None or probability == "", f"a probability, {probability}, of no class")
        return
    _expect(predicted in classes, f"{predicted!r} is no class")
    _expect(math.isfinite(float(probability)) and 0 <= float(probability) <= 1, f"probability {probability}")


def _check_set(case: Case, _: Run, folder: Path) -> None:
    """Check that what was set is what a reader of YAML finds there."""
    from flaxtext.config.params import read_params

    params = read_params(folder / "params.yaml")
    if case.command[-1] == "data.verify=false":
        _expect(params.data.verify is False, f"verify is {params.data.verify}")


def _check_table(case: Case, run: Run, folder: Path) -> None:
    """Check a table with predictions: the rows of the input, as many and in order, each with its own columns."""
    source, target = (folder / name for name in case.tables)
    if not target.exists():
        target.write_bytes(run.stdout)
    kind, to = str(format_of(source.name)), str(format_of(target.name))
    if to == "parquet":
        pq.ParquetFile(target).close()
    if target.stat().st_size > MOST or case.kind == "bomb":
        return
    found = output_records(target, to, delimiter="," if to == "csv" else "\t")
    prefix = "my_" if "--prefix" in case.command else ""
    skips = "--skip-empty" in case.command
    classes = json.loads(case.files["model/config.json"])["classes"]
    for record in found:
        _check_prediction(record[f"{prefix}predicted"], record[f"{prefix}probability"], classes)
    if case.texts is not None:
        _expect([_plain(record["text"], text) for record, text in zip(found, case.texts, strict=False)] == case.texts
                and len(found) == len(case.texts), "other texts than were written")  # fmt: skip
    if kind == "parquet":
        rows = parquet_rows(source)
        _expect(len(found) == rows or (skips and len(found) < rows), f"{len(found)} rows of {rows}")
        if to == "parquet" and case.texts is not None:
            own = parquet_table(source)
            back = parquet_table(target).select(range(len(own.schema)))
            _expect(_same_tables(back, own), f"other columns than those of the input: {back.schema} for {own.schema}")
        return
    ways = _ways(source, kind, **_reading(case.command))
    if ways is not None:
        if skips:
            ways = [[record for record in way if not _is_empty(record["text"])] for way in ways]
        differences = [_difference(found, way, prefix, kind == to == "jsonl") for way in ways]
        _expect("" in differences, "; or ".join(differences))


def _reading(command: list[str]) -> dict[str, str]:
    """Return the options of `input_records` that a command names."""
    names = ("delimiter", "encoding", "quoting")
    given = {name: command[command.index(f"--{name}") + 1] for name in names if f"--{name}" in command}
    return {name: "\t" if value == "tab" else value for name, value in given.items()}


def _same_tables(one: Any, other: Any) -> bool:
    return one.schema.names == other.schema.names and all(
        repr(ours.to_pylist()) == repr(theirs.to_pylist())
        if _has_python_values(ours)
        else ours.equals(theirs.cast(ours.type))
        for ours, theirs in zip(one.columns, other.columns, strict=True)
    )


def _has_python_values(column: Any) -> bool:
    try:
        column.to_pylist()
    except (ValueError, OverflowError):
        return False
    return True


def _ways(source: Path, kind: str, **options: str) -> list[list[Record]] | None:
    try:
        return input_records(source, kind, **options)
    except MalformedError as malformed:
        raise BrokenRuleError("wrong answer", f"was read, and cannot be: {malformed}") from None


def _difference(found: list[Record], right: list[Record], prefix: str, exact: bool) -> str:
    """Say where rows lack a column of the input: one of strings, or any if `exact`; nothing if they have all."""
    if len(found) != len(right):
        return f"{len(found)} rows, and right were {len(right)}"
    for number, (ours, theirs) in enumerate(zip(found, right, strict=True), 1):
        ours = {**{name.removeprefix("'"): value for name, value in ours.items()}, **ours}  # names are cells, too
        for name, value in theirs.items():
            same = repr(ours.get(name)) == repr(value) if exact else _plain(ours.get(name), value) == value
            if not same and (exact or isinstance(value, str)):
                return f"record {number}: {name} is {ours.get(name)!r}, and right was {value!r}"
        added = {f"{prefix}{column}" for column in ("predicted", "probability")}
        if not added <= ours.keys():
            return f"record {number}: has {list(ours)}"
    return ""


def _plain(value: Any, expected: str) -> Any:
    """Take away the apostrophe that makes a formula harmless, and take what is missing for an empty string."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return value[1:] if value == f"'{expected}" else value or ""


def _check_corpus(case: Case, _: Run, folder: Path) -> None:
    """Check the two splits: together, the documents of the files, each with its label."""
    splits = [pq.read_table(folder / f"data/raw/{split}.parquet") for split in ("train", "test")]
    corpus = pa.concat_tables([split.select(["text", "label"]) for split in splits]).to_pydict()
    found = sorted(zip(corpus["text"], corpus["label"], strict=True))
    _expect(found, "no documents")
    if case.kind in ("bomb", "download by params.yaml") or "parquet" in case.kind:
        return
    expected: list[list[tuple[str, str]]] = [[]]
    for path in sorted(folder.glob("in.*")) + sorted(folder.glob("test.*")):
        ways = _ways(path, str(format_of(path.name)), errors="surrogateescape")
        if ways is None:
            return
        expected = [[*before, *_documents(way)] for before in expected for way in ways]
    counts = sorted({len(way) for way in expected})
    _expect(len(found) in counts, f"{len(found)} documents; right would be {counts}")
    texts = [text for text, _ in found]
    _expect(any(texts == sorted(text for text, _ in way) for way in expected), "other texts than those of the files")


def _documents(records: list[Record]) -> list[tuple[str, str]]:
    """Return the pairs of text and label, except for rows with neither."""
    pairs = [(_word(record.get("text")), _word(record.get("label"))) for record in records]
    return [pair for pair in pairs if not all(map(_is_empty, pair))]


def _is_empty(value: Any) -> bool:
    return not _word(value).strip()


def _word(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else json.dumps(value, default=str)
