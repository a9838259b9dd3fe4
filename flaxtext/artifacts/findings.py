"""The documents that check objects to, as CSV for a spreadsheet, one finding per row."""

from pathlib import Path

import pyarrow as pa
import pyarrow.csv as csv

from flaxtext.core.files import atomic
from flaxtext.io.formulas import neutralize


def write_findings(path: str | Path, findings: pa.Table) -> None:
    """Write findings, whole or not at all; a spreadsheet runs none of their texts as a formula."""
    columns = zip(findings.schema.names, findings.columns, strict=True)
    safe = pa.table({name: neutralize(own) if pa.types.is_string(own.type) else own for name, own in columns})
    with atomic(path) as temporary:
        csv.write_csv(safe, temporary)
