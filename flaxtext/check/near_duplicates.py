"""Documents that say nearly the same, found exactly: no pair at or above the threshold is missed.

A document is the set of its shingles, the runs of `size` words in it; two are as similar as the share of shingles that
they have in common (Jaccard). Sort each set by how rare its shingles are in the corpus: two sets of similarity t or
more share one of the `|x| - ceil(t |x|) + 1` rarest shingles of either (the prefix filter of Chaudhuri, Ganti and
Kaushik 2006). Rare shingles stand in few documents, so few pairs are left to compare, and those are compared in full.
MinHash, the usual way, is no faster here, and may miss a pair.
"""

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

ENOUGH = 10
"""Documents that share one rare shingle and are compared even after a similar one is found, to find the most similar.

After them a document is done when it has a match, so a thousand copies of one form letter are not a million pairs.
"""
BLOCK = 1 << 16
"""Pairs compared at a time, to bound memory."""


def shingle_sets(words: np.ndarray, offsets: np.ndarray, size: int) -> csr_array:
    """Turn texts into sets of shingles: `int32[n, shingles]`, 1 where text i has shingle j, the rarest shingles first.

    Text i is `words[offsets[i]:offsets[i + 1]]`, words by number. One shorter than `size` is one shingle as a whole;
    one without words is an empty set. Shingles are numbered, not hashed: no two are ever taken for one another.
    """
    lengths = np.diff(offsets)
    place, end = np.arange(len(words)), np.repeat(offsets[1:], lengths)
    shingles = words.astype(np.int64)
    numbered = np.append(shingles + 1, 0)  # 0: past the text's end
    for step in range(1, size):
        following = numbered[np.where(place + step < end, place + step, -1)]
        shingles, _ = pd.factorize(shingles * (numbered.max() + 1) + following)
    begins = (place + size <= end) | (place == np.repeat(offsets[:-1], lengths))
    rows, shingles = np.repeat(np.arange(len(lengths)), lengths)[begins], shingles[begins]

    width = int(shingles.max(initial=0)) + 1
    sets = csr_array((np.ones(len(rows), np.int32), (rows, shingles)), shape=(len(lengths), width))
    sets.data[:] = 1  # a shingle may occur twice in a text
    rank = np.empty(width, sets.indices.dtype)
    rank[np.argsort(np.bincount(sets.indices, minlength=width), kind="stable")] = np.arange(width)
    ranked = csr_array((sets.data, rank[sets.indices], sets.indptr), shape=sets.shape)
    ranked.sort_indices()
    return ranked


def most_similar(
    sets: csr_array, first: np.ndarray, last: np.ndarray, threshold: float
) -> tuple[np.ndarray, np.ndarray]:
    """Find for each row i of `sets` a similar one among the rows from `first[i]` to before `last[i]`.

    Returns:
        match: `int64[n]`, the row found, -1 where none has similarity `threshold` or more. It is the most similar, or
            close to it where very many share their rarest shingles.
        similarity: `float64[n]`, Jaccard, exact; 0 where there is no match.
    """
    n, sizes = sets.shape[0], np.diff(sets.indptr)
    prefix = sizes - np.ceil(threshold * sizes - 1e-9).astype(np.int64) + 1
    place = np.arange(sets.nnz) - np.repeat(sets.indptr[:-1], sizes)
    kept = place < np.repeat(prefix, sizes)
    # The rows that have a shingle in their prefix, by shingle, then by row.
    keys = np.sort(sets.indices[kept].astype(np.int64) * n + np.repeat(np.arange(n), sizes)[kept])
    shingle, row = np.divmod(keys, n)
    candidate = np.searchsorted(keys, shingle * n + first[row])
    stop = np.searchsorted(keys, shingle * n + last[row])

    match, similarity = np.full(n, -1), np.zeros(n)
    query, compared = row, 0
    while True:
        unsettled = (candidate < stop) & ((match[query] < 0) | (compared < ENOUGH))
        query, candidate, stop = query[unsettled], candidate[unsettled], stop[unsettled]
        if not len(query):
            return match, similarity
        pairs = np.unique(query * n + row[candidate])
        for start in range(0, len(pairs), BLOCK):
            rows, others = np.divmod(pairs[start : start + BLOCK], n)
            found = jaccard(sets, rows, others, threshold)
            better = np.flatnonzero((found >= threshold) & (found > similarity[rows]))
            # Of several, the last one assigned stays: the most similar, the first in the file among equals.
            better = better[np.lexsort((-others[better], found[better]))]
            match[rows[better]], similarity[rows[better]] = others[better], found[better]
        candidate, compared = candidate + 1, compared + 1


def jaccard(sets: csr_array, rows: np.ndarray, others: np.ndarray, threshold: float = 0) -> np.ndarray:
    """Return the similarity of pairs of rows, `float64[pairs]`; 0 where the sizes alone rule `threshold` out."""
    sizes = np.diff(sets.indptr)
    small, large = np.minimum(sizes[rows], sizes[others]), np.maximum(sizes[rows], sizes[others])
    similarity = np.zeros(len(rows))
    able = small >= threshold * large - 1e-9
    shared = sets[rows[able]].multiply(sets[others[able]]).sum(axis=1)
    similarity[able] = shared / (small[able] + large[able] - shared)
    return similarity
