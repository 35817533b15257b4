"""A submission's page: what it changes, what its runs measured, where they came from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import JsonValue
from sqlmodel import Session, col, select

from core.schema.job import JobState
from core.schema.overrides import Change, differences, flatten
from core.schema.result import RunResult
from core.schema.track import Track, TrackRules
from server.curves import has_points, validation_losses
from server.leaderboard import baseline_hash
from server.pages.page import Page
from server.pooling import MeasuredRun, PooledResult, pool
from server.run_log import log_tail
from server.served_tracks import find_served_track
from server.standing import RunStanding, experiment_runs
from server.submissions import find_submission, stored_config
from server.tables import Experiment, SubmissionRow

LOG_LINES = 100


@dataclass(frozen=True, kw_only=True)
class KeyedResult:
    """Pooled figures under one comparability key, beside the baseline's."""

    key: str
    result: PooledResult
    baseline: PooledResult | None
    delta: float | None
    """Mean validation loss less the baseline's; None without one and for the baseline."""


@dataclass(frozen=True, kw_only=True)
class TimePhase:
    """One phase of a run, and its place on a bar that is 100 wide."""

    name: str
    seconds: float
    start: float
    width: float


@dataclass(frozen=True, kw_only=True)
class RunTime:
    """Where the time of one run went."""

    seed: int
    device: str
    phases: tuple[TimePhase, ...]
    total_seconds: float


@dataclass(frozen=True, kw_only=True)
class ValidationTable:
    """Validation losses by step, for those who cannot see curves."""

    seeds: tuple[int, ...]
    rows: tuple[tuple[int, tuple[float | None, ...]], ...]
    """(step, one loss a seed)."""


@dataclass(frozen=True, kw_only=True)
class SubmissionPage(Page):
    """Context of `submission.html`."""

    submission: SubmissionRow
    rules: TrackRules
    is_baseline: bool
    state: RunStanding
    """The run that this submission asked for."""
    built_on: SubmissionRow | None
    same_experiment: tuple[SubmissionRow, ...]
    """Other submissions of the same config."""
    baseline_submission_id: str | None
    """First submission of the baseline, to compare with."""
    changes: tuple[Change, ...]
    """What differs from the baseline."""
    settings: tuple[tuple[str, JsonValue], ...]
    """Every setting by its dotted path."""
    runs: tuple[RunStanding, ...]
    measured: tuple[RunStanding, ...]
    """Runs with a result."""
    results: tuple[KeyedResult, ...]
    """The newest key first."""
    times: tuple[RunTime, ...]
    """One of each run with a result."""
    has_curves: bool
    validation: ValidationTable
    log: tuple[str, ...]
    """The last lines of this submission's run."""


def submission_page(
    session: Session, tracks: Mapping[str, Track], submission_id: str
) -> SubmissionPage:
    """The page of a submission.

    Raises:
        NotFound: there is no such submission, or its track is no longer served.
    """
    submission = find_submission(session, submission_id)
    track = find_served_track(submission.track, tracks)
    identity = submission.experiment_hash
    config = stored_config(session.get_one(Experiment, identity))
    same = _submissions_of(session, identity)
    baseline = _submissions_of(session, baseline_hash(track))
    runs = experiment_runs(session, identity)
    measured = tuple(run for run in runs if run.result is not None)
    is_baseline = identity == baseline_hash(track)
    return SubmissionPage(
        title=submission.name,
        section="tracks",
        is_live=any(not run.state.is_final for run in runs),
        json_url=f"/api/v1/submissions/{submission.id}",
        submission=submission,
        rules=track.rules,
        is_baseline=is_baseline,
        state=next(run for run in runs if run.run_id == submission.run_id),
        built_on=session.get(SubmissionRow, submission.built_on) if submission.built_on else None,
        same_experiment=tuple(other for other in same if other.id != submission.id),
        baseline_submission_id=baseline[0].id if baseline and not is_baseline else None,
        changes=differences(track.base, config),
        settings=tuple(
            (".".join(path), value) for path, value in flatten(config.model_dump(mode="json"))
        ),
        runs=runs,
        measured=measured,
        results=_results(runs, experiment_runs(session, baseline_hash(track)), is_baseline),
        times=tuple(run_time(run.result) for run in measured if run.result is not None),
        has_curves=has_points(session, [run.run_id for run in runs]),
        validation=_validation_table(session, runs),
        log=log_tail(session, submission.run_id, LOG_LINES),
    )


def run_time(result: RunResult) -> RunTime:
    """The phases of a run, laid end to end on one bar."""
    timing = result.timing
    durations = {
        "data": timing.data_seconds,
        "compile": timing.compile_seconds,
        "train": timing.train_seconds,
        "evaluate": timing.eval_seconds,
    }
    total = sum(durations.values())
    scale = 100 / total if total else 0.0
    phases, start = [], 0.0
    for name, seconds in durations.items():
        width = seconds * scale
        phases.append(TimePhase(name=name, seconds=seconds, start=start, width=width))
        start += width
    return RunTime(
        seed=result.seed,
        device=result.provenance.devices,
        phases=tuple(phases),
        total_seconds=total,
    )


def _validation_table(session: Session, runs: Sequence[RunStanding]) -> ValidationTable:
    """The validation losses of every run that has some, by step."""
    losses = validation_losses(session, [run.run_id for run in runs])
    validated = [run for run in runs if run.run_id in losses]
    columns = [dict(losses[run.run_id]) for run in validated]
    steps = sorted({step for column in columns for step in column})
    return ValidationTable(
        seeds=tuple(run.seed for run in validated),
        rows=tuple((step, tuple(column.get(step) for column in columns)) for step in steps),
    )


def _submissions_of(session: Session, experiment_hash: str) -> Sequence[SubmissionRow]:
    query = select(SubmissionRow).where(SubmissionRow.experiment_hash == experiment_hash)
    return session.exec(query.order_by(col(SubmissionRow.created_at))).all()


def _results(
    runs: Sequence[RunStanding], baseline_runs: Sequence[RunStanding], is_baseline: bool
) -> tuple[KeyedResult, ...]:
    """Runs pooled under each of their keys, never across keys."""
    own, baseline = _by_key(runs), _by_key(baseline_runs)
    return tuple(
        KeyedResult(
            key=key,
            result=result,
            baseline=baseline.get(key),
            delta=(
                result.val_loss - baseline[key].val_loss
                if key in baseline and not is_baseline
                else None
            ),
        )
        for key, result in own.items()
    )


def _by_key(runs: Sequence[RunStanding]) -> dict[str, PooledResult]:
    measured: dict[str, list[MeasuredRun]] = {}
    for run in sorted(runs, key=lambda run: run.finished_at or run.created_at, reverse=True):
        if run.state is JobState.SUCCEEDED and run.result and run.comparability_key:
            one = MeasuredRun(run.result, run.cost_usd)
            measured.setdefault(run.comparability_key, []).append(one)
    return {key: pool(group) for key, group in measured.items()}
