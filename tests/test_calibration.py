"""A temperature makes stated confidence right, and changes no answer."""

import numpy as np
import pyarrow as pa
import pytest

from flaxtext.config.train import NetworkVariant
from flaxtext.model.architecture import flatten_parameters
from flaxtext.model.calibration import TEMPERATURES, calibrated, log_softmax, temperature
from flaxtext.text.token_ids import Examples, number_words
from flaxtext.text.vocabulary import fit_vocabulary
from flaxtext.train.variants import train_variant


@pytest.mark.parametrize("sureness", [0.2, 1.0, 5.0])
def test_the_temperature_undoes_what_logits_were_multiplied_by(sureness):
    rng = np.random.default_rng(0)
    honest = rng.normal(size=(20_000, 4)) * 2
    labels = (honest + rng.gumbel(size=honest.shape)).argmax(axis=1).astype(np.int32)  # drawn by softmax(honest)
    assert temperature(sureness * honest, labels) == pytest.approx(sureness, rel=0.06)


def test_without_documents_it_is_1():
    assert temperature(np.zeros((0, 3)), np.zeros(0, np.int32)) == 1


def test_log_softmax_of_large_logits():
    np.testing.assert_allclose(
        log_softmax(np.array([[1000.0, 1000.0], [0.0, -1000.0]])), [[np.log(0.5)] * 2, [0, -1000]]
    )


NETWORKS = {
    "a network": {
        "pooling": "padded_mean",
        "embed_dim": 4,
        "max_len": 6,
        "label_smoothing": 0.4,
        "learning_rate": 0.03,
    },
    "weighted, the classes as dimensions": {"pooling": "tfidf", "embed_dim": "classes", "init": "log_ratios"},
    "weighted, low rank": {"pooling": "tfidf", "embed_dim": 3, "learning_rate": 0.01},
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_calibrated_network_gives_the_same_answers_and_likelier_ones(name):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 600).astype(np.int32)
    noisy = np.where(rng.random(600) < 0.15, 1 - labels, labels)
    texts = pa.array([" ".join(rng.choice([("cat", "dog")[label], "tail"], 5)) for label in noisy])
    words = fit_vocabulary([texts])
    examples = Examples(number_words(texts, words), labels)
    known, watched = examples.select(np.arange(600) < 400), examples.select(np.arange(600) >= 400)
    own = {"hidden": 0, "epochs": 20, "batch_size": 32, **NETWORKS[name]}
    if own["pooling"] == "tfidf":
        own |= {"optimizer": "sgd", "loss": "squared_hinge"} | {"learning_rate": "auto"} | NETWORKS[name]
    models = {}
    for calibrate in (False, True):
        about = {"name": "v", "words": words, "classes": ["c", "d"], "origin": {"source": "pets"}}
        models[calibrate] = train_variant(NetworkVariant(**own, calibrate=calibrate), known, watched, **about).model
    plain, scaled = (models[calibrate].probabilities(watched.documents) for calibrate in (False, True))

    def loss(answers):
        return -np.log(answers[np.arange(len(answers)), watched.labels]).mean()

    assert np.array_equal(plain.argmax(axis=1), scaled.argmax(axis=1))
    assert loss(scaled) < loss(plain) - 0.001

    # All logits are divided by one number, and by nothing else.
    before, after = (flatten_parameters(models[calibrate].members[0]) for calibrate in (False, True))
    divisor = (before["output.bias"] / after["output.bias"])[0]
    assert divisor != pytest.approx(1, abs=0.01)
    divided = ["output.bias", "output.kernel" if "output.kernel" in before else "embedding.embedding"]
    for path, array in before.items():
        np.testing.assert_allclose(array, after[path] * (divisor if path in divided else 1), rtol=1e-4, err_msg=path)


def test_few_documents_all_right_do_not_make_every_answer_certain():
    logits = np.tile([1.0, 0.0, 0.0], (10, 1))
    divisor = temperature(logits, np.zeros(10, np.int32))
    assert np.exp(log_softmax(logits / divisor))[0, 0] < 0.95


@pytest.mark.parametrize("scale", [0.001, 0.3, 1.0, 40.0, 1e4])
@pytest.mark.parametrize("classes", [2, 7])
def test_the_temperature_is_the_best_of_the_grid(scale, classes):
    rng = np.random.default_rng(classes)
    logits = rng.normal(size=(50, classes))
    labels = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    targets = np.full(logits.shape, 1 / 52 / (classes - 1))
    targets[np.arange(50), labels] = 51 / 52
    losses = [-(targets * log_softmax(scale * logits / t)).sum(axis=1).mean() for t in TEMPERATURES]
    assert temperature(scale * logits, labels) == TEMPERATURES[np.argmin(losses)]


def test_probabilities_are_calibrated_as_logits_are():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(200, 3))
    labels = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    sure = np.exp(log_softmax(5 * logits)).astype(np.float32)
    divisor = temperature(5 * logits, labels)
    np.testing.assert_allclose(calibrated(sure, labels), np.exp(log_softmax(5 * logits / divisor)), rtol=1e-4)
