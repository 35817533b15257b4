"""Exit statuses of the command line."""

from enum import IntEnum


class ExitCode(IntEnum):
    """What each exit status of `runner` means."""

    OK = 0
    """Everything that was asked for was done."""
    FAILURE = 1
    """The machine, the server or this program is at fault."""
    USAGE = 2
    """Unknown command or option."""
    INVALID = 3
    """A file or a value was refused; the message lists every problem."""
    UNREACHABLE = 4
    """The server did not answer in time."""
    NOT_FOUND = 5
    """No such file, folder, submission, run or track."""
    RUN_FAILED = 6
    """A run ended without a result."""
    CONFLICT = 7
    """Another process works in this folder, the run has ended, or versions or data differ."""
    DENIED = 8
    """The server wants an access token, or another one."""
    DISK = 9
    """The disk is full, read-only or broken."""
    INTERRUPTED = 130
    """Stopped by Ctrl-C or SIGTERM; what can be resumed was saved."""
