"""What documents hold: n-grams, prefixes, marks and characters, spelled out as strings in plain Python."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flaxtext.text import features as module
from flaxtext.text.features import FeatureIds, Features, Reading, bounds, fit_features, hash_characters
from flaxtext.text.token_ids import TokenIds, offsets_of

WORDS = ["running", "runner", "the", "naïve", "naïvety", "🦊x"]  # ids 1 to 6
UNKNOWN = ["runs", "them", "naïf", "zzz"]
MARKS = ["!", "—"]
PREFIX = 3

READINGS = [
    Reading(),
    Reading(ngrams=2),
    Reading(ngrams=3, marks=True),
    Reading(prefix=PREFIX),
    Reading(prefix=PREFIX, ngrams=4, marks=True),
    Reading(characters=1),
    Reading(characters=5),
    Reading(prefix=PREFIX, ngrams=2, marks=True, characters=3),
]


def number(lists):
    """Documents of words, known or not, and marks."""
    numbers = {token: place for place, token in enumerate([*WORDS, *UNKNOWN], 1)}
    numbers |= {mark: -place for place, mark in enumerate(MARKS, 1)}
    ids = np.array([numbers[token] for tokens in lists for token in tokens], np.int32)
    return TokenIds(ids, offsets_of(np.array([len(tokens) for tokens in lists], np.int64)), pa.array(UNKNOWN))


def draw(n, reading, seed=0):
    rng = np.random.default_rng(seed)
    tokens = [*WORDS, *UNKNOWN, *(MARKS if reading.marks else [])]
    return [[], *([str(token) for token in rng.choice(tokens, rng.integers(0, 9))] for _ in range(n))]


def base(token, reading):
    """What an n-gram is made of at a word or mark; None: nothing goes on there."""
    if token in MARKS:
        return token
    if reading.prefix is not None:
        prefix = token[: reading.prefix]
        return prefix if prefix in {word[: reading.prefix] for word in WORDS} else None
    return token if token in WORDS else None


def by_position(tokens, reading):
    """The features of each position, by name, shortest first; None for what is not there."""
    bases = [base(token, reading) for token in tokens]
    for place, token in enumerate(tokens):
        is_mark = token in MARKS
        yield ("ngram", token) if is_mark else ("word", token) if token in WORDS else None
        if reading.prefix is not None:
            yield None if is_mark or bases[place] is None else ("prefix", bases[place])
        for n in range(2, reading.ngrams + 1):
            ngram = bases[place : place + n]
            yield None if len(ngram) < n or None in ngram else ("ngram", *ngram)


def of_characters(tokens, reading):
    """The n-grams of characters of all words, in the order of the text."""
    for token in tokens:
        if token not in MARKS:
            text = f" {token} "
            for start in range(len(text)):
                for n in range(1, reading.characters + 1):
                    ngram = text[start : start + n]
                    if len(ngram) == n and ngram != " ":
                        yield ("characters", ngram)


def count(lists, reading):
    """How often n-grams occur."""
    counts = Counter(name for tokens in lists for name in by_position(tokens, reading) if name and name[0] == "ngram")
    return counts + Counter(name for tokens in lists for name in of_characters(tokens, reading))


@pytest.mark.parametrize("min_count", [1, 3, 10**6])
@pytest.mark.parametrize("reading", READINGS)
def test_rows_stand_for_one_string_each_and_strings_for_one_row(reading, min_count):
    train, test = draw(60, reading), draw(60, reading, seed=1)
    kept = {name for name, times in count(train, reading).items() if times >= min_count}
    features = fit_features(pa.array(WORDS), number(train), reading, min_count=min_count)
    prefixes = {word[:PREFIX] for word in WORDS} if reading.prefix is not None else set()
    firsts = {
        "word": 1,
        "prefix": 1 + len(WORDS),
        "ngram": features.first_ngram,
        "characters": features.first_character,
    }
    assert features.first_ngram == 1 + len(WORDS) + len(prefixes)
    assert features.first_character == features.first_ngram + sum(name[0] == "ngram" for name in kept)
    assert features.rows == 1 + len(WORDS) + len(prefixes) + len(kept)

    rows_of, name_of = {None: 0}, {0: None}
    for lists in (train, test):
        expanded = features.expand(number(lists))
        assert (expanded.rows.dtype, expanded.offsets.dtype) == (np.int32, np.int64)
        for place, tokens in enumerate(lists):
            names = [
                name if name is None or name[0] in ("word", "prefix") or name in kept else None
                for name in by_position(tokens, reading)
            ]
            names += [name for name in of_characters(tokens, reading) if name in kept]
            found = expanded.rows[expanded.offsets[place] : expanded.offsets[place + 1]].tolist()
            assert len(found) == len(names)
            for name, row in zip(names, found, strict=True):
                assert rows_of.setdefault(name, row) == row
                assert name_of.setdefault(row, name) == name
                if name is not None:
                    assert firsts[name[0]] <= row < features.rows
    assert {name for name in rows_of if name and name[0] in ("ngram", "characters")} == kept
    assert [rows_of[("word", word)] for word in WORDS] == [*range(1, 1 + len(WORDS))]


def test_words_alone_are_left_as_they_are_and_unknown_ones_are_nothing():
    documents = number([["running", "zzz", "the"], [], ["naïve"]])
    features = fit_features(pa.array(WORDS), documents, Reading())
    expanded = features.expand(documents)
    assert expanded.rows.tolist() == [1, 0, 3, 4]
    assert expanded.offsets is documents.offsets
    assert features.rows == 7


def test_words_that_begin_alike_share_a_prefix_and_unknown_words_have_theirs():
    features = fit_features(pa.array(WORDS), number([]), Reading(prefix=4))
    expanded = features.expand(number([["running", "runner", "the", "naïve", "naïvety", "zzz"]]))
    assert expanded.rows.tolist() == [1, 7, 2, 7, 3, 8, 4, 9, 5, 9, 0, 0]  # letters, not bytes
    assert features.rows == 11
    features = fit_features(pa.array(WORDS), number([]), Reading(prefix=3))
    assert features.expand(number([["runs", "them", "zzz"]])).rows.tolist() == [0, 7, 0, 8, 0, 0]


def test_an_unknown_word_keeps_its_place_and_parts_n_grams():
    features = fit_features(pa.array(WORDS), number([["running", "the"]]), Reading(ngrams=2))
    pairs = features.expand(number([["running", "the"], ["running", "zzz", "the"]])).rows.reshape(-1, 2)[:, 1]
    assert pairs.tolist() == [7, 0, 0, 0, 0]


def test_an_unknown_word_is_known_by_its_characters():
    features = fit_features(pa.array(WORDS), number([["runner"]]), Reading(characters=3))
    known = {name for _, name in of_characters(["runner"], features.reading)}
    for word, found in zip(UNKNOWN, rows_by_word(features), strict=True):
        shared = [name for _, name in of_characters([word], features.reading) if name in known]
        assert len(found) == len(shared)
        assert bool(found) == (word != "zzz")
    words_alone = TokenIds(number([["zzz"]]).ids, np.array([0, 1], np.int64))  # ids whose words are not told
    assert features.expand(words_alone).rows.tolist() == [0]


def rows_by_word(features):
    found = features.expand_characters(number([UNKNOWN]))
    return [found.rows[first:last].tolist() for first, last in zip(found.offsets, found.offsets[1:], strict=False)]


@pytest.mark.parametrize("longest", [1, 2, 6])
def test_hashes_of_characters_tell_strings_apart(longest):
    words = pa.array(["", "a", "aa", "ab", "a-b", "naïve", "🦊", "x" * 50])
    hashes, offsets = hash_characters(words, longest)
    name_of, hash_of = {}, {}
    for place, word in enumerate(words.to_pylist()):
        names = [name for _, name in of_characters([word], Reading(characters=longest))]
        assert len(names) == offsets[place + 1] - offsets[place]
        for name, own in zip(names, hashes[offsets[place] : offsets[place + 1]].tolist(), strict=True):
            assert name_of.setdefault(own, name) == name
            assert hash_of.setdefault(name, own) == own
    empty, ends = hash_characters(pa.array([], pa.string()), longest)
    assert (len(empty), ends.tolist()) == (0, [0])


@pytest.mark.parametrize("room", [0, 1, 7, 50, 10**6])
def test_a_bound_on_rows_keeps_the_most_frequent_of_all_kinds(room):
    reading = Reading(ngrams=2, marks=True, characters=3)
    train = draw(60, reading)
    counts = count(train, reading)
    unbounded = fit_features(pa.array(WORDS), number(train), reading)
    bounded = fit_features(pa.array(WORDS), number(train), reading, max_rows=1 + len(WORDS) + room)
    assert bounded.rows == 1 + len(WORDS) + min(room, len(counts))
    whole, cut = unbounded.expand(number(train)), bounded.expand(number(train))
    assert set(bounded.ngrams) <= set(unbounded.ngrams)
    assert set(bounded.characters) <= set(unbounded.characters)
    times = np.bincount(whole.rows, minlength=unbounded.rows)[1 + len(WORDS) :]
    kept = np.bincount(cut.rows, minlength=bounded.rows)[1 + len(WORDS) :]
    assert sorted(kept.tolist()) == sorted(times.tolist(), reverse=True)[: len(kept)][::-1]
    assert sum(times) == sum(counts.values())


def test_each_kind_has_a_bound_of_its_own(monkeypatch):
    reading = Reading(ngrams=2, characters=3)
    monkeypatch.setattr(module, "MAX_NGRAMS", 5)
    features = fit_features(pa.array(WORDS), number(draw(60, reading)), reading)
    assert len(features.ngrams) + len(features.characters) == 5
    features = fit_features(pa.array(WORDS), number(draw(60, reading)), reading, max_rows=10**6)
    assert (len(features.ngrams), len(features.characters)) == (5, 5)


tokens = st.lists(st.lists(st.sampled_from([*WORDS, *UNKNOWN, *MARKS]), max_size=7), max_size=6)


@given(tokens, st.sampled_from(READINGS), st.integers(1, 5))
def test_how_documents_come_in_changes_nothing(lists, reading, size):
    lists = [[token for token in own if reading.marks or token not in MARKS] for own in lists]
    features = fit_features(pa.array(WORDS), number(draw(20, reading)), reading)
    documents = number(lists)
    whole = features.expand(documents)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CHUNK_WORDS", size)
        in_chunks = fit_features(pa.array(WORDS), number(draw(20, reading)), reading)
        for found in (features.expand(documents), in_chunks.expand(documents)):
            assert np.array_equal(found.rows, whole.rows)
            assert np.array_equal(found.offsets, whole.offsets)
    each = [features.expand(documents[place : place + 1]).rows for place in range(len(documents))]
    assert [part.tolist() for part in each] == [
        whole.rows[first:last].tolist() for first, last in zip(whole.offsets, whole.offsets[1:], strict=False)
    ]
    turned = features.expand(documents.take(np.arange(len(documents))[::-1]))
    assert turned.lengths.tolist() == whole.lengths.tolist()[::-1]


def test_documents_to_come_change_nothing():
    reading = Reading(ngrams=2, characters=3)
    features = fit_features(pa.array(WORDS), number(draw(40, reading)), reading)
    rows = features.rows
    assert features.expand(number(draw(40, reading, seed=1))).rows.max() < rows
    assert features.rows == rows


def test_unknown_words_of_one_reading_are_not_taken_for_those_of_another():
    features = fit_features(pa.array(WORDS), number([WORDS]), Reading(characters=6))
    documents = number([["runs"]])
    own = features.expand(documents).rows
    other = TokenIds(documents.ids, documents.offsets, pa.array(["them", *UNKNOWN[1:]]))
    assert features.expand(other).rows.tolist() == features.expand(number([["them"]])).rows.tolist() != own.tolist()
    assert features.expand(documents).rows.tolist() == own.tolist()


def test_lists_of_features_are_parted_joined_and_closed_up():
    weights = np.arange(5, dtype=np.float32)
    whole = FeatureIds(np.array([3, 0, 1, 0, 2], np.int32), np.array([0, 2, 2, 4, 5]), weights)
    assert (whole.documents, whole.lengths.tolist()) == (4, [2, 0, 2, 1])
    for size in (1, 2, 3, 100):
        parts = list(whole.chunks(size))
        again = FeatureIds.together(parts)
        assert all(np.array_equal(*pair) for pair in zip(again, whole, strict=True))
    closed = whole.closed_up()
    assert (closed.rows.tolist(), closed.offsets.tolist(), closed.weights.tolist()) == (
        [3, 1, 2],
        [0, 1, 1, 2, 3],
        [0, 2, 4],
    )
    assert closed.closed_up() is closed
    assert whole.with_empty().lengths.tolist() == [2, 0, 2, 1, 0]
    part = whole.part(2, 4)
    assert (part.rows.tolist(), part.offsets.tolist(), part.weights.tolist()) == ([1, 0, 2], [0, 2, 3], [2, 3, 4])


@given(st.lists(st.integers(0, 9), max_size=12), st.integers(1, 20))
def test_bounds_part_documents_into_runs_of_about_one_size(lengths, size):
    offsets = offsets_of(np.array(lengths, np.int64))
    runs = bounds(offsets, size)
    assert runs[0][0] == 0
    assert runs[-1][1] == len(lengths)
    assert all(one[1] == other[0] for one, other in pairwise(runs))
    for first, last in runs:
        assert last > first or not lengths
        assert offsets[last - 1] - offsets[first] < size + max([0, *lengths]) if last > first else True


def test_prefixes_and_n_grams_have_no_rows_where_none_are_read():
    features = Features(pa.array(WORDS), Reading())
    assert (features.rows, features.first_ngram, features.first_character) == (7, 7, 7)
