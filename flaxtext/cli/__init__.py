"""What a user runs: the command `flaxtext`, the table of results, the sweep."""
