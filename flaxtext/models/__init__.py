"""What predicts, from its folder to probabilities."""
