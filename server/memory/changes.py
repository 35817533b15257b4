"""What it takes to turn one experiment into another."""

from collections.abc import Sequence

from core.errors import InvalidInput
from core.schema.canonical import canonical
from core.schema.experiment import ExperimentConfig
from core.schema.overrides import Change, changes_between, resolve
from server.memory.forms import CanonicalForm


class StartingPoint:
    """A config that others are compared with."""

    def __init__(self, config: ExperimentConfig) -> None:
        self._config = config
        self._form = CanonicalForm.of(config)

    def changes_to(self, goal: CanonicalForm) -> tuple[Change, ...]:
        """The settings to change in this config to get an experiment equal to another.

        Values are those of the canonical form. What differs there only because another setting
        switched it off, such as the number of experts of a model without experts, is left out.
        """
        changes = changes_between(self._form.values, goal.values)
        if self._form.is_as_written and goal.is_as_written:
            # Nothing was switched off, so every difference is one that somebody made.
            return changes
        needed = list(changes)
        for change in changes:
            rest = [kept for kept in needed if kept is not change]
            if rest and self._leads_to(goal.config, rest):
                needed = rest
        return tuple(needed)

    def _leads_to(self, goal: ExperimentConfig, changes: Sequence[Change]) -> bool:
        """Whether these changes are enough to get to a canonical form."""
        overrides = {change.path: change.after for change in changes if change.after is not None}
        try:
            return canonical(resolve(self._config, overrides)) == goal
        except InvalidInput:
            return False
