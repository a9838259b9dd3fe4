"""What is said of documents that are longer than what a model reads."""

import numpy as np

from flaxtext.train.lengths import describe_cuts


def test_each_variant_that_cuts_gets_a_line():
    lengths = np.array([10] * 60 + [40] * 35 + [100, 200, 300, 400, 500])
    assert describe_cuts(lengths, {"whole": None, "long": 500, "short": 20, "longer": 300}) == [
        "short: 40 of 100 documents (40.0%) have more than 20 words, and 60.0% of all words are not read; "
        "variants.short.max_len: 40 would hold 95% of documents",
        "longer: 2 of 100 documents (2.0%) have more than 300 words, and 8.6% of all words are not read; "
        "variants.longer.max_len: 500 would hold all documents",
    ]
    assert describe_cuts(np.zeros(3, int), {"one": 1}) == []
