"""The files that stages exchange: a module for each format writes, reads, checks and versions it."""
