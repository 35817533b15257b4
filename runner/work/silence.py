"""Noticing that a training process hangs: it lives, and nothing moves."""

from runner.runs.run_folder import Progress, RunFolder


class Silence:
    """How long a run's folder has told nothing new: no phase, no count and no metric."""

    def __init__(self, folder: RunFolder, longest_seconds: float, now: float) -> None:
        """Begin to listen.

        Args:
            longest_seconds: silence beyond which the process counts as hanging.
            now: on the clock of `is_too_long`, which only moves forward.
        """
        self._folder = folder
        self._longest_seconds = longest_seconds
        self._told = self._tells()
        self._told_at = now

    def is_too_long(self, now: float) -> bool:
        """Whether the process hangs."""
        told = self._tells()
        if told != self._told:
            self._told, self._told_at = told, now
        return now - self._told_at > self._longest_seconds

    def _tells(self) -> tuple[Progress, int]:
        path = self._folder.metrics_path
        return self._folder.progress(), path.stat().st_size if path.exists() else 0
