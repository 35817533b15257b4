"""Count the changes of boards, index submissions by their time, and keep condensed curves.

Revision: 0015
Follows: 0014
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("board", "board_entry"):
        column = sa.Column("revision", sa.Integer(), nullable=False, server_default="0")
        op.add_column(table, column)
    op.create_index("ix_board_entry_revision", "board_entry", ["comparability_key", "revision"])
    op.drop_index("ix_submission_author", "submission")
    op.drop_index("ix_submission_track", "submission")
    op.create_index("ix_submission_created_at", "submission", ["created_at"])
    op.create_index("ix_submission_track_created_at", "submission", ["track", "created_at"])
    op.create_index("ix_submission_author_created_at", "submission", ["author", "created_at"])
    op.create_table(
        "run_curve",
        sa.Column("run_id", sa.String(length=40), nullable=False),
        sa.Column("through_step", sa.BigInteger(), nullable=False),
        sa.Column("curves", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_run_curve_run_id_run")),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_run_curve")),
    )


def downgrade() -> None:
    op.drop_table("run_curve")
    op.drop_index("ix_submission_author_created_at", "submission")
    op.drop_index("ix_submission_track_created_at", "submission")
    op.drop_index("ix_submission_created_at", "submission")
    op.create_index("ix_submission_track", "submission", ["track"])
    op.create_index("ix_submission_author", "submission", ["author"])
    op.drop_index("ix_board_entry_revision", "board_entry")
    for table in ("board_entry", "board"):
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.drop_column("revision")
