r"""What a word is: which characters make one, and what they become in it.

There are two tokenizers. `keras` parts words as Keras' `Tokenizer()` does: a text is lower-cased, and the characters of
`SEPARATORS` part words. Those are what Keras takes out, the space, and all that ends a line: Keras knows the line feed
alone, and would take `ball\r` of a file with Windows' line ends for another word than `ball`.

`unicode` does the same with ASCII, and in all other text:

- White space, punctuation, symbols and control characters part words.
- Letters, digits and their marks make words, in any script. Quotation marks and letters that stand for an apostrophe
  (U+2018, U+2019, U+02BC, U+FF07) are the apostrophe of ASCII, which is a letter, as in Keras.
- In scripts without spaces (Han, kana, Thai, Lao, Khmer, Myanmar and its neighbours) a character with its marks, and
  what is stacked below it, is a word.
- An emoji is a word, with its skin tone, what zero-width joiners join to it, or the tags of a flag; so is a flag of two
  letters, and a keycap.
- Characters that are not seen are dropped, as Unicode's NFKC_Casefold drops them: soft hyphens, joiners and
  variation selectors, marks of direction, byte order marks. A zero-width space parts words.
- Words are case-folded, and composed (NFC).

Classes of characters are a table of the package's own, so that words are the same in every version of Python.
Composition and case folding are Python's: they never change for a character once it is in Unicode, so that versions
differ in scripts alone that the older one does not know.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import cache
from typing import Any, Literal, get_args

import numpy as np

from flaxtext.text.word_classes import CLASSES, FORMS

Tokenizer = Literal["unicode", "keras"]
TOKENIZERS: tuple[Tokenizer, ...] = get_args(Tokenizer)

FILTERS = '!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n'
"""The characters that Keras' `Tokenizer` takes out by default."""

LINE_ENDS = "\r\v\f\x85\u2028\u2029"
"""The characters beside the line feed that end a line, as Unicode says (UAX 14, its classes BK, CR and NL)."""

SEPARATORS = FILTERS + LINE_ENDS + " "
"""What parts the words of `keras`."""

APOSTROPHES = "\u2018\u2019\u02bc\uff07"
"""What `unicode` makes an apostrophe of."""

SEPARATOR, DROPPED, INSIDE, BEGINS = range(4)
"""What a character is to the words of its text: between them, not seen, in a word or its first."""

_CLASSES = "SLMCEPTRGJVQKD"
"""As in `word_classes`, those first of which most text is made."""
_S, _L, _M, _C, _E, _P, _T, _R, _G, _J, _V, _Q, _K, _D = range(len(_CLASSES))
_KEYS = np.array([ord(key) for key in "0123456789#*"], np.uint32)


def segment(codes: np.ndarray) -> np.ndarray:
    """Find the words of `unicode` in code points, `uint32[n]`, of which the last is a separator.

    Returns `uint8[n]`: of each, whether it is `SEPARATOR`, `DROPPED`, `INSIDE` or `BEGINS`.
    """
    classes = _classes().take(codes)
    rare = np.flatnonzero(classes > _E)
    if not len(rare):
        return _places(classes)
    # What they come to hangs on two characters before and one after; the last stands for what is before the first.
    is_near = np.zeros(len(codes), bool)
    for step in range(-2, 2):
        is_near[np.maximum(rare + step, 0)] = True
    is_near[-1] = True
    near = np.flatnonzero(is_near)
    classes[near] = _resolve(codes.take(near), classes.take(near))
    dropped = near[classes.take(near) == _D]
    classes[dropped] = _M  # which parts no word either, and is of none without a letter before it
    places = _places(classes)
    places[dropped] = DROPPED
    return places


def _places(classes: np.ndarray) -> np.ndarray:
    """Do as `segment` does, for separators, letters, marks, and what is a word by itself, with its marks."""
    bases = classes
    marks = np.flatnonzero(classes == _M)
    if len(marks):  # is what it is a mark of; after a separator it is none
        bases = classes.copy()
        starts = np.diff(marks, prepend=-2) != 1
        bases[marks] = classes[marks[starts] - 1][np.cumsum(starts) - 1]
    begins = classes == _L
    begins[1:] &= bases[:-1] != _L
    begins |= classes >= _C
    places: np.ndarray = INSIDE * (bases != _S).view(np.uint8) + begins
    return places


def _resolve(codes: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Tell what the classes of few characters come to, each beside its neighbours: `uint8[n]`, up to `_E`, or `_D`."""
    classes = classes.copy()
    # At the first character, `- 1` is the last one, a separator. It ends what is at the last but one, too.
    keycaps = np.flatnonzero(classes == _Q)
    keys = keycaps - 1
    keys -= classes[keys] == _V
    classes[keys[np.isin(codes[keys], _KEYS)]] = _E
    classes[keycaps] = _M
    selectors = np.flatnonzero(classes == _V)
    chosen = classes[selectors - 1] == _P
    classes[selectors[chosen] - 1] = _E
    classes[selectors] = np.where(chosen, _M, _D)
    classes[classes == _P] = _S

    # What follows goes by the neighbours that are seen.
    seen = np.flatnonzero(classes != _D)
    before = classes[seen]
    after = before.copy()
    is_emoji = (before == _E) | (before == _T)

    joiners = np.flatnonzero(before == _J)
    joined = is_emoji[joiners - 1] & (before[joiners + 1] == _E)
    after[joiners] = np.where(joined, _M, _D)
    after[joiners[joined] + 1] = _M
    tones = np.flatnonzero(before == _T)
    after[tones] = np.where(before[tones - 1] == _E, _M, _E)
    tags, first, _ = _runs(before == _G)
    after[tags] = np.where(is_emoji[first - 1], _M, _D)
    letters, _, place = _runs(before == _R)
    after[letters] = np.where(place % 2, _M, _E)
    stackers = np.flatnonzero(before == _K)
    previous = before[stackers - 1]
    stacks = (previous == _C) | ((previous == _M) & (before[stackers - 2] == _C))
    after[stackers] = _M
    stacked = stackers[stacks] + 1
    after[stacked[before[stacked] == _C]] = _M

    classes[seen] = after
    return classes


def _runs(found: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return where `found: bool[n]` is true, and of each place the first of its run and how far it is from that."""
    places = np.flatnonzero(found)
    starts = np.diff(places, prepend=-2) != 1
    first = places[starts][np.cumsum(starts) - 1]
    return places, first, places - first


def fold(words: str) -> str:
    """Case-fold and compose words of `unicode`, with line feeds between them."""
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", words).casefold())
    for apostrophe in APOSTROPHES:
        folded = folded.replace(apostrophe, "'")
    return folded


def fold_codes(codes: np.ndarray, begins: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Do as `fold` does, for many words at once.

    Args:
        codes: `uint32[n]`, the words, one directly after the other.
        begins: `int64[words]`, where each begins.

    Returns:
        Both, for the words folded.
    """
    folded = _folded().take(codes)
    forms = folded >> _FORM
    folded &= _CODE
    # Python folds the few words that NumPy cannot: where a character becomes several, or may be composed or moved.
    special = forms == _COMPOSES
    moves = forms == _MOVES
    special[1:] |= moves[1:] & moves[:-1]
    words = np.searchsorted(begins, np.flatnonzero(special), side="right") - 1
    words = words[np.diff(words, prepend=-1) > 0]
    if not len(words):
        return folded, begins
    starts, ends = begins[words], np.append(begins, len(codes))[words + 1]
    lengths = ends - starts
    before = np.cumsum(lengths) - lengths
    places = np.arange(lengths.sum()) + np.repeat(starts - before, lengths)
    lines = np.insert(codes[places], before[1:], _LINE_FEED)
    found = code_points(fold(lines.tobytes().decode("utf-32-le")))
    line_feeds = np.flatnonzero(found == _LINE_FEED)
    bounds = np.concatenate([[-1], line_feeds, [len(found)]])
    longer = np.diff(bounds) - 1 - lengths
    is_as_long = np.repeat(longer == 0, lengths)
    letters = np.delete(found, line_feeds)
    folded[places[is_as_long]] = letters[np.repeat(longer == 0, lengths + longer)]
    if is_as_long.all():
        return folded, begins
    parts, last = [], 0
    for word in np.flatnonzero(longer).tolist():
        parts += [folded[last : starts[word]], found[bounds[word] + 1 : bounds[word + 1]]]
        last = ends[word]
    shifts = np.zeros(len(begins) + 1, np.int64)
    shifts[words + 1] = longer
    return np.concatenate([*parts, folded[last:]]), begins + np.cumsum(shifts[:-1])


def pieces(text: str, tokenizer: Tokenizer) -> list[tuple[str, str]]:
    """Cut a text into pieces, which join to it, each with its word, which is empty for what is between words."""
    if tokenizer == "keras":
        # The text as a whole is lower-cased: what a final sigma becomes hangs on what follows it.
        pairs = zip(_KERAS_PIECES.findall(text), _KERAS_PIECES.findall(text.lower()), strict=True)
        return [(piece, "" if word[0] in SEPARATORS else word) for piece, word in pairs]
    return list(_unicode_pieces(text))


_KERAS_PIECES = re.compile(f"[{re.escape(SEPARATORS)}]+|[^{re.escape(SEPARATORS)}]+")


def _unicode_pieces(text: str) -> Iterator[tuple[str, str]]:
    places = segment(code_points(text + "\n"))[:-1].tolist()
    start, between = 0, True
    word: list[str] = []
    for index, place in enumerate(places):
        if place == BEGINS or (place == SEPARATOR and not between):
            if index:
                yield text[start:index], fold("".join(word))
            start, word = index, []
        if place != DROPPED:
            between = place == SEPARATOR
        if place in (INSIDE, BEGINS):
            word.append(text[index])
    if text:
        yield text[start:], fold("".join(word))


def code_points(text: str) -> np.ndarray:
    """Return the code points of a text, `uint32[len(text)]`."""
    return np.frombuffer(text.encode("utf-32-le"), np.dtype("<u4"))


def rules(tokenizer: Tokenizer) -> dict[str, Any]:
    """Return what a program that finds the same words must know, as JSON can hold it."""
    if tokenizer == "keras":
        return {"name": tokenizer, "separators": SEPARATORS}
    cased = [chr(code) for code in range(_CASED) if not 0xD800 <= code < 0xE000]
    # What case folding makes of a character, where that is not its small letter.
    foldings = {one: one.casefold() for one in cased if one.casefold() != one.lower()}
    return {"name": tokenizer, "classes": CLASSES, "foldings": foldings, "apostrophes": APOSTROPHES}


_LINE_FEED = ord("\n")
_FORMS = "FCM"
"""As in `word_classes`."""
_COMPOSES, _MOVES = 1, 2


@cache
def _classes() -> np.ndarray:
    """The class of each code point, `uint8[0x110000]`, an index into `_CLASSES`."""
    return _expand(CLASSES, _CLASSES)


@cache
def _folded() -> np.ndarray:
    """What case folding makes of each code point, `uint32[0x110000]`, and above its 21 bits what composing may do.

    A character that becomes several is as one that may be composed.
    """
    forms = _expand(FORMS, _FORMS).astype(np.uint32)
    folded = np.arange(len(forms), dtype=np.uint32)
    for start in range(0, _CASED, _BLOCK):
        block = folded[start : start + _BLOCK].tobytes().decode("utf-32-le", "surrogatepass").casefold()
        if len(block) == _BLOCK:  # no character became several
            folded[start : start + _BLOCK] = np.frombuffer(block.encode("utf-32-le", "surrogatepass"), "<u4")
            continue
        for code in range(start, start + _BLOCK):
            if len(one := chr(code).casefold()) == 1:
                folded[code] = ord(one)
            else:
                forms[code] = _COMPOSES
    folded[[ord(apostrophe) for apostrophe in APOSTROPHES]] = ord("'")
    folded |= forms << _FORM
    return folded


_CASED, _BLOCK = 0x20000, 0x100
"""No character from the one on has cases; the other is how many are folded at a time."""
_FORM, _CODE = 21, (1 << 21) - 1


def _expand(runs: str, letters: str) -> np.ndarray:
    """Read runs of `word_classes`: `uint8[0x110000]`, indices into `letters`."""
    found = re.findall("([A-Z])([0-9a-z]+)", runs)
    kinds = np.array([letters.index(letter) for letter, _ in found], np.uint8)
    return np.repeat(kinds, [int(length, 36) for _, length in found])
