"""Index the queue for claims, and keep the track with each job.

Revision: 0011
Follows: 0010
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

TRACKS = """
UPDATE job SET
    track = (SELECT e.track FROM run r JOIN experiment e ON e.hash = r.experiment_hash
        WHERE r.id = job.run_id),
    track_version = (SELECT e.track_version FROM run r JOIN experiment e
        ON e.hash = r.experiment_hash WHERE r.id = job.run_id)
"""


def upgrade() -> None:
    with op.batch_alter_table("job", schema=None) as batch_op:
        batch_op.add_column(sa.Column("track", sa.String(length=40), nullable=True))
        batch_op.add_column(sa.Column("track_version", sa.Integer(), nullable=True))
    op.execute(TRACKS)
    with op.batch_alter_table("job", schema=None) as batch_op:
        batch_op.alter_column("track", existing_type=sa.String(length=40), nullable=False)
        batch_op.alter_column("track_version", existing_type=sa.Integer(), nullable=False)
        batch_op.drop_index(batch_op.f("ix_job_state"))
        batch_op.drop_index(batch_op.f("ix_job_priority"))
        batch_op.drop_index(batch_op.f("ix_job_worker_id"))
        batch_op.create_index(
            "ix_job_version",
            ["track", "track_version"],
            sqlite_where=sa.text("state = 'queued'"),
            postgresql_where=sa.text("state = 'queued'"),
        )
        batch_op.create_index(
            "ix_job_worker_track", ["worker_id", "track", "track_version", "finished_at"]
        )
    with op.batch_alter_table("run", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_run_comparability_key"))
        batch_op.create_index("ix_run_board", ["comparability_key", "experiment_hash", "val_loss"])


def downgrade() -> None:
    with op.batch_alter_table("run", schema=None) as batch_op:
        batch_op.drop_index("ix_run_board")
        batch_op.create_index(
            batch_op.f("ix_run_comparability_key"), ["comparability_key"], unique=False
        )
    with op.batch_alter_table("job", schema=None) as batch_op:
        batch_op.drop_index("ix_job_worker_track")
        batch_op.drop_index("ix_job_version")
        batch_op.create_index(batch_op.f("ix_job_worker_id"), ["worker_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_job_priority"), ["priority"], unique=False)
        batch_op.create_index(batch_op.f("ix_job_state"), ["state"], unique=False)
        batch_op.drop_column("track_version")
        batch_op.drop_column("track")
