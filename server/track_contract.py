"""What a track asks of a submission, in full: its rules, what it opens and fixes, its versions."""

from pydantic import AwareDatetime, JsonValue
from sqlalchemy import case, func
from sqlmodel import Session, col, select

from core.schema.base import Message
from core.schema.overrides import settings_of
from core.schema.setting_names import setting_names
from core.schema.track import Budget, Track, TrackRules
from server.board_keys import BoardKey, board_keys
from server.idle.tables import Rebase, RebaseOutcome
from server.memo import kept
from server.memory.setting_facts import SettingFacts, setting_facts
from server.tables import SubmissionRow


class RuledSetting(SettingFacts):
    """A setting, and what the track makes of it."""

    value: JsonValue
    """In the base config; None where it has no such setting."""


class TrackMove(Message):
    """That a track went on to a new version, and what became of the submissions before."""

    version: int
    """The new version."""
    began_at: AwareDatetime
    """When submissions were first resolved anew on it."""
    num_carried: int
    """Submissions that are valid on it, too."""
    num_invalid: int
    """Submissions that break its rules."""


class TrackContract(Message):
    """The rules of a track, and what follows from them."""

    rules: TrackRules
    """As written by the maintainers."""
    budget: tuple[str, ...]
    """The bounds of a run in plain words."""
    open_settings: tuple[RuledSetting, ...]
    """What a submission may change."""
    fixed_settings: tuple[RuledSetting, ...]
    """What belongs to the track."""
    keys: tuple[BoardKey, ...]
    """Every comparability key that its results have."""
    moves: tuple[TrackMove, ...]
    """Its versions from the second on that submissions were carried to, the newest first."""


def track_contract(session: Session, track: Track) -> TrackContract:
    """The contract of a track."""
    values = settings_of(track.base)
    settings = [
        RuledSetting(**dict(setting_facts(path)), value=values.get(path))
        for path in setting_names()
    ]
    rules = track.rules
    return TrackContract(
        rules=rules,
        budget=budget_sentences(rules.budget),
        open_settings=tuple(one for one in settings if rules.is_open(one.path)),
        fixed_settings=tuple(
            one for one in settings if not rules.is_open(one.path) and one.value is not None
        ),
        keys=board_keys(session, track),
        moves=kept(session, ("moves", rules.name), lambda other: _moves(other, rules.name)),
    )


def budget_sentences(budget: Budget) -> tuple[str, ...]:
    """Each bound that a budget sets, as a short phrase."""
    sentences = []
    if budget.training_flops_ratio is not None:
        sentences.append(f"at most {budget.training_flops_ratio:g} × the baseline's training FLOPs")
    if budget.steps is not None:
        sentences.append(f"at most {budget.steps:,} optimizer steps")
    if budget.cost_usd is not None:
        sentences.append(f"at most ${budget.cost_usd:,.2f} for compile and training time")
    if budget.memory_gib is not None:
        sentences.append(f"at most {budget.memory_gib:g} GiB of device memory")
    return tuple(sentences)


def _moves(session: Session, track: str) -> tuple[TrackMove, ...]:
    is_invalid = col(Rebase.outcome) == RebaseOutcome.INVALID
    query = (
        select(
            Rebase.to_version,
            func.min(Rebase.created_at),
            func.count(case((~is_invalid, 1))),
            func.count(case((is_invalid, 1))),
        )
        .join(SubmissionRow, col(SubmissionRow.id) == col(Rebase.submission_id))
        .where(SubmissionRow.track == track)
        .group_by(col(Rebase.to_version))
        .order_by(col(Rebase.to_version).desc())
    )
    return tuple(
        TrackMove(version=version, began_at=began_at, num_carried=carried, num_invalid=invalid)
        for version, began_at, carried, invalid in session.exec(query)
    )
