"""Bringing the measured runs that come with the project into the database."""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime, time
from pathlib import Path

from sqlmodel import Session

from core.errors import InvalidInput
from core.schema.canonical import experiment_hash
from core.schema.problem import Problem
from core.schema.track import Track
from core.tracks import BaselineRun, load_baseline_results
from server.experiments import ensure_experiment
from server.ledger.entries import add_entries, take_turn
from server.measured import Measured
from server.tables import Experiment, Run, RunPurpose, SubmissionRow
from server.verdict.judging import judge_anew

logger = logging.getLogger(__name__)


def import_baselines(session: Session, tracks: Mapping[str, Track], folder: Path) -> int:
    """Store the baseline runs that the database does not have; how many were new.

    A run is known by its id and never changed. Boards that get new ones are judged anew.

    Raises:
        InvalidInput: a results file does not follow its schema, or a run is of another config
            than the track's base.
    """
    count = 0
    for name, track in tracks.items():
        measured = load_baseline_results(name, folder).runs
        if not measured:
            continue
        version = track.rules.version
        identity = experiment_hash(name, version, track.base)
        missing = [run for run in measured if session.get(Run, run.run_id) is None]
        for run in missing:
            _check_identity(run, name, identity)
        experiment = ensure_experiment(session, identity, track, track.base)
        keys = {_add(session, run, experiment, tracks).comparability_key for run in missing}
        for key in sorted(filter(None, keys)):
            judge_anew(session, track, key, {identity}, queues_runs=False)
        _ensure_submission(session, track, experiment, measured[0].run_id)
        if missing:
            logger.info("baseline runs imported", extra={"track": name, "runs": len(missing)})
        count += len(missing)
    return count


def _ensure_submission(session: Session, track: Track, experiment: Experiment, run_id: str) -> None:
    """Give the baseline a page, and an id to compare with and to build on."""
    rules = track.rules
    submission_id = f"s_baseline_{rules.name}_{rules.version}"
    if session.get(SubmissionRow, submission_id) is None:
        hypothesis = "The track's base config; everything else is measured against it."
        text = f"track: {rules.name}\nname: Baseline\nauthor: project\nhypothesis: {hypothesis}\n"
        row = {
            "id": submission_id,
            "experiment_hash": experiment.hash,
            "track": rules.name,
            "name": "Baseline",
            "author": "project",
            "hypothesis": hypothesis,
            "yaml": text,
            # No client can send this key: a colon is not allowed in one.
            "idempotency_key": f"project:{rules.name}@{rules.version}",
            "run_id": run_id,
        }
        session.add(SubmissionRow.model_validate(row))
        session.flush()


def _check_identity(run: BaselineRun, track: str, identity: str) -> None:
    if run.experiment_hash != identity:
        message = (
            f"the run {run.run_id} of track {track} is of experiment {run.experiment_hash[:12]}, "
            f"and the base config is {identity[:12]}; raise the track's version and measure anew."
        )
        raise InvalidInput([Problem(path="runs.experiment_hash", message=message)])


def _add(
    session: Session, measured: BaselineRun, experiment: Experiment, tracks: Mapping[str, Track]
) -> Run:
    run = Run.model_validate(
        {
            "id": measured.run_id,
            "experiment_hash": experiment.hash,
            "seed": measured.result.seed,
            "origin": "project",
            "purpose": RunPurpose.BASELINE,
            "note": measured.note,
            "finished_at": datetime.combine(measured.measured_at, time.min, UTC),
        }
    )
    track = tracks[experiment.track]
    taken = Measured.of(measured.result)
    columns = taken.columns(run.purpose, experiment.track, experiment.track_version, track)
    run.sqlmodel_update(columns)
    session.add(run)
    add_entries(session, take_turn(session), [taken.news(run.id, columns)])
    return run
