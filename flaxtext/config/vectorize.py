"""Section `vectorize`: how token ids are kept, and which documents are held out as validation."""

from typing import ClassVar, Literal

from pydantic import Field

from flaxtext.config import Section, Seed


class Vectorize(Section):
    """The form of the files, and the fraction of the training split that training watches and does not learn from."""

    renamed: ClassVar[dict[str, str]] = {"max_len": "train.max_len, which a variant may override"}

    format: Literal["parquet", "npz"] = "parquet"
    validation: float = Field(default=0.05, ge=0, lt=1)
    seed: Seed = 0
