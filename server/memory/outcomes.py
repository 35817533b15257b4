"""What experiments gave, for as many of them as a page names."""

import statistics
from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import ColumnElement, exists
from sqlalchemy.sql.elements import SQLCoreOperations
from sqlmodel import Session, col, select

from core.schema.track import Track
from server.board_keys import baseline_hash
from server.run_labels import PROJECT, Label, known_labels
from server.tables import Run
from server.verdict.board_losses import losses_by_experiment
from server.verdict.view import (
    ExperimentVerdict,
    WithdrawnNote,
    verdicts_among,
    withdrawn_among,
)


class Outcome(Label):
    """What an experiment gave."""

    experiment_hash: str
    """Identity of the experiment."""
    num_runs: int
    """Seeds measured under the key."""
    delta: float | None
    """Mean validation loss less the baseline's, in nats: that of the verdict where there is one,
    else of all seeds; None without a baseline and for itself."""
    verdict: ExperimentVerdict | None
    """Against the baseline; None while there is none."""
    withdrawn: WithdrawnNote | None
    """Why it does not count, if its authors took it back."""


def is_measured(experiment: SQLCoreOperations[str], key: str) -> ColumnElement[bool]:
    """Whether an experiment has a result under a key that is not held back."""
    return exists().where(
        col(Run.experiment_hash) == experiment,
        col(Run.comparability_key) == key,
        col(Run.val_loss).is_not(None),
        col(Run.held_reason) == "",
    )


def outcomes_of(
    session: Session, track: Track, key: str, experiments: Collection[str]
) -> dict[str, Outcome]:
    """What some experiments gave under a key, by their hashes; those without a result are missing.

    The number of queries does not depend on how many there are.
    """
    baseline = baseline_hash(track)
    losses = losses_by_experiment(session, key, {*experiments, baseline})
    verdicts = verdicts_among(session, key, experiments)
    withdrawn = withdrawn_among(session, experiments)
    labels = {baseline: PROJECT} | _labels(session, key, experiments)
    return {
        identity: Outcome(
            **_label(identity, labels).model_dump(),
            experiment_hash=identity,
            num_runs=len(losses[identity]),
            delta=_delta(verdicts.get(identity), identity, losses, baseline),
            verdict=verdicts.get(identity),
            withdrawn=withdrawn.get(identity),
        )
        for identity in experiments
        if identity in losses
    }


def _labels(session: Session, key: str, experiments: Collection[str]) -> dict[str, Label]:
    """The label of each experiment; an ablation goes by the label of its run."""
    labels = known_labels(session, list(experiments))
    runs = select(Run.experiment_hash, Run.id).where(col(Run.experiment_hash).in_(experiments))
    runs = runs.where(Run.comparability_key == key).order_by(col(Run.seed), col(Run.id))
    for identity, run_id in session.exec(runs):
        if run_id in labels:
            labels.setdefault(identity, labels[run_id])
    return labels


def _label(identity: str, labels: Mapping[str, Label]) -> Label:
    unknown = Label(submission_id=None, name=identity[:12], author="project")
    return labels.get(identity, unknown)


def _delta(
    verdict: ExperimentVerdict | None,
    identity: str,
    losses: Mapping[str, Sequence[float]],
    baseline: str,
) -> float | None:
    if verdict is not None:
        return verdict.delta
    if baseline not in losses or identity == baseline:
        return None
    return statistics.fmean(losses[identity]) - statistics.fmean(losses[baseline])
