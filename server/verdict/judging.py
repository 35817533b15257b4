"""Taking verdicts after results have come, and queueing the runs that would settle them.

A result of the baseline judges the whole board anew, any other result its own experiment.
"""

import logging
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from functools import cached_property

from sqlmodel import Session, col, func, or_, select

from core.schema.ledger import LedgerKind
from core.schema.track import Track
from server.board.entries import refresh_entries, refresh_verdicts
from server.board_keys import baseline_hash
from server.experiments import ensure_experiment
from server.idle.ablations import ablate
from server.idle.listing import listed_experiments
from server.ledger.entries import record
from server.new_runs import queue_run, runs_under_way
from server.tables import Experiment, Job, Run, RunPurpose, utc_now
from server.trust.verification import (
    has_trusted_worker,
    is_being_confirmed,
    settle_verification,
    unverified_experiments,
)
from server.verdict.board_losses import (
    baseline_losses,
    board_noise,
    experiment_losses,
    losses_by_experiment,
)
from server.verdict.escalation import TRIAGE_RUNS, wanted_runs
from server.verdict.judge import MIN_BASELINE_RUNS, Judgement, Verdict, judge, judge_pair
from server.verdict.noise import Noise
from server.verdict.records import (
    counted_mean,
    settle_record,
    standing_record,
    stored_judgements,
    withdrawn_among,
)
from server.verdict.rerun_outcomes import any_open_reruns, settle_reruns
from server.verdict.tables import JudgementRow, RecordRow

MAX_ROUNDS = 2
"""How often all runs of the baseline may fail, or end on other data than a board's, before the
board asks for no more. Whoever submits the baseline still adds to it."""
MAX_FRUITLESS = 4
"""Runs of an experiment for a verdict that may fail, or end on other data than the board's, before
no more are queued."""
MAX_NAMED = 500
"""Experiments that a statement names; where there are more, it asks about all."""

logger = logging.getLogger(__name__)


def make_up_for(session: Session, job: Job, tracks: Mapping[str, Track], queues_runs: bool) -> None:
    """Queue another seed where a run ended without a result for the board that waits for it.

    It failed, its workers were lost, or the one that ended it has other data. Both limits above
    hold, so that this comes to an end.
    """
    if not queues_runs or job.only_key is None:
        return
    run = session.get_one(Run, job.run_id)
    experiment = session.get_one(Experiment, run.experiment_hash)
    track, key = tracks.get(experiment.track), job.only_key
    if run.purpose not in (RunPurpose.VERDICT, RunPurpose.BASELINE, RunPurpose.CONFIRMATION):
        return
    if track is None or experiment.track_version != track.rules.version:
        return
    if key == run.comparability_key:
        return
    if run.purpose is RunPurpose.BASELINE:
        # Judging the whole board anew would say nothing new.
        _Board(session, track, key).measure_baseline()
    else:
        judge_anew(session, track, key, {experiment.hash}, queues_runs)


def judge_anew(
    session: Session, track: Track, key: str, changed: AbstractSet[str], queues_runs: bool
) -> None:
    """Judge the experiments whose counted runs have changed; all if the baseline's have."""
    judges_all = baseline_hash(track) in changed
    among = listed_experiments(session, key) if judges_all else changed
    settled = settle_verification(session, key, among)
    refresh_entries(session, track, key, changed | settled)
    standing = standing_record(session, key)
    if judges_all:
        judge_board(session, track, key, queues_runs)
    else:
        listed = listed_experiments(session, key, changed)
        losses = losses_by_experiment(session, key, listed)
        _Board(session, track, key).judge_all(listed, losses, queues_runs)
        refresh_verdicts(session, key, changed)
    if standing is not None and standing.lost_at is not None:
        judge_board(session, track, key, queues_runs)
    if queues_runs:
        _Board(session, track, key).measure_baseline()


def judge_board(session: Session, track: Track, key: str, queues_runs: bool) -> None:
    """Judge everything on a board anew, as after its record was lost: who comes next?"""
    board = _Board(session, track, key)
    listed = listed_experiments(session, key)
    board.judge_all(listed, losses_by_experiment(session, key), queues_runs)
    refresh_verdicts(session, key)


class _Board:
    """The experiments of a track under one key."""

    def __init__(self, session: Session, track: Track, key: str) -> None:
        self._session = session
        self._track = track
        self._key = key
        self.baseline_hash = baseline_hash(track)
        self._baseline_losses = baseline_losses(session, self.baseline_hash, key)

    @cached_property
    def _noise(self) -> Noise | None:
        """The noise, for which the whole board is read, once it is asked for."""
        return board_noise(self._session, self._key)

    def judge_all(
        self, experiments: AbstractSet[str], losses: Mapping[str, list[float]], queues_runs: bool
    ) -> None:
        """Judge some experiments in the order of their losses, so that the best one is the record,
        whoever came first."""
        others = sorted(
            experiments - {self.baseline_hash},
            key=lambda other: counted_mean(losses.get(other, [])),
        )
        among = others if len(others) <= MAX_NAMED else None
        self._unverified = unverified_experiments(self._session, self._key, among)
        self._withdrawn = withdrawn_among(self._session, among)
        self._judgements = stored_judgements(self._session, self._key, among)
        self._has_reruns = any_open_reruns(self._session, self._key)
        for other in others:
            self.judge(other, losses.get(other, []), queues_runs)

    def judge(self, experiment_hash: str, losses: list[float], queues_runs: bool) -> None:
        """Judge an experiment, and queue the runs that it deserves."""
        standing = standing_record(self._session, self._key)
        judgement, against_record = self._judge(experiment_hash, losses, standing)
        if judgement is not None:
            self._store(experiment_hash, judgement)
            if self._has_reruns:
                settle_reruns(self._session, experiment_hash, self._key, judgement)
        else:
            self._drop(experiment_hash)
        is_verified = experiment_hash not in self._unverified
        settle_record(
            self._session,
            experiment_hash,
            self._key,
            losses,
            judgement,
            standing,
            against_record,
            is_verified=is_verified,
        )
        if queues_runs and experiment_hash not in self._withdrawn:
            self._settle_by_runs(
                experiment_hash, losses, judgement, against_record, is_verified=is_verified
            )

    def _settle_by_runs(
        self,
        experiment_hash: str,
        losses: list[float],
        judgement: Judgement | None,
        against_record: Judgement | None,
        *,
        is_verified: bool,
    ) -> None:
        """Queue the runs that would settle what is open."""
        # What no trusted worker has seen yet is not worth more seeds before one has.
        if not is_verified and has_trusted_worker(self._session):
            self._confirm(experiment_hash)
            return
        missing = wanted_runs(judgement, against_record) - len(losses)
        if missing > 0 and self._may_queue(experiment_hash, RunPurpose.VERDICT):
            self._queue(self._experiment(experiment_hash), missing, RunPurpose.VERDICT)
        # Not after a single run, which is confirmed first.
        num_runs = judgement.num_runs if judgement is not None else 0
        better = judgement is not None and judgement.verdict is Verdict.BETTER
        if better and is_verified and num_runs > TRIAGE_RUNS:
            ablate(self._session, self._track, self._experiment(experiment_hash))

    def _judge(
        self, experiment_hash: str, losses: list[float], standing: RecordRow | None
    ) -> tuple[Judgement | None, Judgement | None]:
        """The judgements against the baseline, and against a record that another one holds."""
        judgement = against_record = None
        if len(self._baseline_losses) >= MIN_BASELINE_RUNS:
            judgement = judge(losses, self._baseline_losses, self._noise)
        if standing is not None and standing.experiment_hash != experiment_hash:
            held = experiment_losses(self._session, standing.experiment_hash, self._key)
            against_record = judge_pair(losses, held, self._noise)
        return judgement, against_record

    def measure_baseline(self) -> None:
        """Queue the runs of the baseline that this board lacks, for trusted workers."""
        missing = self._track.rules.baseline_runs - len(self._baseline_losses)
        if missing <= 0:
            return
        fruitless = self._num_fruitless(self.baseline_hash, RunPurpose.BASELINE)
        allowed = MAX_ROUNDS * self._track.rules.baseline_runs - fruitless
        if allowed <= 0:
            logger.warning("the baseline's runs bring this board nothing", extra={"key": self._key})
        track = self._track
        baseline = ensure_experiment(self._session, self.baseline_hash, track, track.base)
        self._queue(baseline, min(missing, allowed), RunPurpose.BASELINE)

    def _confirm(self, experiment_hash: str) -> None:
        """Have a trusted worker measure what another one did, once."""
        if is_being_confirmed(self._session, experiment_hash, self._key):
            return
        purpose = RunPurpose.CONFIRMATION
        if self._may_queue(experiment_hash, purpose):
            self._queue_one(self._experiment(experiment_hash), purpose, only_trusted=True)

    def _experiment(self, experiment_hash: str) -> Experiment:
        return self._session.get_one(Experiment, experiment_hash)

    def _may_queue(self, experiment_hash: str, purpose: RunPurpose) -> bool:
        """Whether not too many runs of an experiment were in vain."""
        return self._num_fruitless(experiment_hash, purpose) < MAX_FRUITLESS

    def _num_fruitless(self, experiment_hash: str, purpose: RunPurpose) -> int:
        """Runs that this board waited for, and that ended without a result for it."""
        query = select(func.count()).select_from(Job).join(Run, col(Run.id) == col(Job.run_id))
        query = query.where(Run.experiment_hash == experiment_hash, Run.purpose == purpose)
        query = query.where(Job.only_key == self._key, col(Run.finished_at).is_not(None))
        key = col(Run.comparability_key)
        return self._session.exec(query.where(or_(key.is_(None), key != self._key))).one()

    def _queue(self, experiment: Experiment, missing: int, purpose: RunPurpose) -> None:
        """Queue as many runs as are missing, less those that are under way."""
        under_way = runs_under_way(self._session, experiment.hash, self._key)
        for _ in range(missing - under_way):
            self._queue_one(experiment, purpose, only_trusted=purpose is RunPurpose.BASELINE)

    def _queue_one(
        self, experiment: Experiment, purpose: RunPurpose, *, only_trusted: bool
    ) -> None:
        run = queue_run(
            self._session,
            experiment,
            self._track.rules,
            purpose,
            only_key=self._key,
            only_trusted=only_trusted,
        )
        logger.info("run queued", extra={"run_id": run.id, "purpose": purpose.value})

    def _drop(self, experiment_hash: str) -> None:
        """Take back a judgement whose runs, or the baseline's, no longer count."""
        row = self._judgements.get(experiment_hash)
        if row is not None:
            self._session.delete(row)
            self._session.flush()
            contents = {"key": self._key, "verdict": None}
            record(self._session, LedgerKind.VERDICT, experiment_hash, contents)

    def _store(self, experiment_hash: str, judgement: Judgement) -> None:
        """Keep the judgement; the ledger tells of each that is new or says anything else."""
        values = judgement.model_dump(exclude={"confidence", "next_look"}, mode="json")
        row = self._judgements.get(experiment_hash)
        before = row.verdict if row is not None else None
        changed = row is None or values != row.model_dump(include=set(values))
        if row is None:
            identity = {"experiment_hash": experiment_hash, "comparability_key": self._key}
            row = JudgementRow.model_validate({**identity, **values})
        for name, value in values.items():
            setattr(row, name, value)
        if judgement.verdict is Verdict.BETTER:
            row.was_better_at = judgement.num_runs
        row.judged_at = utc_now()
        self._session.add(row)
        self._session.flush()
        if changed:
            contents = {"key": self._key, "before": before, **values}
            record(self._session, LedgerKind.VERDICT, experiment_hash, contents)
