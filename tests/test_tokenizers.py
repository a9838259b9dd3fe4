"""Words of the tokenizer `keras`, as Keras' Tokenizer splits them."""

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras.src.legacy.preprocessing.text import Tokenizer, text_to_word_sequence

from flaxtext.text.tokenizers import tokenize
from flaxtext.text.words import FILTERS, LINE_ENDS, TOKENIZERS


def words(texts):
    return tokenize(pa.array(texts, pa.string()), "keras").to_pylist()


def test_filters_are_those_of_keras():
    assert Tokenizer().filters == FILTERS


@pytest.mark.slow  # test_token_ids.py compares their ids
def test_ag_news_equals_keras(ag_news_texts):
    assert words(ag_news_texts) == [text_to_word_sequence(text) for text in ag_news_texts]


@pytest.mark.slow  # test_token_ids.py compares their ids
def test_the_embedded_corpus_equals_keras(pydocs_texts):
    assert words(pydocs_texts) == [text_to_word_sequence(text) for text in pydocs_texts]


unlike_line_ends = st.text(st.characters(exclude_characters=LINE_ENDS, exclude_categories=["Cs"]))


@given(st.lists(unlike_line_ends))
def test_any_unicode_equals_keras(texts):
    assert words(texts) == [text_to_word_sequence(text) for text in texts]


@given(st.lists(st.text(alphabet="aZ !\tİΣσς\u00a0\u2003é'", max_size=12)))
def test_separators_and_odd_capitals_equal_keras(texts):
    assert words(texts) == [text_to_word_sequence(text) for text in texts]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \t\n!", []),
        ("Wall St. Bears", ["wall", "st", "bears"]),
        ("Wall Street's dwindling\\band", ["wall", "street's", "dwindling", "band"]),
        ("a\u00a0b", ["a\u00a0b"]),  # a no-break space does not separate
        ("ball\r\nteam\r\nwin\r", ["ball", "team", "win"]),
        ("a\rb\vc\fd\x85e\u2028f\u2029g\nh", list("abcdefgh")),
        ("\x85\u2028é\u2029\x85", ["é"]),
        ("\u0084\u2027\u202a\x1c", ["\u0084\u2027\u202a\x1c"]),  # neighbours of those do not
        ("İZMİR", ["i\u0307zmi\u0307r"]),  # two characters each, where Arrow's own lower-casing gives one
        ("ΟΔΟΣ", ["οδος"]),  # a final sigma, which Arrow's own lower-casing does not know
    ],
)
def test_one_text(text, expected):
    assert words([text]) == [expected]


@given(st.lists(st.text(alphabet="aé中\r\v\f\x85\u2028\u2029\u0085\u2027\u202a \n", max_size=12)))
def test_ends_of_lines_are_spaces(texts):
    """Keras' words of the same texts with spaces in their place."""
    spaces = str.maketrans(dict.fromkeys(LINE_ENDS, " "))
    assert words(texts) == [text_to_word_sequence(text.translate(spaces)) for text in texts]


def test_no_other_line_end_is_known_to_python():
    """But for the separators of files, groups and records, which no text has."""
    ends = {chr(code) for code in range(0x110000) if len(f"a{chr(code)}b".splitlines()) == 2}
    assert ends - set("\x1c\x1d\x1e") == {*LINE_ENDS, "\n"}


def test_arrow_lower_cases_differently():
    """The reason that text beyond ASCII goes through Python: should Arrow ever agree, that step can go."""
    texts = pa.array(["İZMİR", "ΟΔΟΣ"])
    assert pc.utf8_lower(texts).to_pylist() != [text.lower() for text in texts.to_pylist()]


def test_words_do_not_run_on_from_text_to_text():
    assert words(["ab", "cd", "", "e f", "g"]) == [["ab"], ["cd"], [], ["e", "f"], ["g"]]


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
@given(st.lists(st.text(max_size=8), min_size=2), st.data())
def test_a_slice_of_an_array(tokenizer, texts, data):
    start = data.draw(st.integers(0, len(texts)))
    stop = data.draw(st.integers(start, len(texts)))
    sliced = pa.array(texts, pa.string())[start:stop]
    assert (
        tokenize(sliced, tokenizer).to_pylist()
        == tokenize(pa.array(texts[start:stop], pa.string()), tokenizer).to_pylist()
    )
