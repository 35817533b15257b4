"""Leave-one-out ablations: a better experiment without each of its settings in turn."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass

from sqlmodel import Session, select

from core.errors import InvalidInput
from core.estimate.budget import budget_violations
from core.schema.canonical import experiment_hash
from core.schema.experiment import ExperimentConfig
from core.schema.overrides import Change, differences, resolve
from core.schema.track import Track
from server.experiments import ensure_experiment, stored_config
from server.idle.listing import was_queued
from server.idle.tables import Ablation
from server.new_runs import queue_run
from server.tables import Experiment, RunPurpose
from server.verdict.records import is_withdrawn

MAX_SETTINGS = 12
"""A diff of more settings is not taken apart: each of them costs a run."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Variant:
    """An experiment without one of its settings."""

    path: str
    config: ExperimentConfig | None
    """None if it cannot be run."""
    reason: str
    """Why it cannot be run."""


def ablate(session: Session, track: Track, experiment: Experiment) -> None:
    """Queue an experiment without each of its settings, one idle run each.

    Settings that change nothing beside the others do not count, and an experiment with a single
    one has nothing to take apart. What was taken apart before is not taken apart again.

    Args:
        experiment: of the track's present version.
    """
    known = select(Ablation.path).where(Ablation.experiment_hash == experiment.hash)
    is_known = session.exec(known.limit(1)).first() is not None
    if is_known or is_withdrawn(session, experiment.hash):
        return
    variants = list(_variants(track, experiment))
    if not 2 <= len(variants) <= MAX_SETTINGS:
        return
    for variant in variants:
        row = {
            "experiment_hash": experiment.hash,
            "path": variant.path,
            "variant_hash": _measured(session, track, variant.config) if variant.config else None,
            "reason": variant.reason,
        }
        session.add(Ablation.model_validate(row))
    session.flush()
    extra = {"experiment": experiment.hash, "settings": len(variants)}
    logger.info("experiment taken apart", extra=extra)


def _variants(track: Track, experiment: Experiment) -> Iterator[_Variant]:
    """The experiment without each setting that makes a difference to it."""
    config = stored_config(experiment)
    for change in differences(track.base, config):
        variant = _without(track, config, change)
        if variant.config is None or _identity(track, variant.config) != experiment.hash:
            yield variant


def _without(track: Track, config: ExperimentConfig, change: Change) -> _Variant:
    """The config with a setting back at the baseline's value, if the others allow it."""
    try:
        without = resolve(config, {change.path: change.before})
    except InvalidInput as error:
        return _Variant(change.path, None, str(error))
    if violations := budget_violations(track, without):
        return _Variant(change.path, None, " ".join(violations))
    return _Variant(change.path, without, "")


def _measured(session: Session, track: Track, config: ExperimentConfig) -> str:
    """The identity of a variant, which is queued unless it was run before."""
    identity = _identity(track, config)
    experiment = ensure_experiment(session, identity, track, config)
    if not was_queued(session, identity):
        queue_run(session, experiment, track.rules, RunPurpose.ABLATION)
    return identity


def _identity(track: Track, config: ExperimentConfig) -> str:
    return experiment_hash(track.rules.name, track.rules.version, config)
