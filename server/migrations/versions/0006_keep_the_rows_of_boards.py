"""Keep the rows of boards.

Revision: 0006
Follows: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

SORTED = (
    "val_loss",
    "val_accuracy",
    "val_bpb",
    "tokens_per_second",
    "relative_speed",
    "peak_memory_bytes",
    "cost_usd",
    "num_seeds",
    "newest_at",
    "name_key",
    "author",
    "arc_challenge",
    "arc_easy",
    "hellaswag",
    "synthetic_world",
)


def upgrade() -> None:
    """Make the tables; a server that starts fills them from the runs."""
    op.create_table(
        "board",
        sa.Column("comparability_key", sa.String(length=16), nullable=False),
        sa.Column("track", sa.String(length=40), nullable=False),
        sa.Column("track_version", sa.Integer(), nullable=False),
        sa.Column("version", sa.String(length=40), nullable=False),
        sa.Column("num_listed", sa.Integer(), nullable=False),
        sa.Column("num_ranked", sa.Integer(), nullable=False),
        sa.Column("num_results", sa.Integer(), nullable=False),
        sa.Column("num_verified", sa.Integer(), nullable=False),
        sa.Column("num_baseline_results", sa.Integer(), nullable=False),
        sa.Column("first_trusted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("latest_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("latest_baseline_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("note", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("comparability_key", name=op.f("pk_board")),
    )
    op.create_index(op.f("ix_board_track"), "board", ["track"], unique=False)
    op.create_table(
        "board_entry",
        sa.Column("comparability_key", sa.String(length=16), nullable=False),
        sa.Column("experiment_hash", sa.String(length=64), nullable=False),
        sa.Column("place", sa.String(length=32), nullable=False),
        sa.Column("submission_id", sa.String(length=40), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_key", sa.Text(), nullable=False),
        sa.Column("author", sa.String(length=40), nullable=False),
        sa.Column("changes", sa.JSON(), nullable=False),
        sa.Column("num_changes", sa.Integer(), nullable=False),
        sa.Column("search_text", sa.Text(), nullable=False),
        sa.Column("verdict", sa.String(length=32), nullable=True),
        sa.Column("result", sa.JSON(), nullable=True),
        sa.Column("num_results", sa.Integer(), nullable=False),
        sa.Column("num_verified", sa.Integer(), nullable=False),
        sa.Column("verified", sa.Boolean(), nullable=False),
        sa.Column("first_trusted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("val_loss", sa.Float(), nullable=True),
        sa.Column("val_accuracy", sa.Float(), nullable=True),
        sa.Column("val_bpb", sa.Float(), nullable=True),
        sa.Column("tokens_per_second", sa.Float(), nullable=True),
        sa.Column("relative_speed", sa.Float(), nullable=True),
        sa.Column("peak_memory_bytes", sa.BigInteger(), nullable=True),
        sa.Column("cost_usd", sa.Float(), nullable=True),
        sa.Column("num_seeds", sa.Integer(), nullable=False),
        sa.Column("newest_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("arc_challenge", sa.Float(), nullable=True),
        sa.Column("arc_easy", sa.Float(), nullable=True),
        sa.Column("hellaswag", sa.Float(), nullable=True),
        sa.Column("synthetic_world", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(
            ["experiment_hash"],
            ["experiment.hash"],
            name=op.f("fk_board_entry_experiment_hash_experiment"),
        ),
        sa.PrimaryKeyConstraint(
            "comparability_key", "experiment_hash", name=op.f("pk_board_entry")
        ),
    )
    for name in SORTED:
        columns = ["comparability_key", "place", name, "experiment_hash"]
        op.create_index(f"ix_board_entry_{name}", "board_entry", columns, unique=False)
    op.create_index("ix_board_entry_experiment_hash", "board_entry", ["experiment_hash"])
    first_trusted = ["comparability_key", "first_trusted_at"]
    op.create_index("ix_board_entry_first_trusted_at", "board_entry", first_trusted)


def downgrade() -> None:
    op.drop_table("board_entry")
    op.drop_table("board")
