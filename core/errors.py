"""Errors of core.

CoreError
├── InvalidInput          text from outside that is refused, with every problem at once
│   └── TooFewTokens      the corpus is smaller than the budget
├── DataUnavailable       a corpus, tokenizer or task file cannot be read
├── DeviceUnavailable     the machine lacks the device that a run was given
├── Diverged              the loss is no longer a finite number
├── OutOfMemory           the device, or the 24 GiB cap, is too small
├── BudgetExceeded        the run would cost more than the track allows
├── CheckpointCorrupt     a checkpoint is incomplete or of another experiment
├── CheckpointNotWritten  a checkpoint could not be put on the disk
└── Interrupted           asked to stop; what was done is kept
"""

from collections.abc import Sequence

from core.schema.problem import Problem


class CoreError(Exception):
    """Base of every error that core raises on purpose."""


class InvalidInput(CoreError):
    """Input that does not follow its schema; `problems` lists all that is wrong."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(problem.text() for problem in self.problems))


class TooFewTokens(InvalidInput):
    """The prepared corpus holds fewer training tokens than the budget asks for."""


class DataUnavailable(CoreError):
    """A corpus, a tokenizer or an evaluation set cannot be read."""


class DeviceUnavailable(CoreError):
    """The machine, or its PyTorch, lacks the device that a run was given."""


class Diverged(CoreError):
    """The training loss became NaN or infinite."""


class OutOfMemory(CoreError):
    """Training needed more memory than the device or the track's cap has."""


class BudgetExceeded(CoreError):
    """Compile and training time cost more than the track's dollars."""


class CheckpointCorrupt(CoreError):
    """A checkpoint is incomplete, damaged, or belongs to another experiment."""


class CheckpointNotWritten(CoreError):
    """The disk is full or broken; the checkpoint before is still there."""


class Interrupted(CoreError):
    """The run was asked to stop; it goes on from what was kept, such as a checkpoint."""
