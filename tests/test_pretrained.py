"""Pretrained word vectors, as they are published, and as a variant starts from them."""

import gzip

import numpy as np
import pyarrow as pa
import pytest

from flaxtext.artifacts.pretrained import NONE, Pretrained, read_pretrained, write_pretrained
from flaxtext.config.train import NetworkVariant
from flaxtext.core.errors import UserError
from flaxtext.io.word_vectors import find_vectors
from flaxtext.text.token_ids import Examples, number_words
from flaxtext.text.vocabulary import fit_vocabulary
from flaxtext.train.variants import train_variant

WORDS = fit_vocabulary([pa.array(["cat cat cat dog dog café bird"])])  # ids 1 to 4
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
        ("", "some.vec: has a vector for none of the 4 words of the vocabulary"),
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
    with pytest.raises(UserError, match=r"cut\.gz: has a vector for none of the 4 words of the vocabulary$"):
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
        assert (again.ids.dtype, again.vectors.dtype) == (np.int32, np.float32)
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
        return Examples(number_words(pa.array(texts), words).cut(5), labels)

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
    own = {"pooling": "padded_mean", "embed_dim": 2, "hidden": 0, "init": "log_ratios", "pretrained": True}
    some = Examples(np.ones((4, 2), np.int32), np.array([0, 1, 0, 1], np.int32))
    about = {"name": "v", "words": WORDS, "classes": ["a", "b"], "origin": {"source": "s"}}
    with pytest.raises(UserError, match=r"a dimension for each of the 2 classes, and pretrained some more; raise "):
        train_variant(NetworkVariant(**own), some, some, **about)
