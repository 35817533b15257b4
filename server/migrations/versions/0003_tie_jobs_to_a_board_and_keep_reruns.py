"""Tie jobs to a board, and keep who asked for reruns.

Revision: 0003
Follows: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("job", schema=None) as batch_op:
        batch_op.add_column(sa.Column("only_key", sa.String(length=16), nullable=True))

    op.create_table(
        "rerun",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("experiment_hash", sa.String(length=64), nullable=False),
        sa.Column("comparability_key", sa.String(length=16), nullable=True),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("num_runs_then", sa.Integer(), nullable=False),
        sa.Column("verdict_before", sa.String(length=20), nullable=True),
        sa.Column("verdict_after", sa.String(length=20), nullable=True),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["experiment_hash"],
            ["experiment.hash"],
            name=op.f("fk_rerun_experiment_hash_experiment"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rerun")),
    )
    with op.batch_alter_table("rerun", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_rerun_comparability_key"), ["comparability_key"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_rerun_experiment_hash"), ["experiment_hash"], unique=False
        )


def downgrade() -> None:
    op.drop_table("rerun")
    with op.batch_alter_table("job", schema=None) as batch_op:
        batch_op.drop_column("only_key")
