"""The records of boards, for those who follow them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid5

from sqlalchemy import and_, func
from sqlmodel import Session, col, select

from core.schema.track import Track, TrackRules
from server.run_labels import PROJECT, Label, known_labels
from server.tables import Experiment
from server.verdict.tables import JudgementRow, RecordRow

MAX_RECORDS = 50
NAMESPACE = UUID("6a2f0f0e-8c5b-4b0e-9d0a-5f1d0c6c2c1b")
"""Makes ids of records differ from those of anything else."""


@dataclass(frozen=True, kw_only=True)
class FoundRecord:
    """A record as it was set, and what is said of it now."""

    id: UUID
    """The same wherever the server is reached, and for good."""
    rules: TrackRules
    label: Label
    key: str
    """Comparability key of the board."""
    val_loss: float
    """Mean over the runs that were counted when it became the record."""
    judgement: JudgementRow | None
    """Against the baseline; None if it was taken back."""
    set_at: datetime
    lost_at: datetime | None
    lost_reason: str


def newest_records(session: Session, tracks: Collection[Track]) -> tuple[FoundRecord, ...]:
    """The 50 newest records of some tracks under any key, those that were lost among them."""
    rules = {track.rules.name: track.rules for track in tracks}
    query = (
        select(RecordRow, JudgementRow, Experiment.track)
        .join(Experiment, col(Experiment.hash) == col(RecordRow.experiment_hash))
        .outerjoin(
            JudgementRow,
            and_(
                col(JudgementRow.experiment_hash) == col(RecordRow.experiment_hash),
                col(JudgementRow.comparability_key) == col(RecordRow.comparability_key),
            ),
        )
        # Hidden from the index on tracks, which leads through all experiments: records are few.
        .where(func.coalesce(Experiment.track, "").in_(rules))
        .order_by(col(RecordRow.id).desc())
        .limit(MAX_RECORDS)
    )
    rows = session.exec(query).all()
    labels = known_labels(session, [record.experiment_hash for record, _, _ in rows])
    return tuple(
        _found(record, judgement, rules[track], labels) for record, judgement, track in rows
    )


def _found(
    record: RecordRow,
    judgement: JudgementRow | None,
    rules: TrackRules,
    labels: Mapping[str, Label],
) -> FoundRecord:
    name = f"{record.comparability_key} {record.experiment_hash} {record.set_at.isoformat()}"
    return FoundRecord(
        id=uuid5(NAMESPACE, name),
        rules=rules,
        label=labels.get(record.experiment_hash, PROJECT),
        key=record.comparability_key,
        val_loss=record.val_loss,
        judgement=judgement,
        set_at=record.set_at,
        lost_at=record.lost_at,
        lost_reason=record.lost_reason,
    )
