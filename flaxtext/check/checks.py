"""What is wrong with labelled text, as fractions from 0 to 1: copies, leaks into test, contradictions, markup.

Two documents are the same if their words are (`flaxtext.text.words`): case, punctuation and spacing do not count.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flaxtext.artifacts.corpus import Corpus
from flaxtext.check.class_names import similar_classes
from flaxtext.check.near_duplicates import most_similar, shingle_sets
from flaxtext.core.parallel import ordered_map
from flaxtext.core.printable import LENGTH, name_some, percent, visible
from flaxtext.text.tokenizers import tokenize
from flaxtext.text.vocabulary import Vocabulary

SPLITS = ("train", "test")


@dataclass(frozen=True)
class CheckDescription:
    """How to speak of a check.

    Attributes:
        of: what its share is a share of.
        says: what is the matter with them, and what comes of it.
        fix: what to do about it; `{source}` stands for the name of the source in params.yaml.
        unless: where there is nothing to do.
        splits: those that it looks at.
        bearable: the share up to which it is not worth a warning.
    """

    of: str
    says: str
    fix: str
    unless: str = ""
    splits: tuple[str, ...] = SPLITS
    bearable: float = 0.0


RARE = 10
"""Documents of a class in train below which it is rare."""

CHECKS = {
    "leakage": CheckDescription(
        "documents",
        "are also in train, word for word: figures on test are flattering",
        "delete these rows from the test file, or leave sources.{source}.test out: the split keeps equal texts "
        "together",
        splits=("test",),
    ),
    "near_leakage": CheckDescription(
        "documents",
        "are in train except for some words: figures on test are flattering",
        "delete these rows from the test file",
        "new documents will repeat old ones as often",
        splits=("test",),
    ),
    "duplicates": CheckDescription(
        "documents",
        "repeat an earlier one word for word: they count more than once",
        "delete these rows",
        "new documents will repeat as often",
    ),
    "near_duplicates": CheckDescription(
        "documents", "repeat an earlier one except for some words", "delete these rows", "they are not copies to you"
    ),
    "label_conflicts": CheckDescription(
        "documents",
        "have the words of a document of another class: no model gets both right",
        "correct the labels of these rows",
        "both labels are right",
    ),
    "empty": CheckDescription(
        "documents",
        "have no words: a model can only guess",
        "set sources.{source}.skip_empty: true, which leaves out those without text, and delete the other rows",
    ),
    "markup": CheckDescription(
        "documents",
        "hold HTML tags or entities, whose pieces become words",
        "take tags and entities out of the texts of sources.{source}",
        "new documents will hold them, too",
    ),
    "cut": CheckDescription(
        "documents",
        "have more words than check.length",
        "raise check.length, and max_len of the variants that cut",
        "variants.NAME.max_len is null: such a variant reads documents whole",
    ),
    "cut_words": CheckDescription(
        "words",
        "lie beyond check.length",
        "raise check.length, and max_len of the variants that cut",
        "variants.NAME.max_len is null: such a variant reads documents whole",
    ),
    "unknown_words": CheckDescription(
        "words",
        "are not in the vocabulary: a model has at most their characters to go by",
        "lower build_vocab.min_count, raise build_vocab.max_words, or label more documents",
        "these keep every word, being 1 and null: new texts have new words",
        bearable=0.1,
    ),
    "similar_classes": CheckDescription(
        "documents",
        "are of a class whose name is a larger one's except for case, spacing or form: are they one?",
        "merge the classes under sources.{source}.classes",
        "they are not one",
    ),
    "rare_classes": CheckDescription(
        "classes",
        f"have fewer than {RARE} documents, too few to learn them by",
        "label more documents of them, or merge them with others under sources.{source}.classes",
        splits=("train",),
    ),
    "imbalance": CheckDescription(
        "documents of the largest class",
        "are what the smallest class lacks",
        "set class_weights: balanced under variants.NAME, so that rare classes count as much, or label more documents "
        "of them",
        bearable=0.9,
    ),
}
"""Every check, by its name in the metrics; `max_` before it is its limit in params.yaml."""

LENGTHS = (50, 100, 200, 500, 1000, 5000)
"""Words a document, beyond which documents are counted."""

TAGS = (
    "a|abbr|address|article|b|big|blockquote|body|br|center|cite|code|dd|div|dl|dt|em|embed|font|footer|form|h[1-6]|head|"
    "header|hr|html|i|iframe|img|input|ins|label|li|link|main|meta|nav|object|ol|option|p|param|pre|s|script|section|"
    "select|small|span|strike|strong|style|sub|sup|table|tbody|td|tfoot|th|thead|title|tr|tt|u|ul|video"
)
MARKUP = (
    rf"</?(?i:{TAGS})(?:\s[^<>]*)?/?>|&(?:[A-Za-z]\w*|#x?[0-9A-Fa-f]+);"
    r"|\b(?:quot|amp|lt|gt|nbsp|apos);|#(?:[0-9]{2,5}|x[0-9A-Fa-f]{2,5});"
)
"""HTML tags and entities, and what is left of an entity that lost its `&`, as in `it #39;s`; in RE2's syntax."""
EXCERPT = 200
"""Characters of a document that are shown."""


@dataclass(frozen=True)
class CheckedDocuments:
    """What the checks know of n documents, those of train first, in file order.

    Attributes:
        classes: the class names; a label is an index into them.
        n_train: how many documents are of the training split.
        labels: `int32[n]`.
        excerpts: `string[n]`, how each begins.
        texts: `int32[n]`, equal for documents with the same words.
        words: `int32[total]`, all words by number, and `offsets: int64[n + 1]`: document i has
            `words[offsets[i]:offsets[i + 1]]`.
        known: `int64[n]`, how many of its words the vocabulary has.
        markup: `string[n]`, the first HTML tag or entity and what is around it, null where there is none.
    """

    classes: list[str]
    n_train: int
    labels: np.ndarray
    excerpts: pa.Array
    texts: np.ndarray
    words: np.ndarray
    offsets: np.ndarray
    known: np.ndarray
    markup: pa.Array

    @property
    def lengths(self) -> np.ndarray:
        """Words a document, `int64[n]`."""
        return np.diff(self.offsets)

    @property
    def is_test(self) -> np.ndarray:
        """Whether a document is of the test split, `bool[n]`."""
        return np.arange(len(self.labels)) >= self.n_train


class Finding(NamedTuple):
    """The documents that one check found.

    Attributes:
        rows: `int64[k]`, indices into `CheckedDocuments`, rising.
        others: `int64[k]`, the document that each one repeats or contradicts; -1 where there is none.
        similarity: `float64[k]`, of the two (Jaccard, over shingles); NaN where there is no other.
    """

    rows: np.ndarray
    others: np.ndarray
    similarity: np.ndarray


@dataclass(frozen=True)
class Share:
    """`count` of `total`."""

    count: int
    total: int

    @property
    def value(self) -> float:
        """The share, from 0 to 1, rounded to six digits."""
        return float(f"{self.count / self.total:.6g}") if self.total else 0.0


def read_documents(train: Corpus, test: Corpus, vocabulary: Vocabulary) -> CheckedDocuments:
    """Read both splits, batch by batch; the texts themselves are not kept."""

    def one(batch: tuple[pa.Array, np.ndarray]) -> _Batch:
        return _look(*batch, vocabulary)

    def batches() -> Iterator[tuple[pa.Array, np.ndarray]]:
        yield from train.texts_and_labels()
        yield from test.texts_and_labels()

    looked = list(ordered_map(one, batches()))
    numbered = pa.chunked_array([batch.words for batch in looked]).unify_dictionaries()
    words = np.concatenate([chunk.indices.to_numpy() for chunk in numbered.chunks])
    offsets = np.concatenate([[0], np.cumsum(np.concatenate([batch.lengths for batch in looked]))])
    # A document as the bytes of its words' numbers, for Arrow to number those that differ.
    buffers = [None, pa.py_buffer(offsets * words.itemsize), pa.py_buffer(words)]
    texts = pa.Array.from_buffers(pa.large_binary(), len(offsets) - 1, buffers).dictionary_encode()
    return CheckedDocuments(
        classes=train.classes,
        n_train=len(train),
        labels=np.concatenate([batch.labels for batch in looked]),
        excerpts=pa.concat_arrays([batch.excerpts for batch in looked]),
        texts=texts.indices.to_numpy(),
        words=words,
        offsets=offsets,
        known=np.concatenate([batch.known for batch in looked]),
        markup=pa.concat_arrays([batch.markup for batch in looked]),
    )


class _Batch(NamedTuple):
    """What `CheckedDocuments` is put together from, of one batch; `words` are numbered within it alone."""

    labels: np.ndarray
    excerpts: pa.Array
    words: pa.DictionaryArray
    lengths: np.ndarray
    known: np.ndarray
    markup: pa.Array


def _look(texts: pa.Array, labels: np.ndarray, vocabulary: Vocabulary) -> _Batch:
    lists = tokenize(texts, vocabulary.tokenizer)
    offsets = lists.offsets.to_numpy()
    words = lists.values.dictionary_encode()
    is_known = (vocabulary.ids(words.dictionary) != 0)[words.indices.to_numpy()]
    markup = pc.find_substring_regex(texts, MARKUP)  # the byte that it begins at, or -1
    has_markup = pc.greater_equal(markup, 0)
    places = zip(texts.filter(has_markup).to_pylist(), markup.filter(has_markup).to_pylist(), strict=True)
    around = pa.array([_around(text, byte) for text, byte in places], texts.type)
    return _Batch(
        labels=labels,
        excerpts=pc.utf8_slice_codeunits(texts, 0, EXCERPT),
        words=words,
        lengths=np.diff(offsets),
        known=np.diff(np.concatenate([[0], np.cumsum(is_known)])[offsets]),
        markup=pc.replace_with_mask(pa.nulls(len(texts), texts.type), has_markup, around),
    )


def _around(text: str, byte: int) -> str:
    start = max(0, byte - EXCERPT // 4)
    return text.encode()[start : start + EXCERPT].decode(errors="ignore")


def find(
    documents: CheckedDocuments, *, similarity: float, shingle_words: int, length: int | None = None
) -> dict[str, Finding]:
    """Find the documents that each check objects to, by the name of the check.

    - `leakage`: of test, with the words of a document of train; `near_leakage`: the others of test whose similarity
      with a document of train is `similarity` or more.
    - `duplicates`: with the words of an earlier document of the split; `near_duplicates`: the others that are similar
      to an earlier document of the split.
    - `label_conflicts`: with the words of a document, of either split, that has another label.
    - `empty`: without words, and so none of the above; `markup`: with HTML tags or entities.
    - `cut`: of more than `length` words, if that is given.
    """
    n, n_train, is_test = len(documents.labels), documents.n_train, documents.is_test
    rows, texts, labels, empty = np.arange(n), documents.texts, documents.labels, documents.lengths == 0

    in_train = _first(texts, ~is_test & ~empty)
    in_split = np.where(empty, rows, np.where(is_test, _first(texts, is_test), in_train))
    leaked, repeated = is_test & (in_train >= 0), in_split < rows

    # Each text once a split is compared with those that are not the same; copies share what their original found.
    originals = np.flatnonzero(~repeated)
    sets = shingle_sets(documents.words, documents.offsets, shingle_words)[originals]
    place, train_originals = np.arange(len(originals)), int((originals < n_train).sum())
    of_test = place >= train_originals

    def search(first: np.ndarray, last: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        found, found_similarity = most_similar(sets, first, last, similarity)
        match, match_similarity = np.full(n, -1), np.zeros(n)
        match[originals], match_similarity[originals] = np.where(found < 0, -1, originals[found]), found_similarity
        return match, match_similarity

    near, near_similarity = search(np.where(of_test, train_originals, 0), place)
    leak, leak_similarity = search(np.zeros_like(place), np.where(of_test & ~leaked[originals], train_originals, 0))
    leak, leak_similarity = leak[in_split], leak_similarity[in_split]

    anywhere = _first(texts, ~empty)
    differs = ~empty & (labels != labels[anywhere])
    contradicted = np.where(differs, anywhere, _first(texts, differs))
    return {
        "leakage": _finding(leaked, in_train),
        "near_leakage": _finding(leak >= 0, leak, leak_similarity),
        "duplicates": _finding(repeated, in_split),
        "near_duplicates": _finding(near >= 0, near, near_similarity),
        "label_conflicts": _finding(contradicted >= 0, contradicted),
        "empty": _finding(empty),
        "markup": _finding(documents.markup.is_valid().to_numpy(zero_copy_only=False)),
        "cut": _finding(documents.lengths > (np.inf if length is None else length)),
    }


def _first(texts: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Return for each document the first of those in `among: bool[n]` with its text, -1 where there is none."""
    first = np.full(texts.max(initial=-1) + 1, -1)
    candidates = np.flatnonzero(among)[::-1]
    first[texts[candidates]] = candidates  # the last one assigned stays
    found: np.ndarray = first[texts]
    return found


def _finding(found: np.ndarray, others: np.ndarray | None = None, similarity: np.ndarray | None = None) -> Finding:
    rows = np.flatnonzero(found)
    if others is None:
        return Finding(rows, np.full(len(rows), -1), np.full(len(rows), np.nan))
    return Finding(rows, others[rows], np.ones(len(rows)) if similarity is None else similarity[rows])


def class_sizes(documents: CheckedDocuments, split: str) -> np.ndarray:
    """Count the documents of each class in a split, `int64[classes]`."""
    labels = documents.labels[documents.is_test == (split == "test")]
    return np.bincount(labels, minlength=len(documents.classes))


def to_merge(documents: CheckedDocuments) -> dict[str, str]:
    """Name the classes that differ from a larger one in case, spacing or form alone -> that class.

    The larger one is that with more documents in train.
    """
    sizes, names = class_sizes(documents, "train"), documents.classes
    main = {}
    for group in similar_classes(names):
        largest = max(group, key=lambda code: (sizes[code], -code))
        main.update({names[code]: names[largest] for code in group if code != largest})
    return main


def shares(
    documents: CheckedDocuments, findings: dict[str, Finding], length: int | None = None
) -> dict[str, dict[str, Share]]:
    """Count what each check found: split -> name of the check -> share.

    Besides those of `find`: `cut_words`, words beyond the first `length` of a document, if that is given;
    `unknown_words`, words that the vocabulary lacks; `similar_classes`, documents of the classes that `to_merge` names;
    `rare_classes`, classes of fewer than `RARE` documents; `imbalance`, what the smallest class lacks of the largest.
    """
    result = {}
    smaller = np.isin(documents.classes, list(to_merge(documents)))
    for split in SPLITS:
        mask = documents.is_test == (split == "test")
        known, lengths, sizes = documents.known[mask], documents.lengths[mask], class_sizes(documents, split)
        words = int(lengths.sum())
        beyond = 0 if length is None else int(np.maximum(lengths - length, 0).sum())
        counted = {name: Share(int(mask[found.rows].sum()), len(lengths)) for name, found in findings.items()}
        counted |= {
            "cut_words": Share(beyond, words),
            "unknown_words": Share(words - int(known.sum()), words),
            "similar_classes": Share(int(sizes[smaller].sum()), len(lengths)),
            "rare_classes": Share(int((sizes < RARE).sum()), len(sizes)),
            "imbalance": Share(int(sizes.max() - sizes.min()), int(sizes.max())),
        }
        result[split] = {name: counted[name] for name, check in CHECKS.items() if split in check.splits}
    return result


def figures(documents: CheckedDocuments) -> dict[str, dict[str, Any]]:
    """Describe each split: documents, documents a class, and words a document.

    Half of the documents have at most `median_words`, 95 of 100 `p95_words`; `longer_than` has the fraction of those
    with more words than each of `LENGTHS`.
    """
    result = {}
    for split in SPLITS:
        lengths = documents.lengths[documents.is_test == (split == "test")]
        quantiles = np.quantile(lengths, [0.5, 0.95, 0.99, 1], method="inverted_cdf")
        names = ("median_words", "p95_words", "p99_words", "max_words")
        sizes = map(int, class_sizes(documents, split))
        result[split] = {
            "documents": len(lengths),
            "classes": dict(zip(documents.classes, sizes, strict=True)),
            **{name: int(words) for name, words in zip(names, quantiles, strict=True)},
            "longer_than": {
                str(length): Share(int((lengths > length).sum()), len(lengths)).value for length in LENGTHS
            },
        }
    return result


def sentence(name: str, split: str, share: Share, sizes: dict[str, int]) -> str:
    """Say what a check found in a split whose classes have `sizes` documents."""
    if name != "imbalance":
        found = f"{share.count:,} of {share.total:,} {split} {CHECKS[name].of} ({percent(share.value)})"
        rare = [label for label, size in sizes.items() if size < RARE]
        return f"{found} {CHECKS[name].says}" + (f": {name_some(rare)}" if name == "rare_classes" else "")
    if missing := [label for label, size in sizes.items() if size == 0]:
        return f"no {split} document of class {name_some(missing)}"
    large, small = max(sizes, key=sizes.__getitem__), min(sizes, key=sizes.__getitem__)
    times = sizes[large] / sizes[small]
    many, few = (f"{visible(name, LENGTH)} ({sizes[name]:,})" for name in (large, small))
    return f"{times:.1f} times as many {split} documents of class {many} as of {few}"


def remedy(name: str, source: str, sizes: dict[str, int]) -> str:
    """Say what to do about what a check found, in a split whose classes have `sizes` documents."""
    if name == "imbalance" and 0 in sizes.values():
        return f"add documents of it, or take it out of sources.{source}.classes"
    return CHECKS[name].fix.format(source=source)


def tabulate(documents: CheckedDocuments, findings: dict[str, Finding]) -> pa.Table:
    """List the documents found, one finding per row: check, split, row (from 0), label, the other one, how alike."""
    names = pa.array(documents.classes, pa.string())
    split = pa.array(SPLITS).take(pa.array(documents.is_test.astype(np.int8)))
    row = pa.array(np.arange(len(documents.labels)) - documents.n_train * documents.is_test)
    columns = {"split": split, "row": row, "label": names.take(pa.array(documents.labels))}
    tables = []
    for name, found in findings.items():
        rows, others = pa.array(found.rows), pa.array(found.others, mask=found.others < 0)
        tables.append(
            {
                "check": pa.array([name] * len(rows), pa.string()),
                **{column: values.take(rows) for column, values in columns.items()},
                **{f"other_{column}": values.take(others) for column, values in columns.items()},
                "similarity": pa.array(found.similarity.round(6), mask=found.others < 0),
                "text": (documents.markup if name == "markup" else documents.excerpts).take(rows),
                "other_text": documents.excerpts.take(others),
            }
        )
    return pa.concat_tables(map(pa.table, tables))
