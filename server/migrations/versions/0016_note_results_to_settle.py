"""Note results to settle.

Revision: 0016
Follows: 0015
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Results that are there already were settled when they came.
    op.create_table(
        "unsettled_result",
        sa.Column("run_id", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id"], ["run.id"], name=op.f("fk_unsettled_result_run_id_run")
        ),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_unsettled_result")),
    )


def downgrade() -> None:
    op.drop_table("unsettled_result")
