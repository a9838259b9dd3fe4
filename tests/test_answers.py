"""What users get, on NumPy, is what evaluate judged on JAX: every test document of the run that lies in data/.

`make run` and `make tutorial` make such a run; `.ci/run` asks after each. `test_stages.py` asks the same of every
shipped variant on a small corpus, which it trains itself.
"""

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import PROJECT

import flaxtext
from flaxtext.config import variant_names
from flaxtext.model import prediction

pytestmark = pytest.mark.slow

DATA = PROJECT / "data"


@pytest.mark.parametrize("variant", variant_names(PROJECT / "params.yaml"))
def test_every_test_document_gets_the_answer_that_was_judged(monkeypatch, variant):
    predictions = DATA / "predictions" / f"{variant}.parquet"
    if not predictions.is_file():
        pytest.skip("no run of the pipeline in data/: `make run` makes one")
    monkeypatch.setattr(prediction, "find_spec", lambda _: None)  # as where JAX is not installed
    model = flaxtext.load(DATA / "models" / variant)
    judged = pq.read_table(predictions, filters=[("split", "=", "test")])
    texts = pq.read_table(DATA / "raw/test.parquet")["text"]
    assert model.predict(texts).tolist() == judged["predicted"].to_pylist()
    expected = np.stack(judged["probabilities"].to_numpy(zero_copy_only=False))
    np.testing.assert_allclose(model.predict_proba(texts), expected, rtol=0, atol=1e-5)
