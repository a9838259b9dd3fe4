"""The schema of params.yaml, a module for each section."""
