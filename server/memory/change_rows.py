"""Keeping what each experiment changes, and reading it back."""

import json
import logging
from collections.abc import Mapping, Sequence

from pydantic import JsonValue
from sqlalchemy import bindparam
from sqlalchemy import select as select_columns
from sqlmodel import Session, col, select

from core.schema.canonical import canonical, experiment_hash
from core.schema.experiment import ExperimentConfig
from core.schema.overrides import settings_of
from core.schema.track import Track
from server.memory.changes import StartingPoint
from server.memory.forms import CanonicalForm
from server.memory.tables import ExperimentChange
from server.tables import Experiment, table_of

CHUNK = 500
"""Experiments that are read at once."""

CHANGE = table_of(ExperimentChange)
CHANGES = (
    # Columns, not objects: the memory of a track reads hundreds of them for a page.
    select_columns(CHANGE.c.experiment_hash, CHANGE.c.path, CHANGE.c.value)
    .where(CHANGE.c.experiment_hash.in_(bindparam("experiments", expanding=True)))
    .order_by(CHANGE.c.path)
)

logger = logging.getLogger(__name__)

Changed = Mapping[str, JsonValue]
"""What an experiment sets otherwise than the base config: values by the settings' paths."""


def add_changes(
    session: Session, experiment: Experiment, base: ExperimentConfig, config: ExperimentConfig
) -> None:
    """Keep what a new experiment changes in its track's base config."""
    changed = changes_of(base, config)
    for path, value in changed.items():
        row = {
            "experiment_hash": experiment.hash,
            "path": path,
            "track": experiment.track,
            "value": json.dumps(value, sort_keys=True),
            "num_changes": len(changed),
        }
        session.add(ExperimentChange.model_validate(row))
    session.flush()


def changes_of(base: ExperimentConfig, config: ExperimentConfig) -> Changed:
    """What a config changes in a base config, by what they train like."""
    changes = StartingPoint(base).changes_to(CanonicalForm.of(config))
    return {change.path: change.after for change in changes}


def base_values(track: Track) -> Mapping[str, JsonValue]:
    """The base config's value of every setting that it has, in canonical form."""
    return settings_of(canonical(track.base))


def stored_changes(session: Session, experiments: Sequence[str]) -> dict[str, dict[str, JsonValue]]:
    """What some experiments change, by their hashes; one that changes nothing is left out."""
    changed: dict[str, dict[str, JsonValue]] = {}
    session.flush()
    rows = session.connection().execute(CHANGES, {"experiments": experiments})
    for identity, path, value in rows:
        changed.setdefault(identity, {})[path] = json.loads(value)
    return changed


def make_up_changes(session: Session, tracks: Mapping[str, Track]) -> int:
    """Keep the changes of experiments that were stored before changes were; how many there were.

    Those of older versions of a track stay as they are: their base config is not known any more.
    """
    count = 0
    for track in tracks.values():
        missing = _without_changes(session, track)
        for start in range(0, len(missing), CHUNK):
            chunk = missing[start : start + CHUNK]
            query = select(Experiment).where(col(Experiment.hash).in_(chunk))
            for experiment in session.exec(query):
                config = ExperimentConfig.model_validate_json(json.dumps(experiment.config))
                add_changes(session, experiment, track.base, config)
        count += len(missing)
    if count:
        logger.info("changes of experiments made up for", extra={"experiments": count})
    return count


def _without_changes(session: Session, track: Track) -> list[str]:
    """Experiments of a track's present version of which no change is kept."""
    rules = track.rules
    kept = select(ExperimentChange.path).where(
        col(ExperimentChange.experiment_hash) == col(Experiment.hash)
    )
    query = (
        select(Experiment.hash)
        .where(Experiment.track == rules.name, Experiment.track_version == rules.version)
        .where(Experiment.hash != experiment_hash(rules.name, rules.version, track.base))
        .where(~kept.exists())
    )
    return list(session.exec(query.order_by(col(Experiment.hash))))
