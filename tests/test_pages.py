import copy
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flaxtext.explain import pages
from flaxtext.explain.pages import highlight, largest_weight
from flaxtext.text.words import TOKENIZERS

HOSTILE = [
    "<script>alert(1)</script>",
    "</title></style><img src=x onerror=alert(1)>",
    "\"quoted\" 'single' & ampersand {{ 7 * 7 }} {% raw %}",
    "שלום עולם",
    "🦊 emoji 👩‍🚀",
    "line\nline\r\n\tend",
]


def document(text="Some RFID tags", word="rfid", true="World", predicted="Sci/Tech"):
    explanations = [
        {
            "class": name,
            "intercept": 0.1,
            "score": 0.8,
            "local_prediction": 0.9,
            "words": [{"word": word, "weight": 0.25}, {"word": "tags", "weight": -0.125}],
        }
        for name in dict.fromkeys([predicted, true])
    ]
    return {
        "row": 7,
        "reason": "mistake",
        "text": text,
        "true": {"class": true, "probability": 0.0123},
        "predicted": {"class": predicted, "probability": 0.9},
        "explanations": explanations,
    }


def render_explanations(variant, documents):
    return pages.render_explanations(variant, documents, "unicode")


class Page(HTMLParser):
    """The tags and the text of a page, as a browser reads them."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.texts, self.marks, self.open = [], [], [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "br"):
            self.open.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        self.texts.append(data)
        if self.open and self.open[-1][0] == "mark":
            self.marks.append((data, self.open[-1][1]["class"]))

    @property
    def text(self):
        return "".join(self.texts)


def test_shows_the_document_and_its_words():
    page = Page(render_explanations("average_20", [document()]))
    assert page.open == []
    for shown in ("average_20", "Row 7", "confident mistake", "World", "0.012", "Sci/Tech", "0.900", "R²\xa00.80"):
        assert shown in page.text
    assert page.marks[-2:] == [("RFID", "for"), ("tags", "against")]
    assert "+0.250" in page.text
    assert "−0.125" in page.text
    assert page.text.count("For or against") == 2


def test_one_explanation_where_the_prediction_is_right():
    page = Page(render_explanations("v", [document(true="Sci/Tech")]))
    assert page.text.count("For or against") == 1


def test_a_document_without_words_and_no_document():
    empty = document(text="")
    for explanation in empty["explanations"]:
        explanation["words"] = []
    assert "This document has no words." in render_explanations("v", [empty])
    assert "No document was chosen." in render_explanations("v", [])
    flat = document()
    for explanation in flat["explanations"]:
        explanation["words"] = [{"word": "rfid", "weight": 0.0}]
    assert not [mark for mark in Page(render_explanations("v", [flat])).marks if mark[0] == "RFID"]


def test_is_self_contained():
    page = render_explanations("v", [document()])
    for outside in ("http:", "https:", "//", "<script", "<link", "@import", "url("):
        assert outside not in page


@pytest.mark.parametrize("hostile", HOSTILE)
def test_escapes_texts_words_labels_and_the_name(hostile):
    plain = Page(render_explanations("v", [document()]))
    page = Page(render_explanations(hostile, [document(hostile, hostile, f"{hostile}1", f"{hostile}2")]))
    marks = sum(tag == "mark" for tag, _ in page.tags) - sum(tag == "mark" for tag, _ in plain.tags)
    assert marks <= 0  # no tag that the template does not write
    assert {tag for tag, _ in page.tags} <= {tag for tag, _ in plain.tags}
    assert page.open == []
    assert page.text.count(hostile) >= 5


def test_escapes_a_hostile_word_inside_a_mark():
    hostile = document(text='a "<x>" b', word="x")
    assert "&lt;<mark" in render_explanations("v", [hostile])


def test_texts_and_words_of_either_direction_stand_apart():
    page = render_explanations("v", [document("שלום rfid", "שלום")])
    assert 'dir="auto"' in page
    assert '<bdi class="word">שלום</bdi>' in page


def test_cuts_a_very_long_text():
    page = render_explanations("v", [document("word " * 40_000)])
    assert len(page) < 40_000
    assert "and 196,000 more characters" in page


def test_leaves_its_input_alone():
    given_documents = [document()]
    before = copy.deepcopy(given_documents)
    render_explanations("v", given_documents)
    assert given_documents == before


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
def test_highlights_between_the_separators_in_lower_case(tokenizer):
    words = [{"word": "rfid", "weight": 0.5}, {"word": "don't", "weight": -0.1}]
    assert highlight("RFID-tags, rfid\tDon't", words, tokenizer) == [
        ("RFID", 0.5),
        ("-", 0.0),
        ("tags", 0.0),
        (", ", 0.0),
        ("rfid", 0.5),
        ("\t", 0.0),
        ("Don't", -0.1),
    ]


def test_highlights_words_as_they_are_written():
    words = [{"word": "don't", "weight": 0.5}, {"word": "中", "weight": 0.1}, {"word": "❤", "weight": -1.0}]
    assert highlight("DON’T 中文❤\ufe0f!", words, "unicode") == [
        ("DON’T", 0.5),
        (" ", 0.0),
        ("中", 0.1),
        ("文", 0.0),
        ("❤\ufe0f", -1.0),
        ("!", 0.0),
    ]


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
@given(st.text())
def test_highlighted_pieces_join_to_the_text(tokenizer, text):
    assert "".join(piece for piece, _ in highlight(text, [{"word": "a", "weight": 1.0}], tokenizer)) == text


def test_largest_weight_is_never_zero():
    assert largest_weight(document()) == 0.25
    assert largest_weight({"explanations": [{"words": []}]}) == 1
    assert largest_weight({"explanations": [{"words": [{"word": "a", "weight": 0.0}]}]}) == 1
