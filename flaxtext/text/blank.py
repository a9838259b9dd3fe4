"""Which texts hold nothing to read."""

import pyarrow as pa
import pyarrow.compute as pc


def is_blank(texts: pa.StringArray) -> pa.BooleanArray:
    """Tell which of `texts: string[n]` are empty or nothing but white space: `bool[n]`, null if missing."""
    return pc.or_(pc.equal(texts, ""), pc.utf8_is_space(texts))
