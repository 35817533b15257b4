"""`python -m runner` is the command line."""

from runner.cli import app

app()
