"""Documents of a batch in chunks of much the same length."""

from itertools import pairwise

import numpy as np
import pytest

from flaxtext.train.fast.chunks import ChunkLayout, by_documents, by_ids, uncut


def documents(lengths, width):
    """Documents of ids from 1 to 9."""
    ids = np.random.default_rng(0).integers(1, 10, (len(lengths), width)).astype(np.int32)
    return np.where(np.arange(width) < np.array(lengths)[:, None], ids, 0)


def test_halves_have_much_the_same_number_of_ids():
    assert by_ids(np.array([8, 8, 4, 4, 4, 4])) == (2, 4)
    assert by_ids(np.array([8, 1, 1, 1, 1, 1])) == (1, 5)
    assert by_ids(np.array([4, 4])) == (1, 1)
    assert by_ids(np.array([0, 0, 0])) == (1, 2)


def test_halves_have_as_many_documents():
    assert by_documents(np.array([8, 1, 1, 1])) == (2, 2)
    assert by_documents(np.array([8, 1, 1])) == (2, 1)


@pytest.mark.parametrize("lengths", [[3, 12, 5, 0, 7, 1, 12, 2], [12] * 8, [0] * 8, [4] * 7 + [12]])
def test_no_cut_needs_fewer_ids_in_the_larger_part(lengths):
    widths = np.sort(lengths)[::-1]
    larger = [max(size * widths[0], (8 - size) * widths[size]) for size in range(1, 8)]
    assert larger[by_ids(widths)[0] - 1] == min(larger)


@pytest.mark.parametrize(("cut", "chunks"), [(uncut, 1), (by_documents, 2), (by_ids, 2)])
def test_chunks_hold_the_documents_longest_first(cut, chunks):
    ids = documents([3, 12, 5, 0, 7, 1, 12, 2], 12)
    order = np.arange(8, dtype=np.int32).reshape(1, 8)
    rows, used, layout = ChunkLayout(ids, 10, cut, room=False).prepare(order)
    assert len(layout.sizes) == chunks
    assert sum(layout.sizes) == 8
    assert all(wider >= narrower for wider, narrower in pairwise(layout.widths))
    ends = np.cumsum([size * width for size, width in zip(layout.sizes, layout.widths, strict=True)])
    found = [
        np.pad(used[0][part].reshape(size, width), ((0, 0), (0, 12 - width)))
        for part, size, width in zip(
            np.split(np.asarray(layout.positions[0]), ends[:-1]), layout.sizes, layout.widths, strict=True
        )
    ]
    assert np.array_equal(np.concatenate(found), ids[rows[0]])


@pytest.mark.parametrize("cut", [uncut, by_documents, by_ids])
def test_a_batch_of_one_document_is_one_chunk(cut):
    order = np.arange(3, dtype=np.int32).reshape(3, 1)
    _, _, layout = ChunkLayout(documents([3, 5, 0], 12), 10, cut, room=False).prepare(order)
    assert layout.sizes == (1,)
    assert layout.widths == (8,)
