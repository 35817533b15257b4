"""Where text goes: results to stdout, everything else to stderr."""

from rich.console import Console

PIPE_WIDTH = 200
"""Columns where no terminal says how many there are, so that tables are not cut."""


def output_console() -> Console:
    """For results, on stdout."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=PIPE_WIDTH)


def message_console() -> Console:
    """For progress and messages, on stderr."""
    console = Console(stderr=True, highlight=False)
    if console.is_terminal:
        return console
    return Console(stderr=True, highlight=False, width=PIPE_WIDTH)
