"""What each experiment of a track gave, read in a number of queries that does not grow."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Text, cast
from sqlmodel import Session, col, select
from sqlmodel.sql.expression import SelectOfScalar

from core.schema.track import Track
from server.board_keys import baseline_hash
from server.memory.forms import CanonicalForm, form_of_stored
from server.run_labels import PROJECT, Label, known_labels
from server.tables import Experiment, Run
from server.verdict.board_losses import losses_by_experiment
from server.verdict.view import (
    BoardVerdicts,
    ExperimentVerdict,
    WithdrawnNote,
    board_verdicts,
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


@dataclass(frozen=True, kw_only=True)
class MeasuredExperiment:
    """An experiment with a result."""

    form: CanonicalForm
    is_baseline: bool
    outcome: Outcome


def measured_experiments(
    session: Session, track: Track, key: str | None
) -> tuple[MeasuredExperiment, ...]:
    """Every experiment of a track that has a result under a key.

    The baseline is among them, and so are ablations, which no board lists.
    """
    if key is None:
        return ()
    losses = losses_by_experiment(session, key)
    baseline = baseline_hash(track)
    verdicts = board_verdicts(session, track, key, len(losses.get(baseline, [])))
    labels = {baseline: PROJECT} | _labels(session, key)
    stored = select(Experiment.hash, cast(Experiment.config, Text))
    query = stored.where(col(Experiment.hash).in_(_with_results(key)))
    return tuple(
        MeasuredExperiment(
            form=form_of_stored(config),
            is_baseline=identity == baseline,
            outcome=Outcome(
                **_label(identity, labels).model_dump(),
                experiment_hash=identity,
                num_runs=len(losses[identity]),
                delta=_delta(verdicts, identity, losses, baseline),
                verdict=verdicts.of.get(identity),
                withdrawn=verdicts.withdrawn.get(identity),
            ),
        )
        for identity, config in session.exec(query.order_by(col(Experiment.hash)))
        # Of some experiments, all results may be held back.
        if identity in losses
    )


def _labels(session: Session, key: str) -> dict[str, Label]:
    """The label of each experiment with a result; an ablation goes by the label of its run."""
    labels = known_labels(session, _with_results(key))
    runs = select(Run.experiment_hash, Run.id).where(Run.comparability_key == key)
    for identity, run_id in session.exec(runs.order_by(col(Run.seed), col(Run.id))):
        if run_id in labels:
            labels.setdefault(identity, labels[run_id])
    return labels


def _with_results(key: str) -> SelectOfScalar[str]:
    """Hashes of the experiments with a result under a key."""
    query = select(Run.experiment_hash).where(Run.comparability_key == key)
    return query.where(col(Run.val_loss).is_not(None))


def _label(identity: str, labels: Mapping[str, Label]) -> Label:
    unknown = Label(submission_id=None, name=identity[:12], author="project")
    return labels.get(identity, unknown)


def _delta(
    verdicts: BoardVerdicts, identity: str, losses: Mapping[str, Sequence[float]], baseline: str
) -> float | None:
    if (verdict := verdicts.of.get(identity)) is not None:
        return verdict.delta
    if baseline not in losses or identity == baseline:
        return None
    return statistics.fmean(losses[identity]) - statistics.fmean(losses[baseline])
