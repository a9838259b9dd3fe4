"""Section `evaluate`."""

from pydantic import Field

from flaxtext.config.section import Section


class Evaluate(Section):
    """How predictions are judged."""

    calibration_bins: int = Field(default=15, ge=1)
