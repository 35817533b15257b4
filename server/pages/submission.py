"""A submission's page: what it changes, what its runs measured, where they came from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import JsonValue
from sqlmodel import Session, col, select

from core.schema.experiment import ExperimentConfig
from core.schema.forecast import Forecast
from core.schema.job import JobState
from core.schema.overrides import Change, differences, flatten
from core.schema.result import RunResult, Verification
from core.schema.track import Track, TrackRules
from server.board_keys import baseline_hash, board_keys, shown_key
from server.curves import has_points, validation_losses
from server.experiments import stored_config
from server.idle.contributions import Contributions, submission_contributions
from server.idle.lineage import RebasedResult, Step, lineage, rebased_results
from server.ledger.histories import submission_history
from server.live.topics import MAX_TOPICS, run_topic
from server.memory.nearest import NearExperiment, nearest_measured
from server.pages.ledger_lines import LedgerLine, ledger_lines
from server.pages.page import Page
from server.pooling import MeasuredRun, PooledResult, pool
from server.run_log import SHOWN_LINES, log_tail
from server.served_tracks import find_served_track
from server.settings import ServerSettings
from server.standing import RunStanding, experiment_runs
from server.submissions import find_submission
from server.tables import Experiment, SubmissionRow
from server.verdict.bar import IntervalBar, interval_bars
from server.verdict.strip import LossStrip, loss_strip
from server.verdict.view import (
    ExperimentVerdict,
    WithdrawnNote,
    board_verdicts,
    withdrawal_of,
    withdrawn_among,
)
from server.waiting.forecast import run_forecast


@dataclass(frozen=True, kw_only=True)
class KeyedResult:
    """Pooled figures under one comparability key, beside the baseline's."""

    key: str
    result: PooledResult
    verified: bool
    """Whether trusted workers measured it, or measured the same as others did."""
    baseline: PooledResult | None
    delta: float | None
    """Mean validation loss less the baseline's; None without one and for the baseline."""
    verdict: ExperimentVerdict | None
    """Against the baseline; None for the baseline, and while there is none."""
    bar: IntervalBar | None
    """Its interval."""
    strip: LossStrip | None
    """The losses of both; None without a baseline and for the baseline."""
    pending: str
    """Why there is no verdict."""


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
    forecast: Forecast | None
    """When that should start and end, while it waits or runs."""
    built_on: SubmissionRow | None
    same_experiment: tuple[SubmissionRow, ...]
    """Other submissions of the same config."""
    baseline_submission_id: str | None
    """First submission of the baseline, to compare with."""
    changes: tuple[Change, ...]
    """What differs from the baseline."""
    nearest: tuple[NearExperiment, ...]
    """Other experiments that were measured, the nearest first."""
    settings: tuple[tuple[str, JsonValue], ...]
    """Every setting by its dotted path."""
    runs: tuple[RunStanding, ...]
    measured: tuple[RunStanding, ...]
    """Runs with a result."""
    results: tuple[KeyedResult, ...]
    """The newest key first."""
    track_version: int
    """Version of the track that it was submitted on."""
    withdrawn: WithdrawnNote | None
    """Why its author took it back, if that happened."""
    still_counts: bool
    """Whether the experiment counts all the same, for others who submitted it."""
    times: tuple[RunTime, ...]
    """One of each run with a result."""
    has_curves: bool
    validation: ValidationTable
    log: tuple[str, ...]
    """The last lines of this submission's run."""
    ledger: tuple[LedgerLine, ...]
    """What was entered of it, the newest first."""
    contributions: tuple[Contributions, ...]
    """What each setting contributes, where the experiment was taken apart."""
    lineage: tuple[Step, ...]
    """The chain that ends here; empty if it is built on none."""
    rebased: tuple[RebasedResult, ...]
    """What became of it on later versions of the track."""


def submission_page(
    session: Session,
    tracks: Mapping[str, Track],
    settings: ServerSettings,
    submission_id: str,
    now: datetime,
) -> SubmissionPage:
    """The page of a submission as of `now`.

    Raises:
        NotFound: there is no such submission, or its track is no longer served.
    """
    submission = find_submission(session, submission_id)
    track = find_served_track(submission.track, tracks)
    identity = submission.experiment_hash
    experiment = session.get_one(Experiment, identity)
    config = stored_config(experiment)
    same = _submissions_of(session, identity)
    baseline = _submissions_of(session, baseline_hash(track))
    runs = experiment_runs(session, identity)
    measured = tuple(run for run in runs if run.result is not None)
    is_baseline = identity == baseline_hash(track)
    return SubmissionPage(
        title=submission.name,
        section="tracks",
        is_live=any(not run.state.is_final for run in runs),
        topics=_topics(submission, runs),
        json_url=f"/api/v1/submissions/{submission.id}",
        submission=submission,
        rules=track.rules,
        is_baseline=is_baseline,
        state=next(run for run in runs if run.run_id == submission.run_id),
        forecast=run_forecast(session, tracks, settings, submission.run_id, now),
        built_on=session.get(SubmissionRow, submission.built_on) if submission.built_on else None,
        same_experiment=tuple(other for other in same if other.id != submission.id),
        baseline_submission_id=baseline[0].id if baseline and not is_baseline else None,
        changes=differences(track.base, config),
        nearest=_nearest(session, track, config, identity),
        settings=tuple(
            (".".join(path), value) for path, value in flatten(config.model_dump(mode="json"))
        ),
        runs=runs,
        measured=measured,
        results=_results(session, track, identity, runs),
        track_version=experiment.track_version,
        withdrawn=withdrawal_of(session, submission.id),
        still_counts=identity not in withdrawn_among(session, {identity}),
        times=tuple(run_time(run.result) for run in measured if run.result is not None),
        has_curves=has_points(session, [run.run_id for run in runs]),
        validation=_validation_table(session, runs),
        log=log_tail(session, submission.run_id, SHOWN_LINES),
        ledger=ledger_lines(submission_history(session, submission).entries),
        contributions=submission_contributions(session, submission),
        lineage=lineage(session, submission, track),
        rebased=rebased_results(session, submission),
    )


def _nearest(
    session: Session, track: Track, config: ExperimentConfig, identity: str
) -> tuple[NearExperiment, ...]:
    """What was measured near it, on the board that the track shows by default."""
    key = shown_key(board_keys(session, track), track, None)
    return nearest_measured(session, track, key, config, identity) if key else ()


def _topics(submission: SubmissionRow, runs: Sequence[RunStanding]) -> tuple[str, ...]:
    """Its own run, by which reruns are told, and those that go on."""
    active = [run.run_id for run in runs if not run.state.is_final]
    wanted = dict.fromkeys((submission.run_id, *active))
    return tuple(run_topic(run_id) for run_id in wanted)[:MAX_TOPICS]


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
    session: Session, track: Track, identity: str, runs: Sequence[RunStanding]
) -> tuple[KeyedResult, ...]:
    """Runs pooled under each of their keys, never across keys."""
    is_baseline = identity == baseline_hash(track)
    counted = [
        run
        for run in experiment_runs(session, baseline_hash(track))
        if run.verification is not Verification.UNVERIFIED
    ]
    baseline, baseline_losses = _by_key(counted), _losses(counted)
    losses = _losses(runs)
    unverified = {
        run.comparability_key
        for run in runs
        if run.verification is Verification.UNVERIFIED and not run.held_reason
    }
    results = []
    for key, result in _by_key(runs).items():
        base = baseline.get(key)
        num_seeds = base.num_seeds if base else 0
        verdicts = board_verdicts(session, key, num_seeds, {identity})
        verdict = None if is_baseline else verdicts.of.get(identity)
        results.append(
            KeyedResult(
                key=key,
                result=result,
                verified=key not in unverified,
                baseline=base,
                delta=result.val_loss - base.val_loss if base and not is_baseline else None,
                verdict=verdict,
                bar=interval_bars([verdict])[0],
                strip=loss_strip(losses[key], baseline_losses[key], verdict)
                if base and not is_baseline
                else None,
                pending="" if is_baseline else verdicts.pending,
            )
        )
    return tuple(results)


def _by_key(runs: Sequence[RunStanding]) -> dict[str, PooledResult]:
    measured: dict[str, list[MeasuredRun]] = {}
    for run in sorted(runs, key=lambda run: run.finished_at or run.created_at, reverse=True):
        if run.held_reason:
            continue
        if run.state is JobState.SUCCEEDED and run.result and run.comparability_key:
            one = MeasuredRun(run.result, run.cost_usd)
            measured.setdefault(run.comparability_key, []).append(one)
    return {key: pool(group) for key, group in measured.items()}


def _losses(runs: Sequence[RunStanding]) -> dict[str, dict[int, float]]:
    """Losses by key and seed, as verdicts count them: a seed that ran again counts once."""
    losses: dict[str, dict[int, float]] = {}
    for run in sorted(runs, key=lambda run: (run.seed, run.finished_at or run.created_at)):
        if not run.held_reason and run.result and run.comparability_key:
            by_seed = losses.setdefault(run.comparability_key, {})
            by_seed.setdefault(run.seed, run.result.val_loss)
    return losses
