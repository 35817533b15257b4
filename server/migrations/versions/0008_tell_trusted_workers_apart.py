"""Tell trusted workers apart, and what others measured.

What was measured so far counts as it did. A worker that was registered with a token is trusted
once a maintainer says so; the others are of an open server, which trusts everybody.

Revision: 0008
Follows: 0007
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("worker", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("is_trusted", sa.Boolean(), nullable=False, server_default=sa.true())
        )
    op.execute(
        "UPDATE worker SET is_trusted = FALSE WHERE id IN (SELECT worker_id FROM worker_token)"
    )
    with op.batch_alter_table("worker_token", schema=None) as batch_op:
        batch_op.add_column(sa.Column("trusted_by", sa.Text(), nullable=False, server_default=""))
    with op.batch_alter_table("run", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column(
                "verification", sa.String(length=32), nullable=False, server_default="trusted"
            )
        )
    with op.batch_alter_table("job", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("only_trusted", sa.Boolean(), nullable=False, server_default=sa.false())
        )


def downgrade() -> None:
    for table, column in (
        ("job", "only_trusted"),
        ("run", "verification"),
        ("worker_token", "trusted_by"),
        ("worker", "is_trusted"),
    ):
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.drop_column(column)
