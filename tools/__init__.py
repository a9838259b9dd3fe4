"""For maintainers: what writes or checks files of the project that follow from its code."""
