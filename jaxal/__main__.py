"""`python -m jaxal` is the command line."""

from jaxal.cli import entry

entry()
