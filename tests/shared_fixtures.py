"""Writes tests/fixtures/: what both Python and the page's JavaScript must answer, as JSON.

`python tests/shared_fixtures.py` writes the files anew, with the answers of Python. A new pooling of `POOLINGS` gets
its entry in poolings.json that way; portable.js must then give the same answers (test_fixtures.py).
"""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa

from flaxtext.model.architecture import Architecture, flatten_parameters, unflatten_parameters
from flaxtext.model.poolings import POOLINGS
from flaxtext.model.prediction import class_probabilities
from flaxtext.text.features import Features, fit_features
from flaxtext.text.token_ids import TokenIds
from flaxtext.text.tokenizers import tokenize
from flaxtext.text.words import TOKENIZERS, pieces, rules

FOLDER = Path(__file__).with_name("fixtures")

TEXTS = [
    "",
    " \t\n",
    "One word",
    "Don't stop; e-mail me_at once!",
    "ΑΣ.Α ΣΑΣ İstanbul STRASSE ß",
    "שלום עולם 🦊 👩‍🚀 naïve NAÏVE",
    "line\u2028line\u2029line\r\nnext\tcolumn\u00a0same word",
    "one\rtwo\vthree\ffour\x85five\u0084still\u2027still\u202astill six\r",
    "x<y>&z \"quoted\" 'single' {braces} [brackets] a|b ~c `d` \\e ^f",
    "1,000.5 % $100 #tag @name 3/4 a=b+c*d",
]
SCRIPTS = [
    "‘Curly’ l’été donʼt ＇x “quoted” — dash… «à» €5 → ★",
    "e\u0301 E\u0301 é H\u0331 T\u0308 ﬁn ŉa ǰ ΐ ᾴ α\u0345\u0301 K Ꭰ ꭰ e\u0323\u0302 e\u0302\u0323",
    " \u0301a \u0301 x\u200c\u0301y co\u00adop \ufeffbom a\u200bb a\u2060b \u00a0 a\u3000b 1½²",
    "我爱iPhone手机！𠀀\u3007豈 か\u3099カーｶﾞ・んヽ々",
    "สว\u0e31สด\u0e35คำ ๑๒ ສະບາຍດ\u0eb5 aกb",
    "ខ\u17d2ញ\u17bb\u17c6 ស\u17d2រឡ\u17b6ញ\u17cb က\u103b\u103dန\u103a မ\u1039မင\u103a\u1039ဂ \u17d2ក",
    "ह\u093f\u0902द\u0940 क़क\u093c می\u200cخواهم ש\u05c1\u05b8לו\u05b9ם 한국어 한",
    "👩\U0001f3fd\u200d🚀👨\u200d👩\u200d👧 ❤\ufe0f❤ ©\ufe0f© 🏳\ufe0f\u200d🌈😂😂ok",
    "🇩🇪🇫🇷🇩 1\ufe0f\u20e3 21\u20e3 #\ufe0f\u20e3 x\u20e3 🙂\u200d↔\ufe0f ↔ Ⓜ\ufe0f \U0001f3fd",
    "🏴\U000e0067\U000e0062\U000e007f a\U000e0067 😀\u0301a \u200d😀\u200d \ufe0f❤ ❤\u200da",
]
"""For `unicode`, what is beyond ASCII: letters, marks and what is not seen, scripts without spaces, emoji."""
WORDS = ["aa", "aab", "bb", "🦊a", "🦊b", "e\u0301a", "éa", "b", "aac", "ab"]
READS = [(None, 1), (2, 1), (None, 2), (2, 2), (1, 3)]
"""Prefix and n-grams."""

DOCUMENTS = [[], [1], [3, 0, 0], [1, 2, 3, 4, 5], [4, 4, 4, 4, 1], [10, 9, 8, 7, 6], [2, 1, 2, 1, 2]]
ROWS = 11
MAX_LEN = 5
CLASSES = 3


def tokenizer_cases():
    """For each tokenizer: texts, the words in them, and the pieces that they are cut into."""
    found = {}
    for name in TOKENIZERS:
        texts = TEXTS + SCRIPTS
        words = tokenize(pa.array(texts, pa.string()), name).to_pylist()
        cases = [
            {"text": text, "words": own, "pieces": [list(piece) for piece in pieces(text, name)]}
            for text, own in zip(texts, words, strict=True)
        ]
        found[name] = {"rules": rules(name), "cases": cases}
    return found


def feature_cases():
    """Word ids, and the rows that they and their prefixes and n-grams have, of whom every second n-gram is known."""
    ids = _ids()
    cases = []
    for prefix, ngrams in READS:
        words = pa.array(WORDS, pa.string())
        keys = fit_features(words, ids, prefix=prefix, ngrams=ngrams, min_count=1).keys[::2]
        features = Features(words, prefix=prefix, ngrams=ngrams, keys=keys)
        reads = {"max_len": MAX_LEN, "prefix": prefix, "first_prefix": len(WORDS) + 1, "ngrams": ngrams}
        reads["keys"] = keys.tolist()
        cases.append({"reads": reads, "ids": DOCUMENTS_OF_WORDS, "rows": features.expand(ids).tolist()})
    return {"words": WORDS, "cases": cases}


def pooling_cases():
    """Two tiny networks for each pooling, with and without a hidden layer, and what they answer."""
    return {
        name: [_case(Architecture(**_sizes(), pooling=name, embed_dim=3, hidden=hidden)) for hidden in (4, 0)]
        for name in POOLINGS
    }


def linear_cases():
    """A tiny linear model, and what it answers."""
    return [_case(Architecture(**_sizes()))]


DOCUMENTS_OF_WORDS = [[id_ for id_ in ids if id_] for ids in DOCUMENTS]


def _ids():
    offsets = np.cumsum([0, *map(len, DOCUMENTS_OF_WORDS)])
    return TokenIds(np.array([id_ for ids in DOCUMENTS_OF_WORDS for id_ in ids], np.int32), offsets).cut(MAX_LEN)


def _sizes():
    return {"rows": ROWS, "classes": CLASSES, "max_len": MAX_LEN}


def _case(architecture):
    named = {path: _numbers(shape, seed) for seed, (path, shape) in enumerate(architecture.shapes.items(), 1)}
    if architecture.is_linear:
        named["linear.temperature"] = np.float32(0.5)
        named["linear.idf"] = np.abs(named["linear.idf"])
        named["linear.idf"][[0, 7]] = 0  # padding, and a word that no training document holds
    ids = _ids()
    answers = class_probabilities(architecture, unflatten_parameters(named), ids, "numpy")
    return {
        "sizes": {"pooling": architecture.pooling, "embed_dim": architecture.embed_dim, "hidden": architecture.hidden},
        "parameters": {path: _listed(array) for path, array in flatten_parameters(unflatten_parameters(named)).items()},
        "ids": ids.tolist(),
        "probabilities": _listed(answers),
    }


def _numbers(shape, seed):
    """Numbers from -2 to 2 that look random, smaller for many inputs, and are the same on any machine."""
    counted = np.arange(int(np.prod(shape))) * 7919 + seed * 104_729
    inputs = shape[0] / 4 if len(shape) == 2 and shape[0] != ROWS else 1
    return ((counted**2 % 2001 - 1000) / 500 / np.sqrt(inputs)).round(3).astype(np.float32).reshape(shape)


def _listed(array):
    """An array as lists, to six digits."""
    return np.asarray(array, np.float64).round(6).tolist()


CASES = {
    "tokenizer.json": tokenizer_cases,
    "features.json": feature_cases,
    "poolings.json": pooling_cases,
    "linear.json": linear_cases,
}


def architecture_of(case):
    """The architecture of one of the models of the fixtures."""
    return Architecture(**_sizes(), **case["sizes"])


def parameters_of(case):
    """Its parameters, float32."""
    return unflatten_parameters({path: np.array(values, np.float32) for path, values in case["parameters"].items()})


def read_fixture(name):
    """What the file holds."""
    return json.loads((FOLDER / name).read_text(encoding="utf-8"))


def write_fixtures():
    """Write all files."""
    FOLDER.mkdir(exist_ok=True)
    for name, make in CASES.items():
        text = json.dumps(make(), ensure_ascii=True, separators=(",", ":"))
        (FOLDER / name).write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    write_fixtures()
