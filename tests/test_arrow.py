"""Conversions between Python, NumPy and Arrow give what Arrow's own give."""

import numpy as np
import pyarrow as pa
import pytest

from flaxtext.core.arrow import binary_array, number_array, numpy_array, string_array, text_scalar


@pytest.mark.parametrize("texts", [[], [None], ["a"], ["", None, "שלום 🦊", "b" * 1000, None]])
def test_texts(texts):
    found = string_array(texts)
    found.validate(full=True)
    assert found.equals(pa.array(texts, pa.string()))
    assert binary_array(text and text.encode() for text in texts).equals(pa.array(texts, pa.binary()))
    assert string_array(iter(texts)).equals(found)


def test_a_scalar_and_half_a_surrogate_pair():
    assert text_scalar(" é").equals(pa.scalar(" é"))
    with pytest.raises(UnicodeEncodeError):
        string_array(["\ud83d"])


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.uint32, np.float32, np.float64])
def test_numbers_there_and_back(dtype):
    values = np.arange(20).astype(dtype)[::2]  # not contiguous
    missing = values % 3 == 1
    assert number_array(values).equals(pa.array(values))
    assert number_array(values, missing).equals(pa.array(values, mask=missing))
    assert number_array(values[:0]).equals(pa.array(values[:0]))
    for array in (number_array(values), number_array(values)[3:], number_array(values[:0])):
        assert np.array_equal(numpy_array(array), array.to_numpy())
        assert numpy_array(array).dtype == dtype


def test_booleans_to_numpy():
    array = pa.array([True, False, True, True])
    for part in (array, array[1:], array[:0]):
        found = numpy_array(part)
        assert found.dtype == bool
        assert found.tolist() == part.to_pylist()


def test_numbers_of_which_one_is_null_have_no_place_in_numpy():
    with pytest.raises(ValueError, match="1 of 2 values are null"):
        numpy_array(pa.array([1, None]))
