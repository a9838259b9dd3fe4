"""Cells that a spreadsheet would run as formulas, made harmless."""

import pyarrow as pa
import pyarrow.compute as pc

from flaxtext.core.arrow import text_scalar

FORMULA = "^[=+@\t\r-]"
"""How a cell starts that a spreadsheet takes for a formula (OWASP, CSV Injection)."""
NUMBER = r"^[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?$"


def neutralize(cells: pa.StringArray) -> pa.StringArray:
    """Put an apostrophe before cells that a spreadsheet would run as a formula; plain numbers stay as they are."""
    risky = pc.and_not(pc.match_substring_regex(cells, FORMULA), pc.match_substring_regex(cells, NUMBER))
    if not pc.any(risky).as_py():
        return cells
    return pc.if_else(risky, pc.binary_join_element_wise(text_scalar("'"), cells, text_scalar("")), cells)
