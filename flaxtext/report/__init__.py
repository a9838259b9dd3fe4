"""The page that shows a run, with models that a browser can use."""
