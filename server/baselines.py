"""Bringing the measured runs that come with the project into the database."""

import logging
from collections.abc import Mapping
from pathlib import Path

from sqlmodel import Session

from core.schema.overrides import experiment_hash
from core.schema.track import Track
from core.tracks import BaselineRun, load_baseline_results
from server.reports import put_result
from server.submissions import ensure_experiment
from server.tables import Experiment, Run

logger = logging.getLogger(__name__)


def import_baselines(session: Session, tracks: Mapping[str, Track], folder: Path) -> int:
    """Store the baseline runs that the database does not have; how many were new.

    A run is known by its id and never changed.

    Raises:
        InvalidInput: a results file does not follow its schema.
    """
    count = 0
    for name, track in tracks.items():
        measured = load_baseline_results(name, folder).runs
        missing = [run for run in measured if session.get(Run, run.run_id) is None]
        if missing:
            version = track.rules.version
            identity = experiment_hash(name, version, track.base)
            experiment = ensure_experiment(session, identity, track.rules, track.base)
            session.add_all(_row(run, experiment, tracks) for run in missing)
            session.flush()
            logger.info("baseline runs imported", extra={"track": name, "runs": len(missing)})
        count += len(missing)
    return count


def _row(measured: BaselineRun, experiment: Experiment, tracks: Mapping[str, Track]) -> Run:
    run = Run.model_validate(
        {
            "id": measured.run_id,
            "experiment_hash": experiment.hash,
            "seed": measured.result.seed,
            "origin": "project",
            "note": measured.note,
        }
    )
    put_result(run, experiment, measured.result, tracks)
    return run
