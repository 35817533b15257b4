"""Experiments as rows: their configs, and the first submission of each."""

import json

from sqlmodel import Session, col, select

from core.schema.experiment import ExperimentConfig
from core.schema.track import Track
from server.ledger.entries import take_turn
from server.memory.change_rows import add_changes
from server.tables import Experiment, SubmissionRow


def first_of_experiment(session: Session, experiment_hash: str) -> SubmissionRow | None:
    """The earliest submission of an experiment."""
    same = select(SubmissionRow).where(SubmissionRow.experiment_hash == experiment_hash)
    oldest = same.order_by(col(SubmissionRow.created_at), col(SubmissionRow.id)).limit(1)
    return session.exec(oldest).one_or_none()


def stored_config(experiment: Experiment) -> ExperimentConfig:
    """The config of a row.

    Raises:
        ValidationError: an earlier version accepted it, and this one cannot read it.
    """
    return ExperimentConfig.model_validate_json(json.dumps(experiment.config))


def ensure_experiment(
    session: Session, experiment_hash: str, track: Track, config: ExperimentConfig
) -> Experiment:
    """The row of an experiment, made if it is new; locked against a second taker of seeds.

    What it changes in the track's base config is kept beside it.
    """
    take_turn(session)
    locked = select(Experiment).where(Experiment.hash == experiment_hash).with_for_update()
    row = session.exec(locked).one_or_none()
    if row is None:
        row = Experiment.model_validate(
            {
                "hash": experiment_hash,
                "track": track.rules.name,
                "track_version": track.rules.version,
                "config": config.model_dump(mode="json"),
            }
        )
        session.add(row)
        session.flush()
        add_changes(session, row, track.base, config)
    return row
