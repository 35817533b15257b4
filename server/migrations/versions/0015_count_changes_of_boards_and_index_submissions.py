"""Count the changes of boards, and index submissions by their time.

Revision: 0014
Follows: 0012
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


def downgrade() -> None:
    op.drop_index("ix_submission_author_created_at", "submission")
    op.drop_index("ix_submission_track_created_at", "submission")
    op.drop_index("ix_submission_created_at", "submission")
    op.create_index("ix_submission_track", "submission", ["track"])
    op.create_index("ix_submission_author", "submission", ["author"])
    op.drop_index("ix_board_entry_revision", "board_entry")
    for table in ("board_entry", "board"):
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.drop_column("revision")
