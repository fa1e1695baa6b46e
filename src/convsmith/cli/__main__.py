"""`python -m convsmith.cli` is the command `convsmith`."""

from convsmith.cli import main

main()
