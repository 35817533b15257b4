"""What would come of a submission that is still being written; nothing is queued."""

from collections.abc import Mapping
from datetime import datetime

from sqlmodel import Session

from core.draft import Draft, read_draft
from core.errors import InvalidInput
from core.estimate.cost import Estimate, estimate, planned_flops
from core.schema.base import Message
from core.schema.canonical import experiment_hash
from core.schema.experiment import ExperimentConfig
from core.schema.forecast import Forecast
from core.schema.overrides import Change, differences
from core.schema.problem import Problem
from core.schema.track import Track
from core.schema.validation_problems import by_line
from server.access.caller import Caller, require_author
from server.drafts.author_line import with_author
from server.drafts.problems import DraftProblem, draft_problems
from server.errors import QuotaExceeded
from server.memory.nearest import NearestExperiments, nearest_experiments
from server.quota.check import expected_seconds, require_quota
from server.settings import ServerSettings
from server.submissions import parent_config
from server.waiting.forecast import next_forecast


class Prospect(Message):
    """What a config would cost, and what is known of it."""

    experiment_hash: str
    """Identity of the experiment."""
    changes: tuple[Change, ...]
    """What differs from the track's baseline."""
    estimate: Estimate
    """Parameters, FLOPs and memory; time, tokens and dollars for each GPU of the price list."""
    training_flops_ratio: float | None
    """Training FLOPs as a multiple of the baseline's; None for a budget in dollars."""
    nearest: NearestExperiments
    """What was measured near it; `equal` is the same experiment, if somebody submitted it."""
    forecast: Forecast
    """Where its run would stand in the queue, and when it should start and end."""


class DraftCheck(Message):
    """What a submission's text would be answered with, and what it would bring."""

    is_valid: bool
    """Whether it would be accepted as it is."""
    problems: tuple[DraftProblem, ...]
    """Everything for which it would be refused, in the order of the text."""
    track: str | None
    """The track that it names, if there is one of that name."""
    prospect: Prospect | None
    """What it resolves to, within the budget or not; None while a setting is wrong."""


def check_draft(
    session: Session,
    tracks: Mapping[str, Track],
    settings: ServerSettings,
    text: bytes,
    author: str,
    caller: Caller | None,
    now: datetime,
) -> DraftCheck:
    """Check a text as its submission would, and say what it would bring.

    Args:
        text: YAML, finished or not.
        author: who submits it, if the text need not say so; empty if it must.
        caller: who asks; None for somebody who could not submit, so that nobody's name is compared.
    """
    problems: list[Problem] = []
    try:
        text = with_author(text.decode(), author).encode()
    except UnicodeDecodeError:
        # The reading of it says where.
        pass
    except InvalidInput as error:
        problems.extend(error.problems)

    def parent_of(built_on: str, track: Track, line: int | None) -> ExperimentConfig:
        return parent_config(session, built_on, track, line, tracks)

    draft = read_draft(text, tracks, parent_of)
    problems.extend(draft.problems)
    problems.extend(_refusals(session, settings, draft, caller))
    written = draft.document.value if draft.document else {}
    return DraftCheck(
        is_valid=not problems,
        problems=draft_problems(by_line(problems), written, tracks),
        track=draft.track.rules.name if draft.track else None,
        prospect=_prospect(session, tracks, settings, draft, now),
    )


def _refusals(
    session: Session, settings: ServerSettings, draft: Draft, caller: Caller | None
) -> tuple[Problem, ...]:
    """What a submission is refused for besides what it says."""
    submission, track, document = draft.submission, draft.track, draft.document
    if submission is None or track is None or document is None:
        return ()
    line = document.lines.get(("author",))
    try:
        if caller is not None:
            require_author(caller, submission.author, line)
        if draft.experiment is not None:
            seconds = expected_seconds(draft.experiment, track.rules)
            require_quota(session, submission.author, seconds, settings.quota_gpu_minutes, line)
    except (InvalidInput, QuotaExceeded) as error:
        return error.problems
    return ()


def _prospect(
    session: Session,
    tracks: Mapping[str, Track],
    settings: ServerSettings,
    draft: Draft,
    now: datetime,
) -> Prospect | None:
    track, experiment = draft.track, draft.experiment
    if track is None or experiment is None:
        return None
    rules = track.rules
    own = estimate(experiment, rules.prices_usd_per_hour)
    author = draft.submission.author if draft.submission else ""
    return Prospect(
        experiment_hash=experiment_hash(rules.name, rules.version, experiment),
        changes=differences(track.base, experiment),
        estimate=own,
        training_flops_ratio=_ratio(track, experiment, own),
        nearest=nearest_experiments(session, track, experiment),
        forecast=next_forecast(
            session, tracks, settings, track, int(own.memory_bytes), author, now
        ),
    )


def _ratio(track: Track, experiment: ExperimentConfig, own: Estimate) -> float | None:
    if experiment.training.dollars or track.base.training.dollars:
        return None
    return own.training_flops / planned_flops(track.base)
