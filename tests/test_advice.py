"""Which variant is advised, from figures made up, and what the command says of a project's."""

import json
import subprocess
import sys

import numpy as np
import pytest
from conftest import PROJECT
from ruamel.yaml import YAML

from flaxtext.artifacts.predictions import Answers, write_predictions
from flaxtext.cli.advice import Candidate, choose

HALF = np.repeat([True, False], 500)
"""Of 1,000 documents, those of the largest class."""


def wrong(*documents, n=1000, parameters=100, linear=False, between_seeds=0.0):
    """A variant that gets all documents right except for those in the slices given."""
    right = np.ones(n)
    for part in documents:
        right[part] = 0
    return Candidate(right, between_seeds, parameters, linear)


def advise(candidates, majority_right=HALF, train_documents=20_000, has_vectors=False):
    return choose(candidates, "World", majority_right, train_documents=train_documents, has_vectors=has_vectors)


def test_the_best_is_advised_where_none_is_as_good():
    advice = advise(
        {
            "small": wrong(slice(0, 200), parameters=5),
            "linear": wrong(slice(0, 150), linear=True, parameters=9),
            "best": wrong(slice(0, 50)),
            "next": wrong(slice(0, 100)),
        }
    )
    assert advice.variant == "best"
    assert advice.says == (
        "Take best: it gets 95.0% of the 1,000 validation documents right, next 90.0%, linear 85.0% and always "
        "answering World 50.0%. The next, next, is 5.0 points behind, and one standard error of that is 0.7 points; "
        "another seed may move it, too."
    )
    assert advice.hints == []
    assert list(advice.variants) == ["best", "next", "linear", "small"]
    assert advice.variants["next"].standard_error == pytest.approx(np.sqrt(50) / 1000)


def test_of_those_as_good_the_simplest_is_advised():
    """20 documents against 15: five more, of which 5.9 are a standard error."""
    network, larger = wrong(slice(0, 15), parameters=7000), wrong(slice(0, 15), parameters=8000)
    small = wrong(slice(15, 35), parameters=6000)
    linear = wrong(slice(15, 35), parameters=9000, linear=True)
    advice = advise({"network": network, "larger": larger, "small": small})
    assert advice.variant == "small"
    assert advice.says.endswith(
        "The 0.5 points that network is ahead are within one standard error (0.6 points), and small is simpler: it has "
        "6,000 parameters, network 7,000."
    )
    advice = advise({"network": network, "small": small, "linear": linear})
    assert advice.variant == "linear"
    assert advice.says.endswith("(0.6 points), and linear is simpler: it is linear.")
    advice = advise({"small": wrong(slice(0, 15), parameters=1), "network": wrong(slice(15, 35), parameters=2)})
    assert advice.variant == "small"
    assert advice.says.endswith("network is as good within one standard error (0.6 points), but not simpler.")


def test_one_document_decides_nothing():
    advice = advise({"network": wrong(), "linear": wrong(slice(0, 1), linear=True)})
    assert advice.variant == "linear"
    assert advise({"network": wrong(), "linear": wrong(slice(0, 2), linear=True)}).variant == "network"


def test_luck_with_seeds_counts():
    """Its seeds vary by two points, and the other is but one behind."""
    candidates = {"network": wrong(between_seeds=0.02**2), "linear": wrong(slice(0, 10), linear=True)}
    assert advise(candidates).variant == "linear"
    assert advise({**candidates, "network": wrong()}).variant == "network"


def test_none_is_advised_where_none_beats_the_majority():
    useless = wrong(slice(0, 490), slice(990, 1000))
    advice = advise({"one": useless, "two": wrong(slice(0, 1000))})
    assert advice.variant is None
    assert advice.says == (
        "No variant is shown to be better than always answering World (50.0%) on the 1,000 validation documents; the "
        "best, one, gets 50.0% of them right. More labelled documents, or correct labels (data/checks/findings.csv "
        "lists doubtful ones), would do more than a choice between them."
    )


def test_a_variant_alone():
    advice = advise({"only": wrong(slice(0, 5))})
    assert advice.says == (
        "Take only: it gets 99.5% of the 1,000 validation documents right, always answering World 50.0%. No other "
        "variant has been trained to compare it with."
    )


def test_what_would_help_where_documents_are_few():
    few = {"only": wrong(n=20)}
    assert advise(few, HALF[490:510], train_documents=380).hints == [
        "So few validation documents (20) say little: vectorize.validation: 0.13 would hold out 50.",
        "With 380 documents to train on, more labels help most, and of English texts pretrained vectors may "
        "(build_vocab.vectors: glove, variants.NAME.pretrained: true).",
    ]
    assert advise(few, HALF[490:510], train_documents=90, has_vectors=True).hints == [
        "So few validation documents (20) say little: label more documents.",
        "With 90 documents to train on, more labels help most.",
    ]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with params.yaml of two variants, to write predictions into."""
    values = YAML(typ="safe").load(PROJECT / "params.yaml")
    values["variants"] = {"linear": {"model": "linear"}, "network": {"pooling": "max", "embed_dim": 1}}
    YAML().dump(values, tmp_path / "params.yaml")
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics/data.json").write_text('{"train": {"documents": 4000}}', encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    def write(name, *mistakes, split="validation", n=100):
        """Let each seed get the first documents wrong, as many as it is said; all of test is wrong."""
        labels = np.arange(2 * n, dtype=np.int32) % 2
        by_seed = np.repeat(labels[None], len(mistakes), axis=0)
        for own, count in zip(by_seed, mistakes, strict=True):
            own[:count] = 1 - own[:count]
        by_seed[:, n:] = 1 - by_seed[:, n:]
        write_predictions(
            tmp_path / f"data/predictions/{name}.parquet",
            classes=["cats", "dogs"],
            splits=np.array([split] * n + ["test"] * n, object),
            rows=np.arange(2 * n),
            labels=labels,
            answers=Answers.of(np.eye(2)[by_seed[0]], labels, by_seed),
        )
        (tmp_path / f"metrics/{name}.json").write_text('{"parameters": 1000}', encoding="utf-8")

    return write


def test_the_command_goes_by_validation(project, flaxtext):
    project("linear", 20)
    project("network", 2, 10)
    status, out, err = flaxtext("advise")
    assert (status, err) == (0, "")
    assert out == (
        "Take network: it gets 94.0% of the 100 validation documents right, linear 80.0% and always answering cats "
        "50.0%. The next, linear, is 14.0 points behind, and one standard error of that is 5.3 points.\n"
    )
    status, out, err = flaxtext("advise", "--json")
    told = json.loads(out)
    assert (status, err, told["variant"], told["documents"]) == (0, "", "network", 100)
    assert told["majority"] == {"class": "cats", "accuracy": 0.5}
    assert told["variants"]["linear"]["behind"] == pytest.approx(0.14)
    assert told["variants"]["linear"]["is_as_good"] is False


def test_what_the_command_says_where_it_cannot_tell(project, flaxtext):
    assert flaxtext("advise") == (
        1,
        "",
        "error: data/predictions: no variant of params.yaml has been trained; run `make run` or `dvc repro`\n",
    )
    project("linear", 5, split="train")
    status, out, err = flaxtext("advise")
    assert (status, err) == (0, "note: not trained yet: network\n")
    assert out.startswith(
        "There are no validation documents to choose by, and the test split is not for choosing. Set "
    )
    project("linear", 5)
    project("network", 5, n=90)
    assert flaxtext("advise")[::2] == (
        1,
        "error: data/predictions/network.parquet: not of the same validation split as linear; run `dvc repro`\n",
    )


def test_it_needs_no_jax(project):
    project("linear", 20)
    project("network", 2)
    code = "import sys; sys.modules['jax'] = None; from flaxtext.cli.main import main; main()"
    ran = subprocess.run([sys.executable, "-c", code, "advise"], capture_output=True, text=True, check=True)
    assert ran.stdout.startswith("Take network: ")
