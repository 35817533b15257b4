"""Table of what each experiment changes: the memory of a track is read from it."""

from sqlalchemy import Column, ForeignKey, Index
from sqlmodel import Field, SQLModel

from server.tables import StoredText


class ExperimentChange(SQLModel, table=True):
    """A setting in which an experiment differs from its track's base config."""

    __tablename__ = "experiment_change"
    # Both hold all that a search reads, so that none of it touches the rows themselves.
    __table_args__ = (
        Index("ix_experiment_change_track_path", "track", "path", "num_changes", "experiment_hash"),
        Index(
            "ix_experiment_change_track_num_changes",
            "track",
            "num_changes",
            "experiment_hash",
            "path",
        ),
    )

    experiment_hash: str = Field(sa_column=Column(ForeignKey("experiment.hash"), primary_key=True))
    path: str = Field(primary_key=True, max_length=120)
    """The setting, dotted."""
    track: str = Field(max_length=40)
    value: str = Field(sa_type=StoredText)
    """What it is set to, as JSON, in the canonical form of the config; `null` where the
    experiment has no such setting."""
    num_changes: int
    """Settings that the experiment changes, this one among them."""
