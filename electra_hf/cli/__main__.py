"""`python -m electra_hf.cli`: the command where no script is installed."""

from electra_hf.cli import main

if __name__ == "__main__":
    main()
