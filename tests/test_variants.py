"""Checks that every variant must pass: those of params.yaml, every pooling, and what else a variant may ask for."""

from dataclasses import replace
from functools import cache

import numpy as np
import pyarrow as pa
import pytest
from conftest import PROJECT

from flaxtext.artifacts import bundle
from flaxtext.artifacts.bundle import read_bundle, write_bundle
from flaxtext.config.params import read_params
from flaxtext.config.train import LinearVariant, NetworkVariant
from flaxtext.core.errors import UserError
from flaxtext.model import classifier, poolings, prediction
from flaxtext.model.classifier import Classifier
from flaxtext.model.poolings import POOLINGS, Pooling
from flaxtext.text import features
from flaxtext.text.features import FeatureIds
from flaxtext.text.token_ids import Examples, TokenIds, number_words
from flaxtext.text.vocabulary import Vocabulary, fit_vocabulary
from flaxtext.train import variants as training
from flaxtext.train.card import render_card
from flaxtext.train.loop import Watched, best_epoch
from flaxtext.train.variants import _check_batch, average, check_extent, train_variant

MAX_LEN = 6
TINY = {"max_len": MAX_LEN, "epochs": 2, "min_steps": 0, "batch_size": 2}  # with three classes, every batch lacks one
WEIGHED = {"pooling": "tfidf", "optimizer": "sgd", "loss": "squared_hinge", "learning_rate": "auto", "hidden": 0}
CLASSES_AS_DIMENSIONS = {**WEIGHED, "embed_dim": "classes", "init": "log_ratios"}
CLASSES = ["cats", "dogs", "absent", "birds"]  # one without documents
WORDS = [["purr", "purring", "meow"], ["bark", "barking", "bone"], ["hop"], ["tweet", "tweeting", "wing"]]
COMMON = ["tail", "tails", "eye"]
WATCH_PADDING = ("flatten", "padded_mean", "padded_sum")


def network_variant(**values):
    return NetworkVariant(**{"embed_dim": 3, "hidden": 4, "learning_rate": 0.01, **TINY, **values})


def linear_variant(**values):
    return LinearVariant(model="linear", max_len=MAX_LEN, **values)


def variants():
    """Name -> variant."""
    found = {
        name: shipped.model_copy(update=TINY) for name, shipped in read_params(PROJECT / "params.yaml").variants.items()
    }
    for pooling in POOLINGS:
        settings = {"optimizer": "sgd"} if POOLINGS[pooling].weighs else {}
        found[pooling] = network_variant(pooling=pooling, **settings)
        found[f"{pooling}, no hidden layer, prefixes, n-grams"] = network_variant(
            pooling=pooling, hidden=0, prefix=3, ngrams=3, ngram_min_count=2, **settings
        )
    everything = {"label_smoothing": 0.1, "word_dropout": 0.3, "class_weights": "balanced", "schedule": "linear"}
    return found | {
        "two seeds": network_variant(pooling="padded_mean", seeds=2, prefix=3),
        "ensemble": network_variant(pooling="mean_max", seeds=2, ensemble=True, ngrams=2, hidden=0),
        "ensemble of one": network_variant(pooling="max", ensemble=True),
        "everything": network_variant(pooling="attention", patience=1, calibrate=True, **everything),
        "log-count ratios": network_variant(
            pooling="mean", init="log_ratios", embed_dim=4, hidden=0, prefix=3, seeds=2, ensemble=True
        ),
        "characters, whole": network_variant(pooling="mean", characters=3, marks=True, max_len=None),
        "weighted, the classes as dimensions": network_variant(
            **CLASSES_AS_DIMENSIONS, characters=3, marks=True, ngrams=2, calibrate=True
        ),
        "weighted, low rank": network_variant(
            **{**WEIGHED, "embed_dim": 2, "learning_rate": 0.05}, characters=3, seeds=2, ensemble=True
        ),
        "sgd": network_variant(pooling="flatten", optimizer="sgd", **everything),
        "linear, prefixes, n-grams": LinearVariant(
            model="linear", max_len=MAX_LEN, prefix=3, ngrams=3, class_weights="balanced"
        ),
        "linear, rare n-grams left out": LinearVariant(model="linear", max_len=MAX_LEN, ngrams=2, ngram_min_count=100),
    }


VARIANTS = variants()


def documents(classes, n, seed):
    """Draw texts of the classes that have words, and their labels; the first texts are awkward ones."""
    rng = np.random.default_rng(seed)
    present = [label for label in range(len(classes)) if classes[label] != "absent"]
    labels = np.array([present[i % len(present)] for i in range(n)], np.int32)
    texts = [
        " ".join(rng.choice([*own_words(label), *COMMON], rng.integers(1, MAX_LEN + 4)).tolist()) for label in labels
    ]
    texts[:3] = ["", "unknown words alone", " ".join(COMMON * MAX_LEN)]
    return texts, labels


def own_words(label):
    return WORDS[label] if label < len(WORDS) else [f"word{label}", f"words{label}"]


class Case:
    """A variant, trained on a few documents."""

    def __init__(self, variant, classes=CLASSES, n=30):
        self.variant, self.classes = variant, classes
        texts, labels = documents(classes, n, seed=0)
        self.words = fit_vocabulary([pa.array(texts[2:])])
        watched, watched_labels = documents(classes, 16, seed=1)
        self.trained = train_variant(
            variant,
            Examples(self.number(texts), labels),
            Examples(self.number(watched), watched_labels),
            name="tiny",
            words=self.words,
            classes=classes,
            origin={"source": "animals"},
        )
        self.model = self.trained.model
        self.texts = documents(classes, 16, seed=2)[0]

    def number(self, texts):
        return number_words(pa.array(texts), self.words)

    def read(self, texts):
        return self.model.read(pa.array(texts))

    def write(self, folder):
        write_bundle(folder, self.model, render_card(self.model))
        return {path.name: path.read_bytes() for path in folder.iterdir()}

    @property
    def is_linear(self):
        return isinstance(self.variant, LinearVariant)


@cache
def trained(name):
    return Case(VARIANTS[name])


AT_LARGE = {  # what others prove as well; each takes seconds to compile
    "flatten_10",
    "average_20",
    "flatten",
    "padded_mean",
    "padded_sum",
    "mean",
    "sum",
    "attention",
    "ensemble of one",
    *(f"{name}, no hidden layer, prefixes, n-grams" for name in POOLINGS if name != "flatten"),
}


def at_large(values, slow):
    """Values for a test, some of which take their time."""
    return [
        pytest.param(*(value if isinstance(value, tuple) else [value]), marks=pytest.mark.slow if value in slow else ())
        for value in values
    ]


@pytest.fixture(params=at_large(VARIANTS, AT_LARGE))
def case(request):
    return trained(request.param)


def close(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)


def test_probabilities_have_a_column_a_class_and_sum_to_1(case):
    probability = case.model.predict_proba(case.texts)
    assert probability.shape == (16, 4)
    assert probability.dtype == np.float32
    assert (probability >= 0).all()
    close(probability.sum(axis=1), 1)
    assert case.model.predict_proba([]).shape == (0, 4)


def test_documents_without_known_words_are_all_alike(case):
    probability = case.model.predict_proba(["", "qqq", "qqq xxx jjj", "Tail"])  # of no letter that is known
    close(probability.sum(axis=1), 1)
    close(probability[1], probability[0])
    close(probability[2], probability[0])


def test_a_class_without_documents_stays_in_its_place(case):
    """Its probability comes from the initial parameters alone; the others' are learned, in every batch without one."""
    assert case.model.classes == CLASSES
    for members in case.model.members:
        assert all(np.isfinite(array).all() for layer in members.values() for array in layer.values())
    if case.is_linear:
        assert (case.model.predict_proba(case.texts).argmax(axis=1) != CLASSES.index("absent")).all()


def test_saved_and_loaded_it_gives_the_same_probabilities(case, tmp_path):
    case.write(tmp_path / "model")
    loaded = read_bundle(tmp_path / "model", every_seed=True)
    ids = case.read(case.texts)
    each = loaded.each(ids)
    assert each.shape == (case.model.info.seeds, 16, 4)
    assert np.array_equal(each, case.model.each(ids))
    again = read_bundle(tmp_path / "model")
    assert np.array_equal(again.predict_proba(case.texts), case.model.predict_proba(case.texts))
    assert again.predict(case.texts).tolist() == case.model.predict(case.texts).tolist()
    assert (again.architecture, again.size) == (case.model.architecture, case.model.size)
    assert again.description == case.model.description


def test_numpy_and_jax_answer_alike(case):
    ids = case.read(case.texts)
    close(case.model.each(ids, backend="jax"), case.model.each(ids, backend="numpy"))


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(case, tmp_path):
    files = case.write(tmp_path / "model")
    assert Case(case.variant).write(tmp_path / "again") == files
    if not case.is_linear:
        other = Case(case.variant.model_copy(update={"seed": 7})).write(tmp_path / "other")
        assert other.keys() == files.keys()
        assert other["vocabulary.safetensors"] == files["vocabulary.safetensors"]
        assert all(other[name] != files[name] for name in files if name.startswith("model"))


def test_each_seed_is_a_member_of_its_own(case, tmp_path):
    files = case.write(tmp_path / "model")
    seeds = 1 if case.is_linear else case.variant.seeds
    assert len(case.model.members) == len(case.trained.histories) == seeds
    names = ["model.safetensors", *(f"model-{number}.safetensors" for number in range(2, seeds + 1))]
    assert sorted(name for name in files if name.startswith("model")) == sorted(names)
    assert len({files[name] for name in names}) == seeds


def test_an_answer_does_not_depend_on_the_documents_beside_it(case, monkeypatch):
    together = case.model.predict_proba(case.texts)
    close(case.model.predict_proba(case.texts[::-1])[::-1], together)
    close(np.concatenate([case.model.predict_proba([text]) for text in case.texts[:4]]), together[:4])
    monkeypatch.setattr(prediction, "CHUNK_IDS", 8 * MAX_LEN)
    monkeypatch.setattr(classifier, "EXPANDED_WORDS", 8)
    monkeypatch.setattr(features, "CHUNK_WORDS", 4)
    close(case.model.predict_proba(case.texts), together)


def test_word_order_counts_only_where_it_should(case):
    texts = [" ".join(text.split()[:MAX_LEN]) for text in case.texts]
    turned = [" ".join(reversed(text.split())) for text in texts]
    answers, others = case.model.predict_proba(texts), case.model.predict_proba(turned)
    is_flat = not case.is_linear and case.variant.pooling == "flatten"
    if is_flat:
        assert not np.allclose(answers, others)
    elif not len(case.model.features.ngrams):
        close(answers, others)


def test_words_beyond_max_len_do_not_count(case):
    words = [*WORDS[0], *WORDS[1]]
    cut, whole = " ".join(words[:MAX_LEN]), " ".join([*words[:MAX_LEN], *WORDS[3] * 20])
    alike = np.array_equal(case.model.predict_proba([cut]), case.model.predict_proba([whole]))
    assert alike == (case.variant.max_len is not None)


@pytest.mark.parametrize(
    "name",
    at_large(
        (name for name, variant in VARIANTS.items() if getattr(variant, "pooling", "") not in WATCH_PADDING), AT_LARGE
    ),
)
def test_wider_padding_changes_nothing_where_words_alone_count(name):
    case = trained(name)
    texts = [" ".join(text.split()[:MAX_LEN]) for text in case.texts]
    model = case.model
    wider = replace(model.architecture, max_len=MAX_LEN + 9)
    again = Classifier(model.info, wider, model.members, model.vocabulary, model.features)
    close(again.predict_proba(texts), model.predict_proba(texts))


@pytest.mark.parametrize("name", at_large(["flatten", "everything", "linear"], ["everything"]))
@pytest.mark.parametrize("n_classes", at_large([2, 30], [2]))
def test_few_classes_and_many(name, n_classes):
    case = Case(VARIANTS[name], [f"class {i}" for i in range(n_classes)], n=3 * n_classes)
    probability = case.model.predict_proba(case.texts)
    assert probability.shape == (16, n_classes)
    close(probability.sum(axis=1), 1)


def test_of_more_classes_than_can_be_dimensions_a_layer_maps_to_them(tmp_path):
    """They are learned, from a start of another kind than naive Bayes; and the model is written and read."""
    n_classes = 300
    labels = np.tile(np.arange(n_classes, dtype=np.int32), 4)
    texts = [
        f"the word{label} of {other}"
        for label, other in zip(labels, np.random.default_rng(0).permutation(labels), strict=True)
    ]
    words = fit_vocabulary([pa.array(texts)])
    examples = Examples(number_words(pa.array(texts), words), labels)
    held = np.arange(len(labels)) >= 3 * n_classes
    variant = network_variant(
        **{**CLASSES_AS_DIMENSIONS, "max_len": None, "epochs": 20, "batch_size": 32, "schedule": "linear"},
        calibrate=True,
    )
    about = {"name": "many", "words": words, "classes": [f"c{i}" for i in range(n_classes)]}
    trained = train_variant(variant, examples.select(~held), examples.select(held), **about, origin={"source": "made"})
    architecture = trained.model.architecture
    assert (architecture.embed_dim, architecture.output, architecture.classes) == (training.MAX_DIMS, True, n_classes)
    assert trained.kept[0].validation_accuracy > 0.9
    write_bundle(tmp_path / "model", trained.model)
    asked = texts[:20]
    assert read_bundle(tmp_path / "model").predict(asked).tolist() == trained.model.predict(asked).tolist()


def test_a_table_has_a_bound_and_the_most_frequent_features_stay(monkeypatch):
    variant = network_variant(**CLASSES_AS_DIMENSIONS, characters=3, ngrams=2)
    whole = Case(variant).model
    n_words = len(whole.vocabulary)
    monkeypatch.setattr(training, "MAX_VALUES", (n_words + 1 + 40) * len(CLASSES))
    bounded = Case(variant).model
    assert bounded.architecture.rows == n_words + 1 + 40 < whole.architecture.rows
    assert {*bounded.features.characters.tolist()} < {*whole.features.characters.tolist()}


def test_documents_are_read_whole_or_cut_by_their_variant():
    """Words that come late tell the class; the first fifty say nothing."""
    texts = [" ".join(["eye"] * 60 + own) for own in (["purr"], ["bark"])] * 20
    labels = np.tile(np.array([0, 1], np.int32), 20)
    words = fit_vocabulary([pa.array(texts)])
    examples = Examples(number_words(pa.array(texts), words), labels)
    right = {}
    for max_len in (None, 50):
        variant = network_variant(**{**CLASSES_AS_DIMENSIONS, "max_len": max_len, "epochs": 10})
        about = {"name": "v", "words": words, "classes": ["cats", "dogs"], "origin": {"source": "animals"}}
        model = train_variant(variant, examples, examples, **about).model
        right[max_len] = (model.predict(texts) == np.array(["cats", "dogs"] * 20)).mean()
    assert right == {None: 1, 50: 0.5}


def test_where_keras_parts_words_unknown_ones_are_dropped_before_the_cut():
    words = fit_vocabulary([pa.array(["purr bark"])])
    keras = Vocabulary(words.words, words.counts, "keras")
    texts = pa.array(["x y z purr", "x y z bark"] * 10)
    labels = np.tile(np.array([0, 1], np.int32), 10)
    right = {}
    for name, own in (("unicode", words), ("keras", keras)):
        examples = Examples(number_words(texts, own), labels)
        about = {"name": "v", "words": own, "classes": ["cats", "dogs"], "origin": {"source": "animals"}}
        variant = network_variant(pooling="padded_mean", epochs=100, max_len=2)
        model = train_variant(variant, examples, examples, **about).model
        right[name] = (model.predict(texts) == np.array(["cats", "dogs"] * 10)).mean()
    assert right == {"unicode": 0.5, "keras": 1}


def one_word(label=1):
    """One document of one word, and none."""
    word = Examples(TokenIds(np.ones(1, np.int32), np.array([0, 1])), np.array([label], np.int32))
    return word, word.select(np.zeros(1, bool))


@pytest.mark.parametrize("pooling", at_large(POOLINGS, {*POOLINGS} - {"flatten", "attention", "tfidf"}))
def test_one_document_can_be_learned(pooling):
    documents, none = one_word()
    words = fit_vocabulary([pa.array(["word"])])
    settings = CLASSES_AS_DIMENSIONS if pooling == "tfidf" else {"pooling": pooling}
    variant = network_variant(**{**settings, "epochs": 60, "max_len": 3})
    result = train_variant(
        variant, documents, none, name="one", words=words, classes=["a", "b"], origin={"source": "one"}
    )
    assert result.model.predict_proba(["word"])[0, 1] > 0.6
    assert result.model.info.last_epoch["validation_accuracy"] is None


@pytest.mark.parametrize(("min_steps", "epochs"), at_large([(0, 2), (30, 2), (31, 3), (100, 7)], [(0, 2), (100, 7)]))
def test_few_documents_make_as_many_steps_as_they_are_asked_to(min_steps, epochs):
    case = Case(network_variant(pooling="padded_mean", min_steps=min_steps))  # 30 documents are 15 batches
    assert len(case.trained.histories[0]) == epochs


@pytest.mark.parametrize(("epochs", "told"), [(2, [1, 2]), (50, list(range(1, 51))), (120, [1, *range(3, 121, 3)])])
def test_progress_is_told_in_few_lines(epochs, told):
    one = Examples(TokenIds(np.ones(4, np.int32), np.array([0, 2, 4])), np.array([0, 1], np.int32))
    words = fit_vocabulary([pa.array(["word"])])
    lines = []
    about = {"name": "v", "words": words, "classes": ["a", "b"], "origin": {"source": "s"}, "say": lines.append}
    train_variant(network_variant(pooling="padded_mean", epochs=epochs, min_steps=0), one, one, **about)
    assert [int(line.split("/")[0].removeprefix("epoch ")) for line in lines if line.startswith("epoch")] == told


def test_ratios_need_a_dimension_for_each_class():
    with pytest.raises(UserError, match=r"^tiny: init: log_ratios needs a dimension for each of the 4 classes; raise "):
        Case(network_variant(pooling="padded_mean", init="log_ratios", embed_dim=3, hidden=0))


@pytest.mark.parametrize("choosing", [{"patience": 1}, {"calibrate": True}])
def test_nothing_is_chosen_by_no_documents(choosing):
    documents, none = one_word()
    words = fit_vocabulary([pa.array(["word"])])
    variant = network_variant(pooling="padded_mean", **choosing)
    with pytest.raises(UserError, match=r"^one: train has too few documents for any to be held out"):
        train_variant(variant, documents, none, name="one", words=words, classes=["a", "b"], origin={"source": "one"})


def test_a_linear_model_needs_no_documents_to_watch():
    texts = pa.array(["purr", "bark"])
    words = fit_vocabulary([texts])
    documents = Examples(number_words(texts, words), np.array([0, 1], np.int32))
    variant = LinearVariant(model="linear", patience=5, calibrate=True)
    none = documents.select(np.zeros(2, bool))
    model = train_variant(
        variant, documents, none, name="l", words=words, classes=["a", "b"], origin={"source": "x"}
    ).model
    assert model.predict(["bark", "purr"]).tolist() == ["b", "a"]


@pytest.mark.parametrize(("ids", "labels"), [([[1], [1]], [0, 0]), ([[0], [0]], [0, 1])])
def test_a_linear_model_that_cannot_be_says_so(ids, labels):
    found = Examples(TokenIds(np.array(ids, np.int32).ravel(), np.arange(3)), np.array(labels, np.int32))
    words = fit_vocabulary([pa.array(["word"])])
    with pytest.raises(UserError, match=r"^a linear model needs documents with known words, of two classes or more"):
        train_variant(
            VARIANTS["linear"], found, found, name="one", words=words, classes=["a", "b"], origin={"source": "one"}
        )


def test_a_model_too_large_to_be_read_is_not_trained(monkeypatch):
    size = Case(VARIANTS["two seeds"]).model.size
    monkeypatch.setattr(bundle, "MAX_BYTES", 2 * 4 * size - 1)
    with pytest.raises(UserError, match="lower embed_dim, hidden, ngrams, seeds"):
        Case(VARIANTS["two seeds"])
    monkeypatch.setattr(bundle, "MAX_BYTES", 99)
    with pytest.raises(UserError, match="lower embed_dim, hidden, ngrams, seeds"):
        Case(VARIANTS["linear"])


def test_the_figures_of_several_seeds_are_averaged_and_those_of_the_kept_epoch():
    histories = trained("everything").trained.histories
    assert trained("everything").trained.kept == [histories[0][best_epoch(histories[0]) - 1]]
    kept = trained("two seeds").trained.kept
    assert [epoch.epoch for epoch in kept] == [2, 2]
    figures = average(kept)
    assert list(figures) == ["batch_loss", "train_loss", "validation_loss", "validation_accuracy"]
    assert figures["validation_loss"] == pytest.approx(
        (kept[0].validation_loss + kept[1].validation_loss) / 2, abs=1e-6
    )
    assert trained("two seeds").model.info.last_epoch["validation_loss"] == round(float(kept[0].validation_loss), 6)


def test_a_pooling_of_ones_own_is_trained_kept_and_read(monkeypatch, tmp_path):
    """It takes a function and a line of POOLINGS; nothing is laid out for it."""

    def first_and_sum(documents):
        return documents.vectors[:, 0], (documents.vectors * documents.present[..., None]).sum(axis=1)

    entry = Pooling(first_and_sum, parts=lambda _positions: 2)
    monkeypatch.setitem(poolings.POOLINGS, "first_and_sum", entry)
    case = Case(network_variant(pooling="first_and_sum", epochs=30, max_len=MAX_LEN))
    assert case.model.architecture.shapes["hidden.kernel"] == (6, 4)
    history = case.trained.histories[0]
    assert history[-1].train_loss < history[0].train_loss
    case.write(tmp_path / "model")
    loaded = read_bundle(tmp_path / "model")
    assert np.array_equal(loaded.predict_proba(case.texts), case.model.predict_proba(case.texts))
    assert loaded.description == "first_and_sum of 3-dimensional embeddings of words, hidden layer of 4"
    ids = case.read(case.texts)
    close(loaded.each(ids, backend="jax"), loaded.each(ids, backend="numpy"))
    monkeypatch.delitem(poolings.POOLINGS, "first_and_sum")
    with pytest.raises(UserError, match=r"architecture\.pooling: expected one of flatten, padded_mean, "):
        read_bundle(tmp_path / "model")


@pytest.mark.parametrize(
    ("own", "steps"),
    [({"epochs": 10**9, "batch_size": 1}, "100,000,000,000"), ({"min_steps": 10**18}, "1,000,000,000,000,000,000")],
)
def test_absurd_amounts_are_refused_before_any_memory_is_taken(own, steps):
    with pytest.raises(UserError) as error:
        check_extent(NetworkVariant(pooling="mean", embed_dim=4, **own), 100, "v")
    assert str(error.value) == (
        f"v: {steps} steps, and at most 33,554,432 are taken; lower epochs or min_steps, or raise batch_size"
    )


def test_batches_of_absurd_size_are_refused_and_where_words_are_added_up_there_are_none():
    """As long as they are, not as the longest of all would have it."""
    lengths = np.append(np.full(50_000, 100), 30_000)
    offsets = np.append(0, np.cumsum(lengths))
    documents = Watched(FeatureIds(np.zeros(offsets[-1], np.int32), offsets), np.zeros(50_001, np.int32))
    variant = NetworkVariant(pooling="max", embed_dim=500, batch_size=10**12)
    with pytest.raises(UserError) as error:
        _check_batch(variant, documents, "v")
    assert str(error.value) == (
        "v: the embeddings of a batch would take 9 GB, and 8 are allowed; lower batch_size, embed_dim or max_len"
    )
    _check_batch(variant.model_copy(update={"batch_size": 1024}), documents, "v")
    for pooling in ("padded_sum", "padded_mean"):
        _check_batch(variant.model_copy(update={"pooling": pooling}), documents, "v")
