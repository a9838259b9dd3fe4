"""Values of params.yaml, set from the command line: all or none, and its comments stay."""

import shlex
import subprocess
import sys

import pytest
from conftest import PROJECT

from flaxtext.cli.set import edit
from flaxtext.config.build_vocab import BuildVocab
from flaxtext.config.params import read_params
from flaxtext.config.train import NetworkVariant, Train
from flaxtext.core.errors import UserError


@pytest.fixture
def copy(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_bytes((PROJECT / "params.yaml").read_bytes())
    return path


def test_an_edit_changes_its_lines_alone(copy):
    before = copy.read_text(encoding="utf-8").splitlines()
    edit(["data.source=ag_news", "build_vocab.fit_on=[train, test]", "data.mirror=../somewhere"], copy)
    after = copy.read_text(encoding="utf-8").splitlines()
    changed = [new for old, new in zip(before, after, strict=True) if old != new]
    assert [line.split("#")[0].strip() for line in changed] == [
        "source: ag_news",
        "mirror: ../somewhere",
        "fit_on: [train, test]",
    ]
    assert all("#" in line for line in changed)
    assert read_params(copy).build_vocab.fit_on == ["train", "test"]


def test_an_edit_of_each_variant_that_sets_the_key_itself(copy):
    edit(["variants.sum_20={pooling: sum, embed_dim: 20, patience: 3}", "train.patience=7"], copy)
    edit(["variants.*.patience=null"], copy)
    variants = read_params(copy).variants
    assert {name: own.patience for name, own in variants.items()} == {
        **dict.fromkeys(["flatten_10", "flatten_20", "average_20", "linear"], 7),
        **dict.fromkeys(["sum_20", "subwords"]),
    }
    assert "patience" not in copy.read_text(encoding="utf-8").partition("average_20:")[2].splitlines()[0]
    edit(["variants={one: {pooling: sum, embed_dim: 2}}", "variants.*.patience=null"], copy)


def test_no_edit_leaves_the_bytes(copy):
    before = copy.read_bytes()
    edit([], copy)
    edit(["data.source=pydocs"], copy)
    assert copy.read_bytes() == before


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("data.source=agnews", "data.source: 'agnews' is not one of ag_news, pydocs"),
        ("train.epocs=3", "train.epocs: unknown key; did you mean epochs?"),
    ],
)
def test_a_wrong_edit_changes_nothing(copy, assignment, message):
    before = copy.read_bytes()
    with pytest.raises(UserError) as error:
        edit(["train.epochs=3", assignment], copy)
    assert str(error.value) == f"{copy}: {message}"
    assert copy.read_bytes() == before


@pytest.mark.parametrize("value", ["@x", "[a", "%x"])
def test_an_edit_to_what_is_not_yaml(copy, value):
    with pytest.raises(UserError, match="the value is not YAML; put it in quotes"):
        edit([f"data.mirror={value}"], copy)


@pytest.mark.parametrize("assignment", ["data.source", "nowhere.source=x", "data.source.deep=x"])
def test_an_edit_that_is_no_assignment(copy, assignment):
    with pytest.raises(UserError, match=r"expected KEY=VALUE with a key of .*, such as data.source=ag_news"):
        edit([assignment], copy)


def test_from_the_shell_a_mistake_is_one_line_without_traceback(copy):
    ended = subprocess.run(
        [sys.executable, "-m", "flaxtext", "set", "data.source=agnews"],
        cwd=copy.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stderr == "error: params.yaml: data.source: 'agnews' is not one of ag_news, pydocs\n"


def test_make_tutorial_sets_all_that_its_protocol_needs(tmp_path):
    """Of vocabulary, vectors and training, whatever params.yaml said before."""
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8").replace("\\\n", " ")
    [assignments] = [
        shlex.split(line.partition("=")[2]) for line in makefile.splitlines() if line.startswith("TUTORIAL =")
    ]
    needed = [f"train.{name}" for name in Train.model_fields]
    needed += [f"build_vocab.{name}" for name in BuildVocab.model_fields]
    assert set(needed) - {text.partition("=")[0] for text in assignments} == set()
    path = tmp_path / "params.yaml"
    path.write_bytes((PROJECT / "params.yaml").read_bytes())
    edit(["variants.sum_20={pooling: mean, embed_dim: 9, max_len: 9, patience: 3}"], path)
    edit(assignments, path)
    tutorial = read_params(path)
    assert tutorial.train == Train(max_len=50, shuffle=False, validation_from="test")
    assert tutorial.build_vocab == BuildVocab(tokenizer="keras", fit_on=["train", "test"])
    assert tutorial.train.max_len == 50
    assert {own.max_len for own in tutorial.variants.values()} == {50}
    networks = [tutorial.variants[name] for name in ("flatten_10", "flatten_20", "average_20", "sum_20")]
    assert [(own.pooling, own.embed_dim) for own in networks] == [
        ("flatten", 10),
        ("flatten", 20),
        ("padded_mean", 20),
        ("padded_sum", 20),
    ]
    plain = NetworkVariant(max_len=50, shuffle=False, validation_from="test", pooling="flatten", embed_dim=10)
    assert networks[0] == plain
    assert tutorial.vectorize.validation == 0
