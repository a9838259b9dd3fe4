"""`flaxtext predict` on tables: standard input and output, links, devices, options, and how it ends."""

import csv
import gzip
import io
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import PROJECT
from tiny_models import untrained

from flaxtext.artifacts.bundle import write_bundle
from flaxtext.cli import rows

ROWS = [{"text": "meow purr", "n": "1"}, {"text": "", "n": "2"}, {"text": "bark", "n": "3"}]
CSV = b"text,n\nmeow purr,1\n,2\nbark,3\n"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "tiny"
    write_bundle(folder, untrained(["meow purr", "bark bone", "tweet nest"], pooling="mean", embed_dim=4))
    return str(folder)


@pytest.mark.parametrize("block", [1, 700, 2**22])
def test_of_many_classes_the_most_probable_are_written(block, monkeypatch):
    monkeypatch.setattr(rows, "BLOCK_PROBABILITIES", block)
    classes = [f"c{number}" for number in range(300)]
    many = untrained(["meow purr", "bark bone"], classes=classes, flax=False, pooling="mean", embed_dim=4)
    texts = ["meow", "", "purr bone", "bark bark meow", "zzz"]
    found = rows.predict_columns(many, pa.array(texts), "numpy", top_k=3, prefix="my_")
    names = [f"my_{kind}{end}" for end in ("", "_2", "_3") for kind in ("predicted", "probability")]
    assert list(found) == names
    probability = many.predict_proba(texts)
    for row in (0, 2, 3, 4):
        best = np.argsort(-probability[row], kind="stable")[:3]
        assert [found[f"my_predicted{end}"][row].as_py() for end in ("", "_2", "_3")] == [classes[i] for i in best]
        shown = [found[f"my_probability{end}"][row].as_py() for end in ("", "_2", "_3")]
        np.testing.assert_allclose(shown, probability[row, best], rtol=1e-5)
    assert {column[1].as_py() for column in found.values()} == {None}


@pytest.fixture
def in_csv(tmp_path):
    path = tmp_path / "in.csv"
    path.write_bytes(CSV)
    return path


def shell(*arguments, **options):
    """Run the command as a process of its own."""
    command = [sys.executable, "-m", "flaxtext", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), **options.pop("env", {})}
    options = {"capture_output": True, **options}
    return subprocess.run(command, env=environment, timeout=120, **options)


def encoded(form):
    """The rows of `ROWS` in a format."""
    if form == "parquet":
        sink = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(ROWS), sink)
        return sink.getvalue()
    if form == "jsonl":
        return "".join(json.dumps(row) + "\n" for row in ROWS).encode()
    return CSV if form == "csv" else CSV.replace(b",", b"\t")


def decoded(data, form):
    """The rows of a table in a format, without what was predicted but its names."""
    if form == "parquet":
        rows = pq.read_table(io.BytesIO(data)).to_pylist()
    elif form == "jsonl":
        rows = [json.loads(line) for line in data.splitlines()]
    else:
        rows = list(csv.DictReader(io.StringIO(data.decode()), delimiter="," if form == "csv" else "\t"))
    assert [bool(row["predicted"]) for row in rows] == [True, False, True]
    return [{name: row[name] for name in ("text", "n")} for row in rows]


@pytest.mark.parametrize("form", ["csv", "tsv", "jsonl", "parquet"])
def test_standard_input_to_standard_output(model, form):
    ran = shell("predict", "-m", model, "-i", "-", "-o", "-", "--format", form, input=encoded(form))
    assert ran.returncode == 0
    assert decoded(ran.stdout, form) == ROWS
    assert ran.stderr.decode().startswith("standard output: 3 rows in ")  # and nothing of it in the table


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_standard_input_is_of_the_format_given_and_output_of_its_own(flaxtext, model, tmp_path, form):
    for name in ("out.csv", "out.parquet"):
        arguments = ["-i", "-", "-o", tmp_path / name, "--format", form]
        assert flaxtext("predict", "-m", model, *arguments, stdin=encoded(form))[0] == 0
        assert decoded((tmp_path / name).read_bytes(), name[4:]) == ROWS


def test_standard_input_may_be_compressed_or_a_file(flaxtext, model, in_csv):
    arguments = ["predict", "-m", model, "-i", "-", "-o", "-", "--format", "csv"]
    status, out, _ = flaxtext(*arguments, stdin=gzip.compress(CSV))
    assert (status, decoded(out.encode(), "csv")) == (0, ROWS)
    with in_csv.open("rb") as file:
        assert shell(*arguments, stdin=file).stdout.decode() == out
    assert shell(*arguments[:3], "-i", "/dev/stdin", "-o", "/dev/stdout", *arguments[-2:], input=CSV).stdout == (
        out.encode()
    )


def test_one_format_for_what_has_no_known_ending(flaxtext, model, tmp_path, in_csv):
    (tmp_path / "data.txt").write_bytes(CSV.replace(b",", b"\t"))
    predict = ["predict", "-m", model]
    assert flaxtext(*predict, "-i", tmp_path / "data.txt", "-o", tmp_path / "o.csv", "--format", "tsv")[0] == 0
    assert decoded((tmp_path / "o.csv").read_bytes(), "csv") == ROWS
    assert decoded(flaxtext(*predict, "-i", in_csv, "-o", "-", "--format", "jsonl")[1].encode(), "jsonl") == ROWS
    assert decoded(flaxtext(*predict, "-i", in_csv, "-o", "-")[1].encode(), "csv") == ROWS


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-i", "-", "-o", "o.csv"], "standard input: say with --format which it is"),
        (
            ["-i", "in.txt", "-o", "o.csv"],
            "in.txt: unknown ending; .csv, .tsv, .jsonl (.gz too) or .parquet are known;",
        ),
        (["-i", "in.csv", "-o", "o.txt"], "--format says which it is"),
        (["-i", "in.jsonl", "-o", "o.csv", "--delimiter", ";"], "--delimiter"),
        (["-i", "in.parquet", "-o", "o.csv", "--encoding", "cp1252"], "--encoding"),
        (["-i", "in.jsonl", "-o", "o.csv", "--quoting", "none"], "--quoting"),
        (["-i", "in.csv", "-o", "o.csv", "--format", "xlsx"], "--format"),
        (["-i", "in.csv", "-o", "o.csv", "--no-header", "--text", "1", "--keep", "n"], "--keep"),
        (["text", "--skip-empty"], "goes with --input and --output"),
        (["text", "--keep", "n"], "goes with --input and --output"),
    ],
)
def test_options_that_do_not_fit_end_with_2(flaxtext, model, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    for name in ("in.csv", "in.txt", "in.jsonl", "in.parquet"):
        (tmp_path / name).write_bytes(CSV)
    status, _, err = flaxtext("predict", "-m", model, *arguments)
    assert status == 2
    assert message in err
    assert not list(tmp_path.glob("o.*"))


def test_rows_without_text_may_be_left_out(flaxtext, model, tmp_path, in_csv):
    for name in ("o.csv", "o.jsonl", "o.parquet"):
        status, _, err = flaxtext("predict", "-m", model, "-i", in_csv, "-o", tmp_path / name, "--skip-empty")
        assert status == 0
        assert f"{name}: 2 rows in " in err
        assert err.endswith("note: 1 rows have no text and were left out; the first is row 3\n")
    assert [row["n"] for row in pq.read_table(tmp_path / "o.parquet").to_pylist()] == ["1", "3"]
    assert [json.loads(line)["n"] for line in (tmp_path / "o.jsonl").read_text().splitlines()] == ["1", "3"]
    in_csv.write_bytes(b"text,n\n,1\n")
    assert flaxtext("predict", "-m", model, "-i", in_csv, "-o", tmp_path / "o.csv", "--skip-empty")[0] == 0
    assert (tmp_path / "o.csv").read_text().replace('"', "") == "text,n,predicted,probability\n"


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_columns_to_keep(flaxtext, model, tmp_path, form, ending):
    (tmp_path / f"in.{form}").write_bytes(encoded(form))
    arguments = ["predict", "-m", model, "-i", tmp_path / f"in.{form}", "-o", tmp_path / f"o.{ending}"]
    assert flaxtext(*arguments, "--keep", "n")[0] == 0
    data = (tmp_path / f"o.{ending}").read_bytes()
    if ending == "parquet":
        assert pq.read_table(io.BytesIO(data)).schema.names == ["n", "predicted", "probability"]
    else:
        first = data.decode().splitlines()[0]
        assert (list(json.loads(first)) if ending == "jsonl" else first.replace('"', "").split(",")) == [
            "n",
            "predicted",
            "probability",
        ]
    status, _, err = flaxtext(*arguments, "--keep", "m")
    assert (status, err) == (1, f"error: {tmp_path}/in.{form}: no column 'm'; there are text, n\n")


def test_columns_to_keep_go_by_number_without_a_header(flaxtext, model, in_csv):
    in_csv.write_bytes(b"meow,1,a\nbark,2,b\n")
    arguments = ["--no-header", "--text", 1, "--keep", 3, "--keep", 2]
    status, out, _ = flaxtext("predict", "-m", model, "-i", in_csv, "-o", "-", *arguments)
    assert (status, [row[:2] for row in csv.reader(io.StringIO(out))]) == (0, [["a", "1"], ["b", "2"]])


def test_json_lines_keep_the_spelling_of_what_is_kept(flaxtext, model, tmp_path):
    (tmp_path / "in.jsonl").write_text('{"n": 1e400, "text": "meow", "m": {"a": 2.50}}\n{"text": "bark"}\n')
    arguments = ["-i", tmp_path / "in.jsonl", "-o", "-", "--keep", "m", "--keep", "n"]
    first, second = flaxtext("predict", "-m", model, *arguments)[1].splitlines()
    assert first.startswith('{"m": {"a": 2.50}, "n": 1e400, "predicted": ')
    assert list(json.loads(second)) == ["predicted", "probability"]


@pytest.mark.parametrize("there", [False, True])
def test_output_through_a_link_goes_where_it_leads(flaxtext, model, tmp_path, in_csv, there):
    (tmp_path / "real").mkdir()
    if there:
        (tmp_path / "real" / "out.csv").write_text("older")
    (tmp_path / "link.csv").symlink_to("real/out.csv")
    status, _, err = flaxtext("predict", "-m", model, "-i", in_csv, "-o", tmp_path / "link.csv")
    assert status == 0
    assert err.startswith(f"{tmp_path}/link.csv: 3 rows")
    assert (tmp_path / "link.csv").is_symlink()
    assert decoded((tmp_path / "real" / "out.csv").read_bytes(), "csv") == ROWS
    assert [path.name for path in (tmp_path / "real").iterdir()] == ["out.csv"]


def test_the_input_is_not_written_over(flaxtext, model, tmp_path, in_csv, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link.csv").symlink_to("in.csv")
    (tmp_path / "hard.csv").hardlink_to(in_csv)
    names = ["in.csv", "./in.csv", tmp_path / "in.csv", "link.csv", "hard.csv"]
    for source, target in [("in.csv", name) for name in names] + [("link.csv", "in.csv")]:
        status, out, err = flaxtext("predict", "-m", model, "-i", source, "-o", target)
        assert (status, out, err) == (
            1,
            "",
            f"error: {Path(target)}: the input itself; write to another file, then rename it\n",
        )
    with in_csv.open("rb") as read:
        arguments = ["-i", "-", "-o", in_csv, "--format", "csv"]
        assert b"the input itself" in shell("predict", "-m", model, *arguments, stdin=read).stderr
    with in_csv.open("ab") as appended:
        ran = shell("predict", "-m", model, "-i", in_csv, "-o", "-", capture_output=False, stdout=appended, stderr=-1)
        assert b"standard output: the input itself" in ran.stderr
    assert in_csv.read_bytes() == CSV


def test_devices_and_pipes_are_outputs(flaxtext, model, tmp_path, in_csv):
    assert flaxtext("predict", "-m", model, "-i", in_csv, "-o", "/dev/null")[0] == 0
    for form in ("csv", "parquet"):
        status, _, err = flaxtext("predict", "-m", model, "-i", in_csv, "-o", "/dev/full", "--format", form)
        assert (status, err) == (1, "error: /dev/full: no space left on device\n")
        pipe = tmp_path / f"pipe.{form}"
        os.mkfifo(pipe)
        read = []
        reader = threading.Thread(target=lambda pipe=pipe, read=read: read.append(pipe.read_bytes()))
        reader.start()
        assert flaxtext("predict", "-m", model, "-i", in_csv, "-o", pipe)[0] == 0
        reader.join()
        assert decoded(read[0], form) == ROWS


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_a_named_pipe_is_an_input(flaxtext, model, tmp_path, form):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=[encoded(form)])
    writer.start()
    status, _, err = flaxtext("predict", "-m", model, "-i", pipe, "-o", tmp_path / "o.jsonl", "--format", form)
    writer.join()
    assert (status, err[:20]) == (0, f"{tmp_path}/o.jsonl"[:20])
    assert decoded((tmp_path / "o.jsonl").read_bytes(), "jsonl") == ROWS


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("in.csv/o.csv", "in.csv/o.csv: not a directory"),
        ("/proc/o.csv", "/proc/o.csv: no such file or directory"),
        ("a/" * 20 + "x" * 251 + ".csv", "file name too long"),
    ],
)
def test_what_cannot_be_written_is_named_as_the_user_did(flaxtext, model, in_csv, monkeypatch, path, message):
    monkeypatch.chdir(in_csv.parent)
    status, out, err = flaxtext("predict", "-m", model, "-i", "in.csv", "-o", path)
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert message in err
    assert path in err


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "jsonl", "parquet"])
def test_a_full_disk_names_the_output(model, tmp_path, ending):
    (tmp_path / "in.csv").write_bytes(b"text\n" + b"".join(b"meow %d\n" % n for n in range(20_000)))
    limited = ["sh", "-c", 'ulimit -f 8; exec "$@"', "sh"]  # 4 or 8 kilobytes, by the shell
    command = [
        *limited,
        sys.executable,
        "-m",
        "flaxtext",
        "predict",
        "-m",
        model,
        "-i",
        "in.csv",
        "-o",
        f"out.{ending}",
    ]
    ran = subprocess.run(command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(PROJECT)}, capture_output=True)
    assert (ran.returncode, ran.stderr.decode()) == (1, f"error: out.{ending}: file too large\n")
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


def test_full_standard_output_is_one_line(model, in_csv):
    commands = [["predict", "-m", model, "meow"], ["predict", "-m", model, "-i", in_csv, "-o", "-"], ["--help"]]
    for command in commands:
        with Path("/dev/full").open("w") as full:
            ran = shell(*command, capture_output=False, stdout=full, stderr=subprocess.PIPE)
        assert (ran.returncode, ran.stderr) == (1, b"error: standard output: no space left on device\n")


def test_output_that_is_no_longer_read_ends_in_silence(model, tmp_path):
    (tmp_path / "in.csv").write_bytes(b"text\n" + b"meow purr\n" * 200_000)
    for command in (
        ["predict", "-m", model, "-i", tmp_path / "in.csv", "-o", "-"],
        ["predict", "-m", model, "-i", tmp_path / "in.csv", "-o", "-", "--format", "parquet"],
        ["inspect", "-m", model],
        ["predict", "--help"],
    ):
        words = [sys.executable, "-m", "flaxtext", *map(str, command)]
        pipe = subprocess.PIPE
        with subprocess.Popen(words, cwd=PROJECT, stdout=pipe, stderr=pipe) as process:
            process.stdout.close()
            assert process.stderr.read() == b""
        assert process.returncode == 0


def test_a_terminal_of_ascii_gets_replacements_and_json_escapes(model):
    ascii_alone = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0"}
    ran = shell("predict", "-m", model, "café", env=ascii_alone)
    assert (ran.returncode, ran.stderr) == (0, b"")
    assert ran.stdout.endswith(b"  caf?\n")
    ran = shell("predict", "--json", "-m", model, "café 🦊", env=ascii_alone)
    assert json.loads(ran.stdout.decode("ascii"))["text"] == "café 🦊"
    ran = shell("explain", "-m", model, "meow café", env=ascii_alone)
    assert ran.returncode == 0
    ran = shell("predict", "-m", model, b"caf\xe9".decode("utf-8", "surrogateescape"))
    assert (ran.returncode, ran.stderr) == (1, b"error: 'caf\\udce9': not UTF-8\n")


@pytest.mark.parametrize(
    ("data", "status", "said"),
    [
        (b"meow\x00purr\nbark", 0, ["meow\x00purr", "bark"]),
        (b"\xef\xbb\xbfmeow\n", 0, ["meow"]),
        (b"\n" * 40_000, 0, [""] * 40_000),
        (b"a" * (33 << 20), 1, "error: standard input: line 1: longer than 33,554,432 bytes; is it text?\n"),
        (
            "meow\n".encode("utf-16"),
            1,
            "error: standard input: UTF-16, not UTF-8; convert it: iconv -f UTF-16 -t UTF-8\n",
        ),
        (b"\xff\xff\n", 1, "error: standard input: line 1: not UTF-8\n"),
        (b"ok\n" * 20_000 + b"\xe9\n", 1, "error: standard input: line 20001: not UTF-8\n"),
    ],
    ids=["NUL", "mark", "blank", "long", "UTF-16", "not text", "late"],
)
def test_lines_of_any_bytes(flaxtext, model, data, status, said):
    ended, out, err = flaxtext("predict", "--json", "-m", model, stdin=data)
    assert ended == status
    assert (err if status else [json.loads(line)["text"] for line in out.splitlines()]) == said


def test_a_page_and_params_are_written_through_links(flaxtext, model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "page.html").symlink_to("real.html")
    assert flaxtext("explain", "-m", model, "meow", "--html", "page.html")[0] == 0
    assert (tmp_path / "page.html").is_symlink()
    assert (tmp_path / "real.html").read_text().startswith("<!")
    (tmp_path / "own.yaml").write_bytes((PROJECT / "params.yaml").read_bytes())
    (tmp_path / "params.yaml").symlink_to("own.yaml")
    assert flaxtext("set", "train.epochs=3")[0] == 0
    assert (tmp_path / "params.yaml").is_symlink()
    assert "epochs: 3" in (tmp_path / "own.yaml").read_text()


SIGNALS = {signal.SIGINT: b"interrupted", signal.SIGTERM: b"terminated", signal.SIGHUP: b"hung up"}


def kill_at_random(model, folder, times, seed):
    """Kill a prediction at random moments: the statuses that it ended with."""
    chance = random.Random(seed)  # noqa: S311, no secret
    form = chance.choice(["csv", "jsonl", "parquet"])
    rows = pa.table({"text": [f"meow {n} purr bark" for n in range(100_000)]})
    pq.write_table(rows, folder / "in.parquet")
    command = [sys.executable, "-m", "flaxtext", "predict", "-m", model, "-i", "in.parquet", "-o", f"out.{form}"]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    started = time.monotonic()
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    longest = time.monotonic() - started
    statuses = []
    for _ in range(times):
        (folder / f"out.{form}").unlink(missing_ok=True)
        number = chance.choice(list(SIGNALS))
        with subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE) as process:
            time.sleep(chance.uniform(0.2, longest))
            process.send_signal(number)
            _, err = process.communicate(timeout=60)
        left = sorted(path.name for path in folder.iterdir())
        statuses.append(process.returncode)
        if process.returncode:  # or it was done before the signal came, or Python had yet to start
            assert process.returncode in (128 + number, -number), err
            assert err in (SIGNALS[number] + b": nothing half-written was kept\n", b""), err
            # The file may be in its place, whole, as the process that wrote it ends.
            assert [name for name in left if name != f"out.{form}"] == ["in.parquet"]
    return statuses


def test_a_prediction_killed_at_any_moment_leaves_nothing(model, tmp_path):
    kill_at_random(model, tmp_path, 4, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 5))
def test_many_predictions_killed_at_any_moment_leave_nothing(model, tmp_path, seed):
    statuses = kill_at_random(model, tmp_path, 20, seed)
    assert sum(status != 0 for status in statuses) >= 5


def test_a_prediction_that_waits_for_a_pipe_ends_on_a_signal(model, tmp_path):
    command = [sys.executable, "-m", "flaxtext", "predict", "-m", model, "-i", "-", "-o", tmp_path / "o.csv"]
    pipe = subprocess.PIPE
    with subprocess.Popen([*command, "--format", "csv"], cwd=PROJECT, stdin=pipe, stderr=pipe) as process:
        process.stdin.write(b"text\nmeow\n")
        process.stdin.flush()
        while not list(tmp_path.iterdir()):
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        assert process.stderr.read() == b"terminated: nothing half-written was kept\n"
        assert process.wait(timeout=10) == 143
    assert list(tmp_path.iterdir()) == []
