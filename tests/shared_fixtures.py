"""Writes tests/fixtures/: what both Python and the page's JavaScript must answer, as JSON.

`python tests/shared_fixtures.py` writes the files anew, with the answers of Python. A new pooling of `POOLINGS` gets
its entry in poolings.json that way; portable.js must then give the same answers (test_fixtures.py).
"""

import json
from dataclasses import asdict, fields
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa

from flaxtext.model.architecture import Architecture, flatten_parameters, unflatten_parameters
from flaxtext.model.classifier import Classifier, ModelInfo, arrange
from flaxtext.model.poolings import POOLINGS
from flaxtext.model.prediction import class_probabilities
from flaxtext.text.features import FeatureIds, Features, Reading, fit_features
from flaxtext.text.token_ids import TokenIds, number_words
from flaxtext.text.tokenizers import tokenize
from flaxtext.text.vocabulary import Vocabulary
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
READINGS = [
    Reading(),
    Reading(prefix=2),
    Reading(ngrams=2),
    Reading(prefix=2, ngrams=2),
    Reading(ngrams=3),
    Reading(characters=3),
    Reading(ngrams=2, marks=True),
    Reading(prefix=1, ngrams=3, marks=True, characters=4),
    Reading(prefix=2, ngrams=2, characters=2, vectors=True),
]
COMMA, DOTS, FACE = (-(4 * ord(mark) + run) for mark, run in [(",", 1), (".", 3), ("🙂", 2)])
DOCUMENTS = [
    [],
    ["aa"],
    ["bb", "aab", "bb", "aab", "bb", "aab"],
    ["aa", COMMA, "aab", "bb", "🦊a", "🦊b"],
    ["e\u0301a", DOTS, "éa", DOTS, "éa", FACE],
    ["aa", "unknown", "aab", "🦊c", "aa", "aabb"],
    [COMMA, "zz", "z", "🦊", "b"],
    ["🦊b", "🦊b", "🦊b", "🦊b", "ab"],
]
"""Words, of which the vocabulary lacks some, and marks."""

BLOCK = [
    [0, 0, 0, 0, 0],
    [1, 0, 0, 0, 0],
    [3, 2, 3, 3, 0],
    [1, 2, 3, 4, 5],
    [4, 4, 4, 4, 1],
    [10, 9, 8, 7, 6],
    [1, 7, 10, 10, 9],
]
"""Documents as rows of a table."""
ROWS = 11
MAX_LEN = 5
CLASSES = 3
FIRST_CHARACTER, FIRST_VECTOR = 6, 9
"""The rows of the first n-gram of characters and of the first word with a vector, where rows are weighted."""
VECTORS = [1, 3, 9, 10]
"""Words that have vectors; those from id 9 on have no rows of their own."""


def tokenizer_cases():
    """For each tokenizer: texts, the words in them, these with the marks, and the pieces that they are cut into."""
    found = {}
    for name in TOKENIZERS:
        texts = TEXTS + SCRIPTS
        words = tokenize(pa.array(texts, pa.string()), name).to_pylist()
        cases = [
            {
                "text": text,
                "words": own,
                "with_marks": with_marks(text, name),
                "pieces": [list(piece) for piece in pieces(text, name)],
            }
            for text, own in zip(texts, words, strict=True)
        ]
        found[name] = {"rules": rules(name), "cases": cases}
    return found


def with_marks(text, tokenizer):
    """The words and marks of a text, by Python."""
    texts = pa.array([text], pa.string())
    found = number_words(texts, Vocabulary(pa.array([], pa.string()), np.zeros(0, np.int64), tokenizer), marks=True)
    return [found.unknown[id_ - 1].as_py() if id_ > 0 else id_ for id_ in found.ids.tolist()]


def feature_cases():
    """Documents, and the rows of their words, prefixes and n-grams, of which every second is known."""
    words = pa.array(WORDS, pa.string())
    cases = []
    for reading in READINGS:
        documents = token_ids(DOCUMENTS, WORDS, marks=reading.marks)
        own = {"vectors": np.array(VECTORS, np.int32), "n_known": 8} if reading.vectors else {}
        fitted = fit_features(words, documents, reading, **own)
        for tokenizer in ("unicode", "keras"):
            reads = {"max_len": MAX_LEN, "padded": False, "drops_unknown": tokenizer == "keras", **asdict(reading)}
            reads |= {"ngram_keys": fitted.ngrams[::2].tolist(), "character_keys": fitted.characters[::2].tolist()}
            reads |= {"vector_ids": fitted.vectors.tolist(), "n_known": fitted.n_known}
            cases.append({"reading": reads, "rows": expand(reads, WORDS, DOCUMENTS)})
    return {"words": WORDS, "documents": DOCUMENTS, "cases": cases}


def expand(reads, words, documents):
    """The rows of documents by Python, a list for each document."""
    features = features_of(reads, words)
    tokenizer = "keras" if reads["drops_unknown"] else "unicode"
    strings = pa.array(words, pa.string())
    architecture = Architecture(features.rows, CLASSES, "mean", 2, max_len=reads["max_len"], **asdict(features.reading))
    vocabulary = Vocabulary(strings, np.ones(len(words), np.int64), tokenizer)
    model = Classifier(ModelInfo([]), architecture, [], vocabulary, features)
    found = features.expand(model.cut(token_ids(documents, words, marks=features.reading.marks)))
    return [found.rows[found.offsets[i] : found.offsets[i + 1]].tolist() for i in range(len(documents))]


def features_of(reads, words):
    """What one of the fixtures' readings reads."""
    reading = Reading(*(reads[field.name] for field in fields(Reading)))
    keys = [np.array(reads[name], np.uint32) for name in ("ngram_keys", "character_keys")]
    vectors = np.array(reads["vector_ids"], np.int32)
    return Features(pa.array(words, pa.string()), reading, *keys, vectors, n_known=reads["n_known"])


def token_ids(documents, words, *, marks):
    """Words and marks by id; words that are not among `words` are numbered beyond them."""
    number = {word: index for index, word in enumerate(words, 1)}
    unknown = {}
    lists = []
    for tokens in documents:
        lists.append([])
        for token in tokens:
            if isinstance(token, str):
                beyond = len(words) + 1 + unknown.setdefault(token, len(unknown)) if token not in number else 0
                lists[-1].append(number.get(token, beyond))
            elif marks:
                lists[-1].append(token)
    ids = np.array([id_ for ids in lists for id_ in ids], np.int32)
    return TokenIds(ids, np.cumsum([0, *map(len, lists)]), pa.array(list(unknown), pa.string()))


def pooling_cases():
    """Tiny networks for each pooling, with and without a hidden layer and layers at all, and what they answer."""
    of_classes = {"embed_dim": CLASSES, "hidden": 0, "output": False}
    sizes = [{"embed_dim": 3, "hidden": 4}, {"embed_dim": 3, "hidden": 0}]
    return {
        name: [_case({"pooling": name, **own}) for own in [*sizes, *([of_classes] if pooling.weighs else [])]]
        for name, pooling in POOLINGS.items()
    }


def _case(sizes):
    architecture = _architecture(sizes)
    named = {path: _numbers(shape, seed) for seed, (path, shape) in enumerate(architecture.shapes.items(), 1)}
    if architecture.weighs:
        named["embedding.idf"] = np.abs(named["embedding.idf"]) + np.float32(0.5)
        named["embedding.idf"][[0, 3]] = 0  # padding, and a word that no training document holds
    parameters = unflatten_parameters(named)
    return {
        "sizes": sizes,
        "firsts": [FIRST_CHARACTER, FIRST_VECTOR],
        "parameters": {path: _listed(array) for path, array in flatten_parameters(parameters).items()},
        "rows": BLOCK,
        "probabilities": _listed(compute(architecture, parameters, BLOCK, "numpy")),
    }


def compute(architecture, parameters, rows, backend):
    """What a network answers to documents given as rows of its table."""
    features = FeatureIds(np.array(rows, np.int32).reshape(-1), np.arange(len(rows) + 1) * len(rows[0]))
    idf = np.asarray(parameters["embedding"]["idf"]) if architecture.weighs else None
    blocks = SimpleNamespace(first_character=FIRST_CHARACTER, first_vector=FIRST_VECTOR)
    return class_probabilities(architecture, parameters, arrange(architecture, features, idf, blocks), backend)


def _architecture(sizes):
    return Architecture(rows=ROWS, classes=CLASSES, max_len=MAX_LEN, **sizes)


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
}


def architecture_of(case):
    """The architecture of one of the models of the fixtures."""
    return _architecture(case["sizes"])


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
