"""What may be wrong with documents."""
