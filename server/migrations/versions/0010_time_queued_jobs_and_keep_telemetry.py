"""Find the newest results, by which queued jobs are timed, and keep what workers tell of themselves.

Revision: 0010
Follows: 0009
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("job", schema=None) as batch_op:
        batch_op.create_index("ix_job_state_finished_at", ["state", "finished_at"], unique=False)
    with op.batch_alter_table("worker", schema=None) as batch_op:
        batch_op.add_column(sa.Column("temperature_celsius", sa.Float(), nullable=True))
        batch_op.add_column(sa.Column("memory_used_bytes", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("memory_total_bytes", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("driver", sa.Text(), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("telemetry_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("worker", schema=None) as batch_op:
        batch_op.drop_column("telemetry_at")
        batch_op.drop_column("driver")
        batch_op.drop_column("memory_total_bytes")
        batch_op.drop_column("memory_used_bytes")
        batch_op.drop_column("temperature_celsius")
    with op.batch_alter_table("job", schema=None) as batch_op:
        batch_op.drop_index("ix_job_state_finished_at")
