"""Words of the tokenizer `unicode`."""

import csv
import re
import shutil
import subprocess
import sys
import unicodedata

import numpy as np
import pyarrow as pa
import pytest
from conftest import CASES, PROJECT
from hypothesis import given
from hypothesis import strategies as st
from javascript import NODE, in_javascript

from flaxtext.text.tokenizers import tokenize
from flaxtext.text.word_classes import CLASSES
from flaxtext.text.words import TOKENIZERS, fold, pieces

ODD = (
    *"aZß'İŉΣςé\u0301\u0323中か\u3099한각ᄒ\u1161\u11ab‘’ʼ＇#1* -_\n\u00a0\u2028\u3000\x85\x01",
    *"😀👩❤©↔🇩🇪🏴\U0001f3fd\U000e0067\U000e007f\u200d\u200c\ufe0f\u20e3\u00ad\u200b\ufeff\u2060",
    *("กู้", "ក្ខ", "မ္မ", "क़", "ज\u093c", "K", "豈", "ǰ", "ﬁ"),
)
odd_texts = st.lists(st.sampled_from(ODD), max_size=10).map("".join) | st.text(max_size=10)


def words(texts, tokenizer="unicode"):
    return tokenize(pa.array(texts, pa.string()), tokenizer).to_pylist()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Straße GRÖSSE größe", ["strasse", "grösse", "grösse"]),
        ("ΟΔΟΣ οδος ΆΛΦΑ", ["οδοσ", "οδοσ", "άλφα"]),
        ("Привет, МИР—Ёж…", ["привет", "мир", "ёж"]),
        ("l’été «déjà» don’t ‘tis", ["l'été", "déjà", "don't", "'tis"]),
        ("I\u0307ZMİR ısı", ["i\u0307zmi\u0307r", "ısı"]),
        ("tiếng Việt tie\u0302\u0301ng", ["tiếng", "việt", "tiếng"]),
        ("שָׁלוֹם, עולם", ["שָׁלוֹם", "עולם"]),
        ("مَرْحَبًا می\u200cخواهم؟ ١٢٣", ["مَرْحَبًا", "میخواهم", "١٢٣"]),
        ("हिन्दी में ज़रूर।", ["हिन्दी", "में", "ज़रूर"]),
        ("한국어 단어\u3000각", ["한국어", "단어", "각"]),
        ("我爱iPhone手机！", ["我", "爱", "iphone", "手", "机"]),
        ("カタカナー・ｶﾞひらがな", [*"カタカナー", "ｶﾞ", *"ひらがな"]),
        ("สวัสดี น้ำ ๑๒", ["ส", "วั", "ส", "ดี", "น้ำ", "๑๒"]),
        ("ສະບາຍດີ", ["ສ", "ະ", "ບ", "າ", "ຍ", "ດີ"]),
        ("ខ្ញុំ ស្រឡាញ់", ["ខ្ញុំ", "ស្រ", "ឡា", "ញ់"]),
        ("မြန်မာ သင်္ဘော", ["မြ", "န်", "မာ", "သ", "င်္ဘော"]),
        ("བོད་ཡིག", ["བོད", "ཡིག"]),
        ("a\u00a0b\u2003c\u202fd\u3000e\u2028f\u200bg\x85h", list("abcdefgh")),
        ("a—b–c…d“e”f•g€h×i→j™k§l\ufffdm", list("abcdefghijklm")),
        ("co\u00adoperate \ufeffbom a\u2060b", ["cooperate", "bom", "ab"]),
        ("so good😂😂 ❤️❤ ok👍🏽!", ["so", "good", "😂", "😂", "❤", "❤", "ok", "👍🏽"]),
        ("👩🏽‍🚀👨‍👩‍👧 🇩🇪🇫🇷🇩 🏴󠁧󠁢󠁥󠁮󠁧󠁿", ["👩🏽‍🚀", "👨‍👩‍👧", "🇩🇪", "🇫🇷", "🇩", "🏴󠁧󠁢󠁥󠁮󠁧󠁿"]),
        ("21\ufe0f\u20e3 #\ufe0f\u20e3 ©\ufe0f©", ["2", "1\u20e3", "#\u20e3", "©\ufe0f"]),
        ("\u0301a \u0301 x\u0301", ["a", "x\u0301"]),
        ("a\x01b\x7f \u0084c\ue000d", ["a\x01b\x7f", "c", "d"]),  # ASCII as in Keras
        ("", []),
    ],
)
def test_one_text(text, expected):
    assert words([text]) == [expected]


@given(st.lists(st.text(st.characters(max_codepoint=127))))
def test_ascii_is_as_in_keras(texts):
    assert words(texts) == words(texts, "keras")
    with_others = words([*texts, "é"])[:-1]
    assert with_others == words(texts)
    assert [[word for _, word in pieces(text, "unicode") if word] for text in texts] == with_others


@given(st.lists(odd_texts | st.text(alphabet="ab C.", max_size=9)))
def test_a_text_has_its_words_in_any_company(texts):
    assert words(texts) == [words([text])[0] for text in texts]


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
@given(odd_texts)
def test_pieces_join_to_the_text_and_hold_the_words(tokenizer, text):
    cut = pieces(text, tokenizer)
    assert "".join(piece for piece, _ in cut) == text
    assert [word for _, word in cut if word] == words([text], tokenizer)[0]
    assert all(piece for piece, _ in cut)


@given(odd_texts)
def test_words_are_composed_and_folded_and_stay_what_they_are(text):
    [found] = words([text])
    for word in found:
        assert word == fold(word)
        assert unicodedata.is_normalized("NFC", word)
        assert not re.search(r"[ ‘’ʼ＇\u00a0\u2028\u3000]", word)
    if "\u0345" not in text:  # of which folding makes a letter, even after a character that is a word by itself
        assert words([" ".join(found)]) == [found]


@given(odd_texts)
def test_composed_and_decomposed_texts_have_the_same_words(text):
    forms = [unicodedata.normalize(form, text) for form in ("NFC", "NFD")]
    assert words(forms) == words([text]) * 2


@given(st.text(alphabet="aB' .é中"), st.sampled_from("‘’＇ʼ"), st.sampled_from("\u00a0\u2009\u3000\u2028"))
def test_curly_text_has_the_words_of_ascii(text, apostrophe, space):
    assert words([text.replace("'", apostrophe).replace(" ", space)]) == words([text])


def test_keras_and_unicode_differ():
    text = "l’été\u00a0中文"
    assert words([text], "keras") == [[text]]
    assert words([text]) == [["l'été", "中", "文"]]


def test_an_emoji_is_a_word():
    """Whatever Unicode recommends for interchange, but for letters with a sign of emoji behind them."""
    if NODE is None:
        pytest.skip("no node on this machine")
    emoji = in_javascript(
        """() => {
          const found = [];
          for (let code = 0xa9; code < 0x20000; code++) {
            const one = String.fromCodePoint(code);
            for (const text of [one, one + "\\ufe0f"]) if (/^\\p{RGI_Emoji}$/v.test(text)) found.push(text);
            const toned = one + "\\u{1f3fd}";
            if (/^\\p{Emoji_Modifier_Base}$/u.test(one)) found.push(toned, toned + "\\u200d\\u{1f91d}");
          }
          return found;
        }""",
        None,
    )
    assert len(emoji) > 1500
    one_word = [one for one, found in zip(emoji, words(emoji), strict=True) if len(found) == 1]
    assert set(emoji) - set(one_word) == {"\u24c2\ufe0f"}


def test_classes_agree_with_unicodedata():
    """On the characters that both know."""
    runs = re.findall("([A-Z])([0-9a-z]+)", CLASSES)
    classes = np.repeat([letter for letter, _ in runs], [int(length, 36) for _, length in runs])
    assert len(classes) == 0x110000
    for code in range(128, 0x110000):
        category, found = unicodedata.category(chr(code)), classes[code]
        if category[0] == "L" and found not in "LCMD":
            raise AssertionError(hex(code))
        if category[0] == "N" and found not in "LC":
            raise AssertionError(hex(code))
        if category[0] == "M" and found not in "MVQKD":
            raise AssertionError(hex(code))
        if category[0] in "PZ" and found not in "SPL":
            raise AssertionError(hex(code))
    assert "".join(classes[[0xAD, 0x200B, 0x200D, 0xFE0F, 0x2019, 0x4E2D, 0x1F600, 0xA9]]) == "DSJVLCEP"


@pytest.mark.slow
def test_the_table_is_what_the_tool_writes():
    if shutil.which("node") is None:
        pytest.skip("no node on this machine")
    version = subprocess.run(
        ["node", "-p", "process.versions.unicode"], capture_output=True, encoding="utf-8", check=True
    ).stdout.strip()
    if f'UNICODE = "{version}"' not in (PROJECT / "flaxtext/text/word_classes.py").read_text():
        pytest.skip(f"node knows Unicode {version}, another version than the table's")
    ran = subprocess.run([sys.executable, "-m", "tools.word_classes", "--check"], cwd=PROJECT, check=False)
    assert ran.returncode == 0


def read_texts(name):
    if not (path := CASES / name).exists():
        pytest.skip(f"no ../shared/cases/{name} on this machine")
    with path.open(encoding="utf-8", newline="") as file:
        return [row["text"] for row in csv.DictReader(file)]


def test_no_break_spaces_part_words():
    texts = [*read_texts("nbsp_text.csv"), "no\u00a0break\u202fspace"]
    assert any("\u00a0" in text for text in texts[:-1])
    assert words(texts) == words([re.sub(r"\s", " ", text) for text in texts], "keras")


def test_curly_texts_have_the_words_of_ascii():
    """But for the emoji and the `'s` that the ones have and the others lack."""
    plain = [[word.removesuffix("'s") for word in text if word.isascii()] for text in words(read_texts("curly.csv"))]
    assert plain == words(read_texts("ascii.csv"), "keras")
