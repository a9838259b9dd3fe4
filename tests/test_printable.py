"""What of a text shows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flaxtext.core.printable import clean_label, name_some, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain é 漢", "plain é 漢"),
        ("a\nb\tc", r"a\nb\tc"),
        ("\x1b[31m\x9b\x00", r"\x1b[31m\x9b\x00"),
        ("a\u202eb\u2028\ufeff", r"a\u202eb\u2028\ufeff"),
        ("a\u00a0b", r"a\xa0b"),
        ("\ud83d", r"\ud83d"),
        ("👩\u200d👩", "👩\u200d👩"),
    ],
)
def test_visible(text, shown):
    assert visible(text) == shown


@given(st.text(), st.integers(3, 50))
def test_visible_fits_its_length_and_is_printable(text, length):
    shown = visible(text, length)
    assert len(shown) <= length
    assert shown.replace("\u200c", "").replace("\u200d", "").isprintable()
    assert visible(shown) == shown


def test_a_few_values_are_named_and_each_is_cut_short():
    assert name_some(["a", "b\n"]) == r"a, b\n"
    assert name_some(["x" * 100]) == "x" * 37 + "..."
    assert name_some([str(i) for i in range(1234)]).endswith("18, 19, ... (1,234 in all)")


@pytest.mark.parametrize(
    ("label", "cleaned"),
    [
        (" \t\u00a0\u3000\u2003sport\x85\u2028\r\n", "sport"),
        ("\ufeff\u200bspo\u00adrt\u2060", "sport"),
        ("\u200e\u2067sport\u2069\u202c", "sport"),
        ("\u200d\u200csport \u200d", "sport"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("👩\u200d👩", "👩\u200d👩"),
        ("cafe\u0301", "caf\u00e9"),
        ("New  York", "New  York"),
        ("Ｎｏ", "Ｎｏ"),
        (" \u200b\u00ad ", ""),
        ("", ""),
    ],
)
def test_clean_label(label, cleaned):
    assert clean_label(label) == cleaned


@given(st.text())
def test_what_is_clean_stays(text):
    assert clean_label(clean_label(text)) == clean_label(text)
