"""Fuzzing: thousands of valid and mutated files, params.yaml and models, each through the command or a stage.

Every case is made from its number alone, so `python -m tests.fuzz --case N` makes and runs it again. In order:

- `files` writes valid tables, `mutations` damages bytes, text and trees of values;
- `cases` puts a case together: files, a command, and what is known of the right answer;
- `worker` runs cases in a process of its own, and measures each;
- `rules` judges what a case did, by `oracle`, which reads tables without any code of the project;
- `pool` keeps the workers, and replaces those that died; `report` prints the figures and keeps what failed.
"""
