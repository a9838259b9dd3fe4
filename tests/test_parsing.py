"""params.yaml with whatever in it: a right answer or one line a problem, and never a traceback, an abort or a hang."""

import copy
import datetime
import os
import subprocess
import sys

import pytest
from conftest import PROJECT
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from flaxtext.cli.set import edited
from flaxtext.config import checked, read_yaml, variant_names
from flaxtext.config.data import read_source
from flaxtext.config.params import PLAIN, SECTIONS, check_params, read_params
from flaxtext.config.train import read_variant
from flaxtext.core.errors import UserError

TEXT = (PROJECT / "params.yaml").read_text(encoding="utf-8")
VALUES = YAML(typ="safe").load(TEXT)
BOMB = "\n".join(
    ["a0: &a0 [" + "x, " * 9 + "x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10))]
)
MANY = "more than 100,000 values, those counted again that an alias repeats"


def instead(old, new):
    assert old in TEXT
    return TEXT.replace(old, new, 1)


ODD = {
    "an empty file": ("", "expected sections such as data and train, found None"),
    "a list": ("[1]", "expected sections such as data and train, found [1]"),
    "a tab": ("train:\n\tepochs: 3\n", ", line 2: not YAML: found character '\\t' that cannot start any token"),
    "a control character": (
        TEXT + "\0",
        ': not YAML: unacceptable character #x0000: special characters are not allowed in "<unicode string>", position',
    ),
    "half a surrogate pair": (
        instead("source: pydocs", 'source: "\\ud800"'),
        ", line 4: not YAML: found invalid Unicode character escape code",
    ),
    "a key twice": (
        TEXT + "\ntrain: 3\n",
        f', line {TEXT.count(chr(10)) + 2}: not YAML: found duplicate key "train" with value "3"',
    ),
    "an object of Python": (
        "train: !!python/object:os.system {}\n",
        ", line 1: not YAML: could not determine a constructor for the tag 'tag:yaml.org,2002:python/object:os.system'",
    ),
    "a tag that lies": (
        instead("epochs: 15", "epochs: !!int x"),
        "a value cannot be read: invalid literal for int() with base 10: 'x'",
    ),
    "a day that is none": (instead("epochs: 15", "epochs: 2001-99-99"), "a value cannot be read: month must be in 1"),
    "brackets by the thousand": ("[" * 100_000, "nested more than 40 deep"),
    "braces by the thousand": ("train: " + "{a: " * 3000 + "}" * 3000, "nested more than 40 deep"),
    "lines deep": ("\n".join(" " * depth + "a:" for depth in range(500)), "nested more than 40 deep"),
    "a billion values": (BOMB, MANY),
    "a billion values beside the sections": (BOMB.replace("a9: ", "explain: ") + "\n" + TEXT, MANY),
    "a circle": ("train: &t {epochs: *t}\n", "*t stands within what it repeats"),
    "an alias of nothing": ("train: *x\n", ", line 1: not YAML: found undefined alias 'x'"),
    "5,000 digits": (
        instead("epochs: 15", "epochs: " + "9" * 5000),
        "a value cannot be read: a number of thousands of digits",
    ),
    "5,000 digits of base 16": (
        instead("epochs: 15", "epochs: 0x" + "f" * 5000),
        "train.epochs: expected less than or equal to 9223372036854775807, got a number of thousands of digits",
    ),
    "a large file": ("#" * 2**20 + "\n" + TEXT, "more than 1,048,576 bytes, which are no parameters"),
    "a key that is a list": ("? [a, b]\n: 2\n" + TEXT, "('a', 'b'): unknown key; known: data, sources,"),
    "a key that is a map": ("? {a: 1}\n: 2\n" + TEXT, ", line 1: not YAML: found unhashable key"),
    "a key of lines": ('"a\\nb\\e[31m": 3\n' + TEXT, r"'a\nb\x1b[31m': unknown key; known: data"),
    "a long key": (f"? {'k' * 5000}\n: 3\n" + TEXT, "'" + "k" * 56 + "...: unknown key; known: data"),
    "numbers as keys": (instead("  epochs: 15", "  1.5: 2"), "train.1.5: unknown key; known: max_len, epochs"),
    "dates as keys": (
        instead("  epochs: 15", "  2001-01-01: 2"),
        "train.datetime.date(2001, 1, 1): unknown key; known: max_len, epochs",
    ),
    "infinity": (instead("learning_rate: 0.001", "learning_rate: .inf"), "train.learning_rate: expected a finite num"),
    "beyond floats": (instead("learning_rate: 0.001", "learning_rate: 1e999"), "train.learning_rate: expected a fin"),
    "NaN": (instead("confidence: 0.95", "confidence: .nan"), "compare.confidence: expected a finite number, got nan"),
    "a variant that is a number": (
        instead("  flatten_10:", "  1.5:"),
        "variants.1.5: a name is text",
    ),
    "a variant of digits": (
        instead("  flatten_10:", "  2024:"),
        'variants.2024: a name is text; put it in quotes: "2024"',
    ),
    "a train section of nothing": (
        TEXT[: TEXT.index("  max_len: null")] + TEXT[TEXT.index("variants: ") :],
        "train: expected keys and values, got None",
    ),
}


def lines_of(read):
    """What was said, line by line; none where there is an answer."""
    try:
        read()
    except UserError as error:
        lines = str(error).split("\n")
        assert all(line.isprintable() and len(line) < 600 for line in lines), lines
        return lines
    return []


@pytest.fixture
def file(tmp_path):
    def written(content):
        path = tmp_path / "params.yaml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return written


@pytest.mark.parametrize("name", ODD)
def test_what_is_odd_is_one_line(file, name):
    text, message = ODD[name]
    path = file(text)
    [line] = lines_of(lambda: read_params(path))
    assert line.startswith(f"{path}{message}" if message[0] in ",:" else f"{path}: {message}")
    assert len(lines_of(lambda: edited(["explain.words=3"], path))) == 1
    for section, model in PLAIN.items():
        assert len(lines_of(lambda model=model, section=section: model.read(section, path))) <= 1
    for read in (variant_names, read_source, read_yaml, lambda path: read_variant("flatten_10", path)):
        assert len(lines_of(lambda read=read: read(path))) <= 1


def test_other_encodings(file, tmp_path):
    assert lines_of(lambda: read_params(file(TEXT.encode("utf-16")))) == [
        f"{tmp_path / 'params.yaml'}: not UTF-8; save it as that"
    ]
    marked = file(b"\xef\xbb\xbf" + TEXT.encode())
    assert read_params(marked) == check_params(VALUES)
    assert edited(["train.epochs=15"], marked) == TEXT
    assert lines_of(lambda: read_params(tmp_path)) == [f"{tmp_path}: cannot be read: Is a directory"]


def test_aliases_and_merges_are_read(file):
    path = file(
        instead("flatten_10: {pooling", "flatten_10: &f {pooling").replace("flatten_20: {", "flatten_20: {<<: *f, ")
    )
    assert read_params(path).variants["flatten_20"].pooling == "flatten"
    assert "flatten_20: {<<: *f, " in edited(["train.epochs=3"], path)


def test_a_command_ends_on_one_line_not_in_an_abort(file):
    """In a process of its own: the parser in C would end it."""
    path = file("[" * 100_000)
    code = "from flaxtext.core.errors import run\nfrom flaxtext.cli.set import edit\nrun(lambda: edit(['a=1']))"
    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=path.parent,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(PROJECT)},
    )
    assert (ended.returncode, ended.stderr) == (1, "error: params.yaml: nested more than 40 deep\n")


@pytest.mark.parametrize("section", SECTIONS)
@pytest.mark.parametrize("value", [{}, None, [], [1], 7, 1.5, "abc", [{"a": 1}], {2: 2, 1.5: 3, True: 4, None: 5}])
def test_each_section_may_be_of_anything(section, value):
    said = lines_of(lambda: check_params({**VALUES, section: value}))
    assert all(line.startswith(f"params.yaml: {section}") for line in said) or section in ("sources", "train")
    assert said or value == {}


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([2**31, 2**63, 10**30, -1, 0, 1]),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["data", "con", "train", "test", "a\nb\x1b[1m", "\N{ZERO WIDTH SPACE}", "x" * 300, ".", "../x"]),
    st.dates(),
    st.binary(max_size=5),
    st.just(datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC)),
)
keys = st.one_of(scalars, st.tuples(st.text(max_size=3), st.integers()))
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(keys, inner, max_size=3)),
    max_leaves=6,
)


def places(node, at=()):
    """The paths of all that lies in parsed YAML."""
    yield at
    for key, inner in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        yield from places(inner, (*at, key))


PLACES = [place for place in places(VALUES) if place]


changes_ = st.lists(
    st.tuples(st.sampled_from(PLACES), st.sampled_from(["value", "key", "drop"]), values, keys), max_size=3
)


def hold(test, strategy, examples):
    """Run a property on so many examples."""
    settings(max_examples=examples, deadline=None, database=None)(given(strategy)(test))()


def any_value_and_any_key(changes):
    changed = copy.deepcopy(VALUES)
    for place, kind, value, key in changes:
        *parents, last = place
        node = changed
        for parent in parents:
            node = node.get(parent) if isinstance(node, dict) else None
        if isinstance(node, list) and last == 0:
            node[:] = [value]
        elif isinstance(node, dict) and last in node:
            kept = node[last]
            if kind == "value":
                node[last] = value
            elif kind == "key":
                node[key] = kept
            else:
                del node[last]
    lines_of(lambda: check_params(changed))
    for name, model in PLAIN.items():
        if changed.get(name) != VALUES[name]:
            lines_of(lambda name=name, model=model: checked(model, changed.get(name), "params.yaml", (name,)))


SNIPPETS = [
    "\t",
    "  ",
    "\n",
    "- ",
    "? ",
    ": ",
    "[",
    "]",
    "{",
    "}",
    "&a ",
    "*a",
    "!!int ",
    "!x ",
    "|\n",
    "---\n",
    "%",
    "'",
    '"',
    "#",
]
SNIPPETS += ["null", "~", "1e999", ".nan", "0x1f", "1:2", "2001-01-01", "<<: ", "\0", "\x85", "\ufeff", "9" * 5000, "é"]
edits = st.lists(
    st.tuples(st.integers(0, len(TEXT)), st.integers(0, 12), st.sampled_from(SNIPPETS)), min_size=1, max_size=3
)


@pytest.mark.parametrize("examples", [100, pytest.param(2000, marks=pytest.mark.slow)])
def test_any_value_and_any_key_anywhere(examples):
    hold(any_value_and_any_key, changes_, examples)


@pytest.mark.parametrize("examples", [25, pytest.param(500, marks=pytest.mark.slow)])
def test_any_damage_to_the_text(tmp_path, examples):
    def damaged(edits):
        any_damage(tmp_path / "params.yaml", edits)

    hold(damaged, edits, examples)


def any_damage(path, edits):
    text = TEXT
    for at, less, snippet in edits:
        text = text[:at] + snippet + text[at + less :]
    path.write_text(text, encoding="utf-8")
    lines_of(lambda: read_params(path))
    lines_of(lambda: edited([], path))
