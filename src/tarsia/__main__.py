"""`python -m tarsia` is `tarsia`."""

from tarsia.cli import main

main()
