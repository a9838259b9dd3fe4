"""Which variants differ."""
