"""Cases: the files, the command, and what is known of the answer, made from the number of the case alone."""

import functools
import gzip
import hashlib
import io
import json
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from ruamel.yaml import YAML

from tests.fuzz.files import WORDS, File, write_file
from tests.fuzz.mutations import TOKENS, YAML_TOKENS, YAML_VALUES, mutate_bytes, mutate_lines, mutate_tree

PARAMS = Path(__file__).resolve().parents[2] / "params.yaml"
TABLES = ("csv", "tsv", "jsonl", "parquet")
KINDS = {
    **{f"predict {kind}": 10 for kind in TABLES},
    "predict texts": 2,
    **{f"download {kind}": 5 for kind in TABLES},
    "params.yaml": 13,
    "params.yaml by set": 3,
    "download by params.yaml": 4,
    "model": 17.5,
    "bomb": 0.5,
}
"""Kind of case -> its share, in percent."""


@dataclass(frozen=True)
class Case:
    """A run of a command in a folder of its own.

    Attributes:
        number: what all of it follows from.
        kind: one of `KINDS`.
        files: path in the folder -> content.
        command: the words of a command line; its first is `flaxtext`, `download` or `read_params`.
        fuzzed: which of the files was damaged, if one was.
        valid: whether the command has to succeed.
        texts: the texts of the table, where they are known.
        tables: what a prediction reads and writes: names of files, also where they are standard input and output.
        stdin: what comes in by standard input.
        block: bytes that are read at a time, if not as many as usual: few, so that small files have several blocks.
        long: whether there is so much to do that it may go on beyond the limit of time, in bounded memory.
    """

    number: int
    kind: str
    files: dict[str, bytes]
    command: list[str]
    fuzzed: str | None = None
    valid: bool = False
    texts: list[str] | None = None
    tables: tuple[str, str] = ("", "")
    stdin: bytes = b""
    block: int | None = None
    long: bool = False

    def with_fuzzed(self, data: bytes) -> "Case":
        """Return the same case with other content of the file that was damaged."""
        files = self.files | {str(self.fuzzed): data}
        return replace(self, files=seal(files) if str(self.fuzzed).startswith("model/") else files)


def make_case(number: int) -> Case:
    """Make a case, the same for the same number."""
    rng = Random(f"flaxtext {number}")  # noqa: S311
    [kind] = rng.choices(list(KINDS), list(KINDS.values()))
    maker = {
        "predict texts": _predict_texts,
        "params.yaml": _read_params,
        "params.yaml by set": _set,
        "download by params.yaml": _download_by_params,
        "model": _model,
        "bomb": _bomb,
    }
    parts = maker[kind](rng) if kind in maker else _table(rng, *kind.split(" "))
    return Case(number, kind, **parts, block=None if kind == "bomb" else rng.choice((None, None, 50, 300, 2000)))


# Tables


def _table(rng: Random, command: str, kind: str) -> dict[str, Any]:
    file = write_file(rng, kind, 20 if command == "download" else 1)
    damaged = rng.random() < 0.8
    if damaged:
        file = _damaged(rng, file, kind)
    if command == "download":
        test = replace(write_file(rng, kind), name=f"test{_ending(file.name)}") if rng.random() < 0.2 else None
        return {**_download(file, test), "fuzzed": file.name if damaged else None}
    return {
        **_predict(rng, file, kind),
        **({"fuzzed": file.name, "valid": False, "texts": None} if damaged else {}),
    }


def _predict(rng: Random, file: File, kind: str) -> dict[str, Any]:
    """Predict a table into another of any format; now and then through standard input or output, or read by options."""
    to = rng.choice(TABLES)
    output = f"out.{to}" + (".gz" if to != "parquet" and rng.random() < 0.1 else "")
    source, target, options, stdin = file.name, output, _options(rng, kind), b""
    plain = not options
    if rng.random() < 0.1:
        source, stdin = "-", file.data
        options = [*options, "--format", kind]
        if rng.random() < 0.5:
            target, output = "-", f"out.{kind}"
    written = [["--top-k", str(rng.choice((2, 9)))], ["--escape-formulas"], ["--prefix", "my_"]]
    options += [word for words in written if rng.random() < 0.15 for word in words]
    return {
        "files": {**_some_model(rng), file.name: file.data},
        "command": ["flaxtext", "predict", "-m", "model", "-i", source, "-o", target, *options],
        "tables": (file.name, output),
        "stdin": stdin,
        "valid": plain and (not file.mixed or Path(output).suffixes[0] in (".jsonl", f".{kind}")),
        "texts": file.texts if plain else None,
    }


def _damaged(rng: Random, file: File, kind: str) -> File:
    """Damage a table: its bytes or its lines and, where it is compressed, rather what is inside."""
    data, zipped = file.data, file.name.endswith(".gz")
    inside = zipped and rng.random() < 0.7
    if inside:
        data = gzip.decompress(data)
    if kind == "parquet" or (zipped and not inside) or rng.random() < 0.5:
        data = mutate_bytes(rng, data)
    else:
        data = mutate_lines(rng, data)
    if inside:
        data = gzip.compress(data, mtime=0)
    if zipped and rng.random() < 0.05:
        data = gzip.compress(data, mtime=0)
    return replace(file, data=data)


def _options(rng: Random, kind: str) -> list[str]:
    """Choose how a table is to be read: mostly by nothing but its own looks."""
    if rng.random() < 0.85:
        return []
    options = [["--skip-empty"]]
    if kind in ("csv", "tsv"):
        options += [["--quoting", rng.choice(("csv", "none"))], ["--delimiter", rng.choice((",", ";", "tab", "\x01"))]]
    if kind != "parquet":
        options += [["--encoding", rng.choice(("utf-8", "cp1252", "utf-16", "shift-jis", "ascii", "x", "base64"))]]
    return rng.choice(options)


def _ending(name: str) -> str:
    return "".join(Path(name).suffixes)


def _download(train: File, test: File | None) -> dict[str, Any]:
    described: dict[str, Any] = {"train": train.name, "text": "text", "label": "label", "test_fraction": 0.4}
    if test:
        described["test"] = test.name
    params = {"data": {"source": "own"}, "sources": {"own": described}}
    files = {file.name: file.data for file in (train, test) if file}
    return {"files": {**files, "params.yaml": json.dumps(params).encode()}, "command": ["download"]}


def _predict_texts(rng: Random) -> dict[str, Any]:
    words = [*WORDS, *(token.decode("utf-8", "surrogateescape")[:99] for token in TOKENS), "\udcff"]
    command = ["flaxtext", "predict", "-m", "model"] + (["--json"] if rng.random() < 0.3 else [])
    if rng.random() < 0.5:
        texts = [" ".join(rng.choices(words, k=rng.randrange(5))).replace("\0", "") for _ in range(rng.randrange(1, 4))]
        return {"files": _some_model(rng), "command": [*command, "--", *texts]}
    lines = mutate_bytes(rng, write_file(rng, "tsv").data)
    return {"files": _some_model(rng), "command": command, "stdin": lines}


# params.yaml


@functools.cache
def _params() -> tuple[bytes, Any]:
    return PARAMS.read_bytes(), YAML(typ="safe").load(PARAMS.read_text(encoding="utf-8"))


def _dump(tree: Any) -> bytes:
    file = io.BytesIO()
    yaml = YAML(typ="safe")
    yaml.allow_unicode = True
    yaml.dump(tree, file)
    return file.getvalue()


def _mutated_params(rng: Random) -> bytes:
    text, tree = _params()
    if rng.random() < 0.4:
        lines = text.splitlines(keepends=True)
        at = rng.randrange(len(lines))  # damage all over the file, not near its ends alone
        lines[at] = mutate_bytes(rng, lines[at], YAML_TOKENS)
        return b"".join(lines)
    return mutate_bytes(rng, text, YAML_TOKENS) if rng.random() < 0.2 else _dump(mutate_tree(rng, tree, YAML_VALUES))


def _read_params(rng: Random) -> dict[str, Any]:
    valid = rng.random() < 0.02
    data = _params()[0] if valid else _mutated_params(rng)
    return {
        "files": {"params.yaml": data},
        "command": ["read_params"],
        "fuzzed": None if valid else "params.yaml",
        "valid": valid,
    }


def _set(rng: Random) -> dict[str, Any]:
    text, tree = _params()
    if rng.random() < 0.5:
        data, assignments = _mutated_params(rng), ["data.verify=false"]
        return {
            "files": {"params.yaml": data},
            "command": ["flaxtext", "set", "--", *assignments],
            "fuzzed": "params.yaml",
        }
    sections = [name for name, own in tree.items() if own]
    section = rng.choice(sections)
    key = rng.choice(["", ".x", *(f".{name}" for name in tree[section])])
    values = [
        "1",
        "true",
        "x",
        "[a, b]",
        "{a: b}",
        "",
        "*x",
        "[",
        "&x [*x]",
        "\0",
        "null",
        ".nan",
        "9" * 5000,
        "2001-01-01",
    ]
    assignment = f"{section}{key}={rng.choice(values)}" if rng.random() < 0.9 else rng.choice(values)
    return {"files": {"params.yaml": text}, "command": ["flaxtext", "set", "--", assignment]}


SOURCE = {
    "text": ["text", ["text", "label"], ["text", "title"], "meta.x", 1],
    "label": ["label", "title", "own", 2],
    "keep": [["title"], ["id", "date"], ["text"], ["own"]],
    "header": [True, False],
    "delimiter": [None, ",", ";", "\t", "|", " "],
    "encoding": [None, "utf-8", "cp1252", "utf-16"],
    "quoting": [None, "csv", "none"],
    "skip_empty": [True, False],
    "format": [None, *TABLES],
    "classes": [
        None,
        ["a", "b"],
        {"1": "x", "2": "y"},
        {"neg": "x", "pos": "y"},
        {"a": "x", "b": "x", "c": "y", "d": "y"},
    ],
    "test_fraction": [0.1, 0.5, 0.99],
    "md5": [{}, {"train": None}, {"train": "0" * 32}],
}
"""Keys of a source -> values that are right for some files."""


def _download_by_params(rng: Random) -> dict[str, Any]:
    """Download a valid table by a description of it with other values, or values that are damaged."""
    parts = _download(write_file(rng, rng.choice(TABLES), 20), None)
    params = json.loads(parts["files"]["params.yaml"])
    source = params["sources"]["own"]
    for key in rng.sample(list(SOURCE), rng.choice((1, 1, 2, 3))):
        source[key] = rng.choice(SOURCE[key])
    if rng.random() < 0.3:
        key = rng.choice(list(source))
        source[key] = rng.choice(YAML_VALUES) if rng.random() < 0.5 else mutate_tree(rng, source[key], YAML_VALUES)
    elif rng.random() < 0.1:
        params = mutate_tree(rng, params, YAML_VALUES)
    parts["files"]["params.yaml"] = _dump(params)
    return {**parts, "fuzzed": "params.yaml"}


# Models


@functools.cache
def models() -> list[dict[str, bytes]]:
    """Return the files of small models of each kind, by path."""
    from flaxtext.artifacts.bundle import write_bundle
    from tests.tiny_models import untrained

    texts = [" ".join(WORDS), "a good film", "a bad film, 10/10"]
    networks: list[dict[str, Any]] = [
        {"ngrams": 2},
        {"pooling": "padded_mean", "embed_dim": 3, "hidden": 4},
        {"pooling": "flatten", "embed_dim": 2, "hidden": 0, "max_len": 5},
        {"pooling": "mean_max", "embed_dim": 3, "hidden": 0, "prefix": 4, "ngrams": 2},
    ]
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for number, network in enumerate(networks):
            path = Path(folder, str(number))
            write_bundle(path, untrained(texts, flax=False, **network))
            found.append({f"model/{file.name}": file.read_bytes() for file in sorted(path.iterdir())})
    return found


def _some_model(rng: Random) -> dict[str, bytes]:
    return rng.choice(models())


def seal(files: dict[str, bytes]) -> dict[str, bytes]:
    """Make a model's checksums fit its files, as one who means harm would."""
    sums = [
        f"{hashlib.sha256(data).hexdigest()}  {name.removeprefix('model/')}\n"
        for name, data in files.items()
        if name.startswith("model/") and name != "model/SHA256SUMS"
    ]
    return files | {"model/SHA256SUMS": "".join(sums).encode()}


def _model(rng: Random) -> dict[str, Any]:
    files = _some_model(rng)
    fuzzed = rng.choice([name for name in files if name != "model/SHA256SUMS"])
    if rng.random() < 0.95:
        files = seal(files | {fuzzed: _mutated_part(rng, fuzzed, files[fuzzed])})
    else:
        fuzzed = "model/SHA256SUMS"
        files = files | {fuzzed: mutate_bytes(rng, files[fuzzed])}
    command = rng.choice(
        [
            ["flaxtext", "predict", "-m", "model", "--json", "a good film", ""],
            ["flaxtext", "predict", "-m", "model", "--top-k", "2", "a good film"],
            ["flaxtext", "inspect", "-m", "model"],
            ["flaxtext", "inspect", "-m", "model", "--json"],
            ["flaxtext", "inspect", "-m", "model", "--word", "good"],
        ]
    )
    return {"files": files, "command": command, "fuzzed": fuzzed}


def _mutated_part(rng: Random, name: str, data: bytes) -> bytes:
    """Damage a file of a model: its bytes, or what its JSON says."""
    structural = rng.random() < 0.5
    if structural and name.endswith(".json"):
        return json.dumps(mutate_tree(rng, json.loads(data))).encode()
    if structural and name.endswith(".safetensors"):
        size = int.from_bytes(data[:8], "little")
        header = json.dumps(mutate_tree(rng, json.loads(data[8 : 8 + size]))).encode()
        return len(header).to_bytes(8, "little") + header + data[8 + size :]
    return mutate_bytes(rng, data)


# Bombs: few bytes that become many


def _bomb(rng: Random) -> dict[str, Any]:
    name, data = rng.choice([_gzip_bomb, _dictionary_bomb, _wide, _deep, _long])(rng)
    file = File(name, data, [], mixed=True)
    long = name.endswith((".parquet", ".jsonl.gz"))  # gigabytes, once decoded, or a billion blank lines
    if rng.random() < 0.3:
        return {**_download(file, None), "long": long}
    return {**_predict(rng, file, name.split(".")[1]), "valid": False, "texts": None, "long": long}


def _gzip_bomb(rng: Random) -> tuple[str, bytes]:
    unit, ending = rng.choice(
        [
            (b"x", "csv"),
            (b",", "csv"),
            (b"\0", "tsv"),
            (b'"', "csv"),
            (b"\n", "jsonl"),
            (b" ", "jsonl"),
            (b"[", "jsonl"),
        ]
    )
    head = b"text,label\n" if rng.random() < 0.7 else b""
    return f"in.{ending}.gz", _zipped(head, unit, rng.choice((10 << 20, 60 << 20, 1500 << 20)))


@functools.cache
def _zipped(head: bytes, unit: bytes, size: int) -> bytes:
    piece = gzip.compress(unit * (1 << 20), mtime=0)  # gzip files may follow one another
    return gzip.compress(head, mtime=0) + piece * (size >> 20)


def _dictionary_bomb(rng: Random) -> tuple[str, bytes]:
    return "in.parquet", _dictionary(rng.choice((1000, 100_000, 2_000_000)), rng.choice((10, 10_000, 1_000_000)))


@functools.cache
def _dictionary(rows: int, length: int) -> bytes:
    """One long text, and many rows that refer to it."""
    indices = pa.repeat(pa.scalar(0, pa.int8()), rows)
    sink = io.BytesIO()
    column = pa.DictionaryArray.from_arrays(indices, ["word " * (length // 5)])
    labels = pa.DictionaryArray.from_arrays(indices, ["a"])
    pq.write_table(pa.table({"text": column, "label": labels}), sink, compression="zstd")
    return sink.getvalue()


def _wide(rng: Random) -> tuple[str, bytes]:
    names = ["text", "label", *(f"c{number}" for number in range(rng.choice((1000, 20_001))))]
    kind = rng.choice(("csv", "tsv", "jsonl"))
    if kind == "jsonl":
        return "in.jsonl", (json.dumps(dict.fromkeys(names, "a")) + "\n").encode() * 5
    delimiter = "," if kind == "csv" else "\t"
    return f"in.{kind}", (delimiter.join(names) + "\n" + (delimiter.join("a" * len(names)) + "\n") * 5).encode()


def _deep(rng: Random) -> tuple[str, bytes]:
    depth = rng.choice((100, 1000, 100_000))
    inner = rng.choice((b"[" * depth + b"]" * depth, b'{"a":' * depth + b"1" + b"}" * depth, b"9" * depth))
    return "in.jsonl", b'{"text": "a", "label": "b", "own": ' + inner + b"}\n"


def _long(rng: Random) -> tuple[str, bytes]:
    text = rng.choice((b"a", b"word ", b"\xc3\xa9", b"<", b"9")) * rng.choice((100_000, 1_000_000, 6_000_000))
    kind = rng.choice(("csv", "jsonl"))
    if kind == "csv":
        return "in.csv", b'text,label\n"' + text + b'",a\nb,b\n'
    return "in.jsonl", b'{"text": "' + text + b'", "label": "a"}\n'
