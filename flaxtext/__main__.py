"""`python -m flaxtext`: the command line."""

from flaxtext.cli.main import main

if __name__ == "__main__":
    main()
