"""Configs in canonical form, kept: the memory of a track compares all of them again and again."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from pydantic import JsonValue

from core.schema.canonical import canonical
from core.schema.experiment import ExperimentConfig
from core.schema.overrides import settings_of

KEPT = 2048
"""Forms that are kept in memory, at some 30 kB each."""


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


@lru_cache(maxsize=KEPT)
def form_of_stored(text: str) -> CanonicalForm:
    """The form of a config that was stored as JSON."""
    return CanonicalForm.of(ExperimentConfig.model_validate_json(text))
