"""Section `check`: what is too much of a fault in the data."""

from pydantic import Field

from flaxtext.config import Limit, Section


class Check(Section):
    """When two documents are near-duplicates, and how much of each fault is too much; null: only warn."""

    similarity: float = Field(default=0.7, gt=0, le=1)
    shingle_words: int = Field(default=2, ge=1, le=10)
    max_leakage: Limit | None = None
    max_near_leakage: Limit | None = None
    max_duplicates: Limit | None = None
    max_near_duplicates: Limit | None = None
    max_label_conflicts: Limit | None = None
    max_empty: Limit | None = None
    max_markup: Limit | None = None
    max_cut: Limit | None = None
    max_cut_words: Limit | None = None
    max_unknown_words: Limit | None = None
    max_similar_classes: Limit | None = None
    max_imbalance: Limit | None = None

    @property
    def limits(self) -> dict[str, float]:
        """The limits that are set, by the name of the check."""
        values = {name.removeprefix("max_"): value for name, value in self if name.startswith("max_")}
        return {name: value for name, value in values.items() if value is not None}
