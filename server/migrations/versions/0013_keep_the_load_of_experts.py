"""Keep the load of experts.

Revision: 0013
Follows: 0012
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

COLUMNS = ("expert_max_violation", "worst_expert_max_violation", "idle_expert_share")


def upgrade() -> None:
    # Points that are there already tell nothing: nobody measured it then.
    with op.batch_alter_table("metric", schema=None) as batch_op:
        for name in COLUMNS:
            batch_op.add_column(sa.Column(name, sa.Float(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("metric", schema=None) as batch_op:
        for name in reversed(COLUMNS):
            batch_op.drop_column(name)
