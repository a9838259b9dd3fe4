"""A temperature makes stated confidence right, and changes no answer."""

import numpy as np
import pyarrow as pa
import pytest

from flaxtext.config.train import NetworkVariant
from flaxtext.model.calibration import log_softmax, temperature
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


def test_a_calibrated_network_gives_the_same_answers_and_likelier_ones():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 600).astype(np.int32)
    noisy = np.where(rng.random(600) < 0.15, 1 - labels, labels)
    texts = pa.array([" ".join(rng.choice([("cat", "dog")[label], "tail"], 5)) for label in noisy])
    words = fit_vocabulary([texts])
    ids = number_words(texts, words).cut(6)
    known, watched = Examples(ids[:400], labels[:400]), Examples(ids[400:], labels[400:])
    own = {"pooling": "padded_mean", "embed_dim": 4, "hidden": 0, "epochs": 20, "batch_size": 32, "learning_rate": 0.03}
    models = {}
    for calibrate in (False, True):
        variant = NetworkVariant(**own, label_smoothing=0.4, calibrate=calibrate)
        about = {"name": "v", "words": words, "classes": ["c", "d"], "origin": {"source": "pets"}}
        models[calibrate] = train_variant(variant, known, watched, **about).model.probabilities(watched.ids)

    def loss(answers):
        return -np.log(answers[np.arange(len(answers)), watched.labels]).mean()

    assert np.array_equal(models[False].argmax(axis=1), models[True].argmax(axis=1))
    assert loss(models[True]) < loss(models[False]) - 0.01


def test_few_documents_all_right_do_not_make_every_answer_certain():
    logits = np.tile([1.0, 0.0, 0.0], (10, 1))
    divisor = temperature(logits, np.zeros(10, np.int32))
    assert np.exp(log_softmax(logits / divisor))[0, 0] < 0.95
