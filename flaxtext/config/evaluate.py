"""Section `evaluate`."""

from pydantic import Field

from flaxtext.config import Section


class Evaluate(Section):
    """How predictions are judged."""

    calibration_bins: int = Field(default=15, ge=1, le=10_000)
