"""Keep a book of what authors use, and let those who used less go first.

What was queued before is charged to nobody.

Revision: 0009
Follows: 0008
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "charge",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("author", sa.String(length=40), nullable=False),
        sa.Column("job_id", sa.String(length=40), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("gpu_seconds", sa.Float(), nullable=False),
        sa.Column("booked_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_charge_job_id_job")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_charge")),
        sa.UniqueConstraint("job_id", "attempt", "kind", name=op.f("uq_charge_job_id")),
    )
    with op.batch_alter_table("charge", schema=None) as batch_op:
        batch_op.create_index("ix_charge_author", ["author", "booked_at"], unique=False)
    with op.batch_alter_table("job", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("charged_to", sa.String(length=40), nullable=False, server_default="")
        )
        batch_op.add_column(
            sa.Column("estimated_seconds", sa.Float(), nullable=False, server_default="0")
        )
        batch_op.add_column(
            sa.Column("author_gpu_minutes", sa.Integer(), nullable=False, server_default="0")
        )
        batch_op.create_index(batch_op.f("ix_job_charged_to"), ["charged_to"], unique=False)
        batch_op.create_index(
            "ix_job_claim_order",
            ["state", "priority", "author_gpu_minutes", "position", "id"],
            unique=False,
        )


def downgrade() -> None:
    with op.batch_alter_table("job", schema=None) as batch_op:
        batch_op.drop_index("ix_job_claim_order")
        batch_op.drop_index(batch_op.f("ix_job_charged_to"))
        batch_op.drop_column("author_gpu_minutes")
        batch_op.drop_column("estimated_seconds")
        batch_op.drop_column("charged_to")
    op.drop_table("charge")
