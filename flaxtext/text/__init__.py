"""Documents, their words, and the ids of those."""
