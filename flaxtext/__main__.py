"""`python -m flaxtext`: the command line."""

from flaxtext.cli.main import script

if __name__ == "__main__":
    script()
