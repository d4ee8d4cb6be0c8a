"""`python -m crest`."""

from crest.cli.app import main

main()
