"""Keep what experiments change.

Revision: 0012
Follows: 0011
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Rows of experiments that are there already are made when the server starts: what they change
    # is known from the track's base config, which is no part of the database.
    op.create_table(
        "experiment_change",
        sa.Column("experiment_hash", sa.String(), nullable=False),
        sa.Column("path", sa.String(length=120), nullable=False),
        sa.Column("track", sa.String(length=40), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("num_changes", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["experiment_hash"],
            ["experiment.hash"],
            name=op.f("fk_experiment_change_experiment_hash_experiment"),
        ),
        sa.PrimaryKeyConstraint("experiment_hash", "path", name=op.f("pk_experiment_change")),
    )
    with op.batch_alter_table("experiment_change", schema=None) as batch_op:
        batch_op.create_index(
            "ix_experiment_change_track_path",
            ["track", "path", "num_changes", "experiment_hash"],
            unique=False,
        )
        batch_op.create_index(
            "ix_experiment_change_track_num_changes",
            ["track", "num_changes", "experiment_hash", "path"],
            unique=False,
        )
    with op.batch_alter_table("run", schema=None) as batch_op:
        batch_op.create_index(
            "ix_run_experiment_hash_key", ["experiment_hash", "comparability_key"], unique=False
        )


def downgrade() -> None:
    with op.batch_alter_table("run", schema=None) as batch_op:
        batch_op.drop_index("ix_run_experiment_hash_key")
    op.drop_table("experiment_change")
