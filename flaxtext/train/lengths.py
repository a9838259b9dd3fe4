"""How many documents are longer than what a model reads of them."""

from collections.abc import Mapping

import numpy as np

from flaxtext.core.printable import percent


def describe_cuts(lengths: np.ndarray, max_len: Mapping[str, int | None]) -> list[str]:
    """Say which variants cut documents, how many, and what would hold 95% of them; a line each.

    Args:
        lengths: words a document, `int[n]`.
        max_len: words that each variant reads; None: all.
    """
    lines = []
    for variant, most in max_len.items():
        cut = 0 if most is None else int((lengths > most).sum())
        if not cut:
            continue
        lost = np.maximum(lengths - most, 0).sum() / lengths.sum()
        share = 0.95 if cut > 0.05 * len(lengths) else 1
        enough = int(np.quantile(lengths, share, method="inverted_cdf"))
        lines.append(
            f"{variant}: {cut:,} of {len(lengths):,} documents ({percent(cut / len(lengths))}) have more than "
            f"{most:,} words, and {percent(lost)} of all words are not read; variants.{variant}.max_len: {enough} "
            f"would hold {'95% of' if share < 1 else 'all'} documents"
        )
    return lines
