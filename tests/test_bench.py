"""The measuring itself: turns, ratios, folds and differences, and that the tutorial's loop is the same training."""

import itertools
import sys

import numpy as np
import pyarrow as pa
import pytest

from bench import sets
from bench.documents import Documents, Split, grow, write
from bench.measure import alternate, child, ratios, timed
from bench.our_models import VARIANTS, Fit, is_right, lime, predict, train_shipped
from bench.our_token_ids import Files, in_files, in_memory
from bench.peers import tfidf_svm
from bench.report import COMPARISON, Table, comparison
from bench.tutorial import Padded, Tutorial
from flaxtext.compare.significance import mcnemar
from flaxtext.config.train import NetworkVariant
from flaxtext.core.errors import UserError
from flaxtext.text.token_ids import Examples, TokenIds, offsets_of


def test_sides_take_turns():
    turns = []
    runs = alternate({"a": lambda: turns.append("a") or len(turns), "b": lambda: turns.append("b") or len(turns)}, 3)
    assert turns == ["a", "b"] * 3
    assert runs == {"a": [1, 3, 5], "b": [2, 4, 6]}


def test_times_come_from_the_clock():
    clock = itertools.accumulate([0, 2, 10, 5]).__next__
    work = timed(lambda: None, clock)
    assert [work(), work()] == [2, 5]


def test_ratios_are_taken_pair_by_pair():
    # Both sides slow down together: the medians' ratio would be 6 / 3.
    assert ratios([2, 12, 6], [1, 3, 6]) == (2, 1, 4)


def test_a_comparison_tells_medians_and_spread():
    row = comparison("work", "peer", [2, 12, 6], [1, 3, 6], (1234, 5), "note")
    assert row == ("work", "peer", "6", "3", "**2** (1 to 4)", "1,234, 5 MB", "note")
    assert "| work | peer | 6 | 3 |" in Table("Title", "text", COMPARISON, [row]).markdown()


def test_a_child_is_a_fresh_process():
    run = child("importlib.metadata:version", distribution_name="numpy")
    assert run.result == np.__version__
    assert run.peak > 1
    assert 0 < run.startup <= run.seconds


def test_a_failing_child_is_told():
    with pytest.raises(RuntimeError, match="no_such_package"):
        child("no_such_package:function")


def test_recombined_documents_keep_lengths_labels_and_words():
    split = Split(pa.array(["a b, c", "d", "x y z w"]), np.array([0, 0, 1], np.int32))
    grown = grow(split, 5)
    texts = grown.texts.to_pylist()
    assert texts[:3] == split.texts.to_pylist()
    assert [len(text.split()) for text in texts] == [3, 1, 4, 3, 1]
    assert sorted(" ".join(texts[3:]).split()) == ["a", "b,", "c", "d"]
    assert grown.labels.tolist() == [0, 0, 1, 0, 0]
    assert grow(split, 2).texts.to_pylist() == texts[:2]


@pytest.mark.parametrize(
    "variant",
    [pytest.param(name, marks=pytest.mark.slow if name in ("flatten_20", "sum_20") else ()) for name in VARIANTS],
)
def test_the_tutorials_loop_has_the_same_losses(variant):
    rng = np.random.default_rng(0)
    lengths = rng.integers(0, 8, 100)
    documents = TokenIds(rng.integers(1, 60, lengths.sum()).astype(np.int32), offsets_of(lengths))
    train = Examples(documents, rng.integers(0, 3, 100).astype(np.int32))
    loop = Tutorial(variant, 60, 3, Padded.of(train, 7), batch_size=32)
    for _ in range(2):
        loop.epoch()
    fit = Fit(variant, 60, "abc", train, epochs=2, batch_size=32, max_len=7)
    assert fit.losses == pytest.approx(loop.losses, rel=1e-3)


def test_a_folder_of_documents_is_numbered_trained_on_and_explained(tmp_path):
    """All that the benchmarks do with the package, on a few texts: the tutorial's way, and as shipped."""
    texts = ["A good film, really!", "a bad film", "good", "bad; so bad"] * 10
    split = Split(pa.array(texts), np.tile(np.array([1, 0], np.int32), 20))
    write(Documents(split, split, ["bad", "good"], "films"), tmp_path)
    in_files(str(tmp_path))
    files = Files(str(tmp_path))
    assert files.examples("train").documents.padded(4)[0].tolist() == [2, 3, 4, 5]
    assert (files.whole("train").documents.ids < 0).any()
    assert np.array_equal(in_memory(split.texts, split.texts)[0][:, :4], files.examples("train").documents.padded(4))
    fit = Fit("average_20", files.words.rows, files.classes, files.examples("train"), epochs=3, batch_size=8)
    model = fit.classifier(files.words)
    assert predict(model, texts[:2]).shape == (2, 2)
    assert set(lime(model, texts[0], 1)) == {"a", "good", "film", "really"}
    in_files(str(tmp_path), fit_on=["train"], tokenizer="unicode")
    whole = Files(str(tmp_path)).whole("train")
    variant = NetworkVariant(
        pooling="tfidf", embed_dim="classes", hidden=0, optimizer="sgd", learning_rate=0.1, marks=True, characters=3
    )
    held = np.arange(40) < 8
    trained = train_shipped(variant, whole.select(~held), whole.select(held), Files(str(tmp_path)))
    assert is_right(trained, Files(str(tmp_path)).whole("test")).mean() > 0.9


def pets(path, n=30):
    """A set of two classes, as CSV files."""
    path.mkdir(parents=True)
    rows = [f"{('cat,purr meow', 'dog,bark bone')[row % 2]} x{row % 7}" for row in range(n)]
    for split in ("train", "test"):
        (path / f"{split}.csv").write_text("\n".join(["label,text", *rows]), encoding="utf-8")
    return path


def test_sets_are_read_by_the_names_of_their_columns(tmp_path):
    found = sets.read_set(pets(tmp_path / "pets"))
    assert found.classes == ["cat", "dog"]
    assert found.train.texts[:2].to_pylist() == ["purr meow x0", "bark bone x1"]
    assert found.train.labels[:2].tolist() == [0, 1]
    (tmp_path / "pets/test.csv").write_text("class,text\na,b\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"test\.csv: no column 'label'; name the columns label and text"):
        sets.read_set(tmp_path / "pets")


def test_each_document_is_left_out_once_or_test_is(tmp_path):
    data = sets.read_set(pets(tmp_path / "pets"))
    given, left_out = sets.rounds(data, 3, use_test=False)
    assert len(given.labels) == 30
    assert (np.sum(left_out, axis=0) == 1).all()
    given, [left_out] = sets.rounds(data, 3, use_test=True)
    assert (len(given.labels), left_out.sum()) == (60, 30)
    assert not left_out[:30].any()


def test_peers_learn_from_what_is_not_left_out():
    train = Split(pa.array(["purr meow", "bark bone"] * 4), np.array([1, 0] * 4, np.int32))
    for characters in (False, True):
        assert tfidf_svm(train, pa.array(["a meow", "the bone"]), characters=characters).tolist() == [1, 0]


def test_differences_are_paired_and_corrected_for_the_sets():
    rng = np.random.default_rng(0)
    right = rng.random(400) < 0.8
    better = right | (rng.random(400) < 0.5)
    one = {"subwords": sets.Reading(right, 0.01, 1.0), "svm": sets.Reading(better, None, 1.0)}
    other = {"subwords": sets.Reading(better, 0.01, 1.0), "svm": sets.Reading(right, None, 1.0)}
    table = sets.differences({"one": one, "other": other})
    assert table.header == ("set", "subwords - strongest peer")
    change = 100.0 * (right.astype(int) - better)
    figures = f"{change.mean():+.2f} ± {change.std(ddof=1) / 20:.2f}, p {2 * mcnemar(right, better):.2g} (svm)"
    assert table.rows[0] == ("one", f"**{figures}**")
    assert table.rows[1] == ("other", figures.replace("-", "+", 1))
    assert table.rows[2] == ("mean", "+0.00")


def test_many_sets_are_compared_and_written(tmp_path, monkeypatch, capsys):
    pets(tmp_path / "sets/one")
    pets(tmp_path / "sets/two", 40)
    output = tmp_path / "SETS.md"
    options = ["--sets", str(tmp_path / "sets"), "--only", "one,two", "--models", "linear,svm", "--folds", "2"]
    monkeypatch.setattr(sets, "environment", lambda: "- Machine: this one\n")  # which measures it for seconds
    monkeypatch.setattr(sys, "argv", ["sets", *options, "--output", str(output)])
    sets.main()
    assert "two: svm 1.0000, " in capsys.readouterr().out
    written = output.read_text(encoding="utf-8")
    assert "Cross-validated over training documents, 2 folds." in written
    assert "| set | what | linear | svm |" in written
    assert "| one | 30 documents, 2 classes | " in written
    assert "| set | linear - svm |" in written
    monkeypatch.setattr(sys, "argv", ["sets", *options[:2], "--only", "three"])
    with pytest.raises(SystemExit):
        sets.main()
    assert "--only: no three; there are one, two" in capsys.readouterr().err
