"""Tables in files: their columns read, their rows read and written."""
