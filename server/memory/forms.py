"""Configs in canonical form, as the memory of a track compares them."""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from core.schema.canonical import canonical
from core.schema.experiment import ExperimentConfig
from core.schema.overrides import settings_of


@dataclass(frozen=True)
class CanonicalForm:
    """A config as the plainest one that trains alike."""

    config: ExperimentConfig
    """The canonical form."""
    values: Mapping[str, JsonValue]
    """Its settings by dotted path."""
    is_as_written: bool
    """Whether the config had this form already, so that nothing in it was switched off."""

    @classmethod
    def of(cls, written: ExperimentConfig) -> "CanonicalForm":
        """The form of a config."""
        config = canonical(written)
        return cls(config, settings_of(config), is_as_written=config == written)
