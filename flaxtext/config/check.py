"""Section `check`: what is too much of a fault in the data."""

from pydantic import Field, model_validator

from flaxtext.config import Count, Limit, Section


class Check(Section):
    """When two documents are near-duplicates, and how much of each fault is too much; null: only warn.

    `length` is how many words of a document are read by the model that the limits are for; null: all.
    """

    similarity: float = Field(default=0.7, gt=0, le=1)
    shingle_words: int = Field(default=2, ge=1, le=10)
    length: Count | None = None
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
    max_rare_classes: Limit | None = None
    max_imbalance: Limit | None = None

    @model_validator(mode="after")
    def _check_length(self) -> "Check":
        for name, limit in (("max_cut", self.max_cut), ("max_cut_words", self.max_cut_words)):
            if limit is not None and self.length is None:
                raise ValueError(f"{name} needs length, the words beyond which a document counts as cut, such as 50")
        return self

    @property
    def limits(self) -> dict[str, float]:
        """The limits that are set, by the name of the check."""
        values = {name.removeprefix("max_"): value for name, value in self if name.startswith("max_")}
        return {name: value for name, value in values.items() if value is not None}
