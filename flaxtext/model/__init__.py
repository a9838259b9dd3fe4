"""What predicts: its architecture, its one forward pass, and the classifier that users hold."""
