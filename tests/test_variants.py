"""Checks that every variant must pass: those of params.yaml, every pooling, and what else a variant may ask for."""

from functools import cache

import numpy as np
import pyarrow as pa
import pytest
from conftest import PROJECT

from flaxtext.artifacts.bundle import Classifier, load_bundle, save_bundle
from flaxtext.artifacts.token_ids import Vectors
from flaxtext.config import params
from flaxtext.core.errors import UserError
from flaxtext.model import bundle, forward
from flaxtext.model.poolings import POOLINGS
from flaxtext.text import vectors, vocabulary
from flaxtext.train.card import render_card
from flaxtext.train.loop import best_epoch
from flaxtext.train.variants import average, train

MAX_LEN = 6
TINY = {"epochs": 2, "min_steps": 0, "batch_size": 2}  # with three classes, every batch lacks one
CLASSES = ["cats", "dogs", "absent", "birds"]  # one without documents
WORDS = [["purr", "purring", "meow"], ["bark", "barking", "bone"], ["hop"], ["tweet", "tweeting", "wing"]]
COMMON = ["tail", "tails", "eye"]
WATCH_PADDING = ("flatten", "mean", "sum")


def network_variant(**values):
    return params.NetworkVariant(**{"embed_dim": 3, "hidden": 4, "learning_rate": 0.01, **TINY, **values})


def variants():
    """Name -> variant."""
    found = {
        name: shipped.model_copy(update=TINY) for name, shipped in params.load(PROJECT / "params.yaml").variants.items()
    }
    for pooling in POOLINGS:
        found[pooling] = network_variant(pooling=pooling)
        found[f"{pooling}, no hidden layer, stems, n-grams"] = network_variant(
            pooling=pooling, hidden=0, stem=3, ngrams=3, ngram_min_count=2
        )
    everything = {"label_smoothing": 0.1, "word_dropout": 0.3, "class_weights": "balanced", "schedule": "linear"}
    return found | {
        "two seeds": network_variant(pooling="mean", seeds=2, stem=3),
        "ensemble": network_variant(pooling="mean_max", seeds=2, ensemble=True, ngrams=2, hidden=0),
        "ensemble of one": network_variant(pooling="max", ensemble=True),
        "everything": network_variant(pooling="attention", patience=1, calibrate=True, **everything),
        "log-count ratios": network_variant(
            pooling="masked_mean", init="log_ratios", embed_dim=4, hidden=0, stem=3, seeds=2, ensemble=True
        ),
        "sgd": network_variant(pooling="flatten", optimizer="sgd", **everything),
        "linear, stems, n-grams": params.LinearVariant(model="linear", stem=3, ngrams=3, class_weights="balanced"),
        "linear, rare n-grams left out": params.LinearVariant(model="linear", ngrams=2, ngram_min_count=100),
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
        self.words = vocabulary.fit([pa.array(texts[2:])])
        watched, watched_labels = documents(classes, 16, seed=1)
        self.trained = train(
            variant,
            Vectors(vectors.vectorize(pa.array(texts), self.words, MAX_LEN), labels),
            Vectors(vectors.vectorize(pa.array(watched), self.words, MAX_LEN), watched_labels),
            name="tiny",
            words=self.words,
            classes=classes,
            origin={"source": "animals"},
        )
        self.model = self.classifier()
        self.texts = documents(classes, 16, seed=2)[0]

    def classifier(self, **config):
        """The model as it came from training, perhaps with other values in its configuration."""
        return Classifier(self.trained.config | config, self.trained.members, self.words, self.trained.features)

    def save(self, folder):
        trained = self.trained
        card = render_card(trained.config, trained.members[0], self.words)
        save_bundle(folder, trained.config, trained.members, self.words, trained.features.keys, card)
        return {path.name: path.read_bytes() for path in folder.iterdir()}

    @property
    def is_linear(self):
        return isinstance(self.variant, params.LinearVariant)


@cache
def trained(name):
    return Case(VARIANTS[name])


@pytest.fixture(params=VARIANTS)
def case(request):
    return trained(request.param)


def close(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)


def test_probabilities_have_a_column_a_class_and_sum_to_1(case):
    probability = case.model.predict(case.texts)
    assert probability.shape == (16, 4)
    assert probability.dtype == np.float32
    assert (probability >= 0).all()
    close(probability.sum(axis=1), 1)
    assert case.model.predict([]).shape == (0, 4)


def test_documents_without_known_words_are_all_alike(case):
    probability = case.model.predict(["", "?!", "unknown words alone", "Tail"])
    close(probability.sum(axis=1), 1)
    assert np.array_equal(probability[0], probability[1])
    assert np.array_equal(probability[0], probability[2])


def test_a_class_without_documents_stays_in_its_place(case):
    """Its probability comes from the initial parameters alone; the others' are learned, in every batch without one."""
    assert case.model.classes == CLASSES
    for members in case.trained.members:
        assert all(np.isfinite(array).all() for layer in members.values() for array in layer.values())
    if case.is_linear:
        assert (case.model.predict(case.texts).argmax(axis=1) != CLASSES.index("absent")).all()


def test_saved_and_loaded_it_gives_the_same_probabilities(case, tmp_path):
    case.save(tmp_path / "model")
    loaded = load_bundle(tmp_path / "model", every_seed=True)
    ids = vectors.vectorize(pa.array(case.texts), case.words, MAX_LEN)
    each = loaded.each(ids)
    assert each.shape == (case.trained.config["seeds"], 16, 4)
    assert np.array_equal(each, case.model.each(ids))
    assert np.array_equal(load_bundle(tmp_path / "model").predict(case.texts), case.model.predict(case.texts))


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(case, tmp_path):
    files = case.save(tmp_path / "model")
    assert Case(case.variant).save(tmp_path / "again") == files
    if not case.is_linear:
        other = Case(case.variant.model_copy(update={"seed": 7})).save(tmp_path / "other")
        assert other.keys() == files.keys()
        assert other["vocab.parquet"] == files["vocab.parquet"]
        assert all(other[name] != files[name] for name in files if name.startswith("model"))


def test_each_seed_is_a_member_of_its_own(case, tmp_path):
    files = case.save(tmp_path / "model")
    seeds = 1 if case.is_linear else case.variant.seeds
    assert len(case.trained.members) == len(case.trained.histories) == seeds
    names = ["model.safetensors", *(f"model-{number}.safetensors" for number in range(2, seeds + 1))]
    assert sorted(name for name in files if name.startswith("model")) == sorted(names)
    assert len({files[name] for name in names}) == seeds


def test_an_answer_does_not_depend_on_the_documents_beside_it(case, monkeypatch):
    together = case.model.predict(case.texts)
    close(case.model.predict(case.texts[::-1])[::-1], together)
    close(np.concatenate([case.model.predict([text]) for text in case.texts[:4]]), together[:4])
    monkeypatch.setattr(forward, "CHUNK_IDS", 8 * case.model.max_len)
    monkeypatch.setattr(bundle, "EXPANDED_ROWS", 8)
    close(case.model.predict(case.texts), together)


def test_word_order_counts_only_where_it_should(case):
    texts = [" ".join(text.split()[:MAX_LEN]) for text in case.texts]
    turned = [" ".join(reversed(text.split())) for text in texts]
    answers, others = case.model.predict(texts), case.model.predict(turned)
    is_flat = not case.is_linear and case.variant.pooling == "flatten"
    if is_flat:
        assert not np.allclose(answers, others)
    elif case.trained.features.keys.size == 0:
        close(answers, others)


def test_words_beyond_max_len_do_not_count(case):
    words = [*WORDS[0], *WORDS[1]]
    cut, whole = " ".join(words[:MAX_LEN]), " ".join([*words[:MAX_LEN], *WORDS[3] * 20])
    assert np.array_equal(case.model.predict([cut]), case.model.predict([whole]))


@pytest.mark.parametrize(
    "name", [name for name, variant in VARIANTS.items() if getattr(variant, "pooling", "") not in WATCH_PADDING]
)
def test_wider_padding_changes_nothing_where_words_alone_count(name):
    case = trained(name)
    texts = [" ".join(text.split()[:MAX_LEN]) for text in case.texts]
    close(case.classifier(max_len=MAX_LEN + 9).predict(texts), case.model.predict(texts))


@pytest.mark.parametrize("name", ["flatten", "everything", "linear"])
@pytest.mark.parametrize("n_classes", [2, 30])
def test_few_classes_and_many(name, n_classes):
    case = Case(VARIANTS[name], [f"class {i}" for i in range(n_classes)], n=3 * n_classes)
    probability = case.model.predict(case.texts)
    assert probability.shape == (16, n_classes)
    close(probability.sum(axis=1), 1)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_one_document_can_be_learned(pooling):
    documents = Vectors(np.array([[1, 0, 0]], np.int32), np.array([1], np.int32))
    none = Vectors(np.zeros((0, 3), np.int32), np.zeros(0, np.int32))
    words = vocabulary.fit([pa.array(["word"])])
    variant = network_variant(pooling=pooling, epochs=60)
    result = train(variant, documents, none, name="one", words=words, classes=["a", "b"], origin={"source": "one"})
    model = Classifier(result.config, result.members, words, result.features)
    assert model.predict(["word"])[0, 1] > 0.6
    assert result.config["last_epoch"]["validation_accuracy"] is None


@pytest.mark.parametrize(("min_steps", "epochs"), [(0, 2), (30, 2), (31, 3), (100, 7)])
def test_few_documents_make_as_many_steps_as_they_are_asked_to(min_steps, epochs):
    case = Case(network_variant(pooling="mean", min_steps=min_steps))  # 30 documents are 15 batches
    assert len(case.trained.histories[0]) == epochs


@pytest.mark.parametrize(("epochs", "told"), [(2, [1, 2]), (50, list(range(1, 51))), (120, [1, *range(3, 121, 3)])])
def test_progress_is_told_in_few_lines(epochs, told):
    one = Vectors(np.ones((2, 2), np.int32), np.array([0, 1], np.int32))
    words = vocabulary.fit([pa.array(["word"])])
    lines = []
    about = {"name": "v", "words": words, "classes": ["a", "b"], "origin": {"source": "s"}, "say": lines.append}
    train(network_variant(pooling="mean", epochs=epochs, min_steps=0), one, one, **about)
    assert [int(line.split("/")[0].removeprefix("epoch ")) for line in lines if line.startswith("epoch")] == told


def test_ratios_need_a_dimension_for_each_class():
    with pytest.raises(UserError, match=r"^tiny: init: log_ratios needs a dimension for each of the 4 classes; raise "):
        Case(network_variant(pooling="mean", init="log_ratios", embed_dim=3, hidden=0))


@pytest.mark.parametrize("choosing", [{"patience": 1}, {"calibrate": True}])
def test_nothing_is_chosen_by_no_documents(choosing):
    documents = Vectors(np.array([[1, 0, 0]], np.int32), np.array([1], np.int32))
    none = Vectors(np.zeros((0, 3), np.int32), np.zeros(0, np.int32))
    words = vocabulary.fit([pa.array(["word"])])
    variant = network_variant(pooling="mean", **choosing)
    with pytest.raises(UserError, match=r"^one: train has too few documents for any to be held out"):
        train(variant, documents, none, name="one", words=words, classes=["a", "b"], origin={"source": "one"})


@pytest.mark.parametrize(("ids", "labels"), [([[1], [1]], [0, 0]), ([[0], [0]], [0, 1])])
def test_a_linear_model_that_cannot_be_says_so(ids, labels):
    found = Vectors(np.array(ids, np.int32), np.array(labels, np.int32))
    words = vocabulary.fit([pa.array(["word"])])
    with pytest.raises(UserError, match=r"^a linear model needs documents with known words, of two classes or more"):
        train(VARIANTS["linear"], found, found, name="one", words=words, classes=["a", "b"], origin={"source": "one"})


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
    assert trained("two seeds").trained.config["last_epoch"]["validation_loss"] == round(
        float(kept[0].validation_loss), 6
    )
