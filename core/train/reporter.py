"""What a run tells, and asks, whoever started it."""

from typing import Protocol

from core.schema.job import Phase
from core.schema.metric_point import MetricPoint


class Reporter(Protocol):
    """Receives progress; every call returns at once."""

    def phase(self, phase: Phase, completed: int, total: int) -> None:
        """The run is in `phase` and has done `completed` of `total` units; 0 if unknown."""

    def metric(self, point: MetricPoint) -> None:
        """One optimizer step was measured."""

    def should_stop(self) -> bool:
        """Whether the run should write a checkpoint and raise `Interrupted`."""


class SilentReporter:
    """Tells nobody and never asks to stop: for a process that another one speaks for."""

    def phase(self, phase: Phase, completed: int, total: int) -> None:
        """Nothing."""

    def metric(self, point: MetricPoint) -> None:
        """Nothing."""

    def should_stop(self) -> bool:
        """Never; the process that speaks decides for all."""
        return False
