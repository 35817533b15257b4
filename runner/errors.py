"""Errors of runner.

RunnerError
├── ServerUnreachable     no connection, or no answer in time, after retries
├── ServerFault           the server answered, but not as the API says
├── Refused               the server understood and declined; lists all problems
├── Denied                no access token, or none that is good for this
├── Conflict              what was asked for is too late, such as cancelling an ended run
├── NotFound              no such file, submission, run, job or track
├── LeaseLost             the job now belongs to another worker, or to none
├── ProtocolMismatch      worker and server speak different versions
├── FolderInUse           another process trains in this run folder
├── UnfitFolder           an export may not be written into this folder
├── OtherRun              the run folder belongs to another run
├── DamagedFolder         a file of a run folder does not follow its schema
├── RunFailed             a run ended without a result
├── RunStopped            a local run was stopped; the same command goes on with it
├── LedgerBroken          a ledger does not hold, or its database says something else
├── OtherData             a run cannot be reproduced on the data that is here
├── BadSettings           an environment variable has a value that is not allowed
└── NoRoom                the disk has no room for a run
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from runner.exit_codes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.schema.problem import Problem


class RunnerError(Exception):
    """Base of every error that runner raises on purpose."""

    exit_code: ClassVar[ExitCode] = ExitCode.FAILURE


class ServerUnreachable(RunnerError):
    """No connection, or no answer in time."""

    exit_code = ExitCode.UNREACHABLE


class ServerFault(RunnerError):
    """The server failed, or something else answers at its address."""


class Refused(RunnerError):
    """The server declined a request; `problems` lists what is wrong with the input."""

    exit_code = ExitCode.INVALID

    def __init__(self, message: str, problems: Sequence[Problem] = ()) -> None:
        self.problems = tuple(problems)
        # Some messages of the server list the problems themselves.
        texts = [problem.text() for problem in self.problems]
        lines = [f"  {text}" for text in texts if text not in message]
        super().__init__("\n".join([message, *lines]))


class Denied(RunnerError):
    """The server wants an access token, or one that is good for more."""

    exit_code = ExitCode.DENIED


class Conflict(RunnerError):
    """What was asked for is too late, such as cancelling an ended run."""

    exit_code = ExitCode.CONFLICT


class NotFound(RunnerError):
    """No such file, submission, run, job or track."""

    exit_code = ExitCode.NOT_FOUND


class LeaseLost(RunnerError):
    """The job now belongs to another worker, or to none."""

    exit_code = ExitCode.CONFLICT


class ProtocolMismatch(RunnerError):
    """Worker and server speak different versions of the protocol."""

    exit_code = ExitCode.CONFLICT


class FolderInUse(RunnerError):
    """Another process trains in this run folder."""

    exit_code = ExitCode.CONFLICT


class UnfitFolder(RunnerError):
    """An export may not be written into this folder."""

    exit_code = ExitCode.INVALID


class OtherRun(RunnerError):
    """The run folder belongs to another run."""

    exit_code = ExitCode.CONFLICT


class DamagedFolder(RunnerError):
    """A file of a run folder is damaged, or another version of the project wrote it."""

    exit_code = ExitCode.INVALID


class RunFailed(RunnerError):
    """A run ended without a result."""

    exit_code = ExitCode.RUN_FAILED


class RunStopped(RunnerError):
    """A local run was stopped; the same command goes on with it."""

    exit_code = ExitCode.INTERRUPTED


class LedgerBroken(RunnerError):
    """A server's ledger does not hold, or its database says something else."""


class OtherData(RunnerError):
    """A run cannot be reproduced on the data that is here."""

    exit_code = ExitCode.CONFLICT


class BadSettings(RunnerError):
    """An environment variable has a value that is not allowed."""

    exit_code = ExitCode.INVALID


class NoRoom(RunnerError):
    """The disk has no room for a run."""

    exit_code = ExitCode.DISK
