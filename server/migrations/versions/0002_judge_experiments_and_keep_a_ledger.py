"""Judge experiments and keep a ledger.

Revision: 0002
Follows: 0001
"""

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "ledger_entry",
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("subject", sa.String(length=80), nullable=False),
        sa.Column("contents", sa.JSON(), nullable=False),
        sa.Column("previous_hash", sa.String(length=64), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_ledger_entry")),
    )
    with op.batch_alter_table("ledger_entry", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_ledger_entry_subject"), ["subject"], unique=False)

    op.create_table(
        "ledger_head",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_head")),
    )
    op.create_table(
        "judgement",
        sa.Column("experiment_hash", sa.String(length=64), nullable=False),
        sa.Column("comparability_key", sa.String(length=16), nullable=False),
        sa.Column("verdict", sa.String(length=20), nullable=False),
        sa.Column("delta", sa.Float(), nullable=False),
        sa.Column("low", sa.Float(), nullable=False),
        sa.Column("high", sa.Float(), nullable=False),
        sa.Column("num_runs", sa.Integer(), nullable=False),
        sa.Column("num_baseline_runs", sa.Integer(), nullable=False),
        sa.Column("further_runs", sa.Integer(), nullable=True),
        sa.Column("was_better_at", sa.Integer(), nullable=True),
        sa.Column("judged_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["experiment_hash"],
            ["experiment.hash"],
            name=op.f("fk_judgement_experiment_hash_experiment"),
        ),
        sa.PrimaryKeyConstraint("experiment_hash", "comparability_key", name=op.f("pk_judgement")),
    )
    op.create_table(
        "record",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("comparability_key", sa.String(length=16), nullable=False),
        sa.Column("experiment_hash", sa.String(), nullable=False),
        sa.Column("val_loss", sa.Float(), nullable=False),
        sa.Column("set_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lost_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lost_reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["experiment_hash"],
            ["experiment.hash"],
            name=op.f("fk_record_experiment_hash_experiment"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_record")),
    )
    with op.batch_alter_table("record", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_record_comparability_key"), ["comparability_key"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_record_experiment_hash"), ["experiment_hash"], unique=False
        )

    op.create_table(
        "withdrawal",
        sa.Column("submission_id", sa.String(length=40), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["submission_id"],
            ["submission.id"],
            name=op.f("fk_withdrawal_submission_id_submission"),
        ),
        sa.PrimaryKeyConstraint("submission_id", name=op.f("pk_withdrawal")),
    )
    op.create_table(
        "ablation",
        sa.Column("experiment_hash", sa.String(length=64), nullable=False),
        sa.Column("path", sa.String(length=120), nullable=False),
        sa.Column("variant_hash", sa.String(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["experiment_hash"],
            ["experiment.hash"],
            name=op.f("fk_ablation_experiment_hash_experiment"),
        ),
        sa.ForeignKeyConstraint(
            ["variant_hash"],
            ["experiment.hash"],
            name=op.f("fk_ablation_variant_hash_experiment"),
        ),
        sa.PrimaryKeyConstraint("experiment_hash", "path", name=op.f("pk_ablation")),
    )
    with op.batch_alter_table("ablation", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_ablation_variant_hash"), ["variant_hash"], unique=False
        )

    op.create_table(
        "rebase",
        sa.Column("submission_id", sa.String(length=40), nullable=False),
        sa.Column("to_version", sa.Integer(), nullable=False),
        sa.Column("from_version", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.String(length=32), nullable=False),
        sa.Column("experiment_hash", sa.String(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["experiment_hash"],
            ["experiment.hash"],
            name=op.f("fk_rebase_experiment_hash_experiment"),
        ),
        sa.ForeignKeyConstraint(
            ["submission_id"],
            ["submission.id"],
            name=op.f("fk_rebase_submission_id_submission"),
        ),
        sa.PrimaryKeyConstraint("submission_id", "to_version", name=op.f("pk_rebase")),
    )
    with op.batch_alter_table("rebase", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_rebase_experiment_hash"), ["experiment_hash"], unique=False
        )

    op.create_table(
        "worker_freeze",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("worker_id", sa.String(), nullable=False),
        sa.Column("track", sa.String(length=40), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("frozen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("thawed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["worker_id"], ["worker.id"], name=op.f("fk_worker_freeze_worker_id_worker")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_worker_freeze")),
    )
    with op.batch_alter_table("worker_freeze", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_worker_freeze_worker_id"), ["worker_id"], unique=False)

    op.create_table(
        "canary",
        sa.Column("run_id", sa.String(length=40), nullable=False),
        sa.Column("worker_id", sa.String(), nullable=False),
        sa.Column("track", sa.String(length=40), nullable=False),
        sa.Column("device", sa.Text(), nullable=False),
        sa.Column("freeze_id", sa.Integer(), nullable=True),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("comparability_key", sa.String(length=16), nullable=True),
        sa.Column("setup", sa.Text(), nullable=False),
        sa.Column("val_loss", sa.Float(), nullable=True),
        sa.Column("tokens_per_second", sa.Float(), nullable=True),
        sa.Column("relative_speed", sa.Float(), nullable=True),
        sa.Column("centre", sa.Float(), nullable=True),
        sa.Column("deviation", sa.Float(), nullable=True),
        sa.Column("is_out", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["freeze_id"], ["worker_freeze.id"], name=op.f("fk_canary_freeze_id_worker_freeze")
        ),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_canary_run_id_run")),
        sa.ForeignKeyConstraint(
            ["worker_id"], ["worker.id"], name=op.f("fk_canary_worker_id_worker")
        ),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_canary")),
    )
    with op.batch_alter_table("canary", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_canary_freeze_id"), ["freeze_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_canary_worker_id"), ["worker_id"], unique=False)

    with op.batch_alter_table("job", schema=None) as batch_op:
        batch_op.add_column(sa.Column("priority", sa.Integer(), nullable=False, server_default="1"))
        batch_op.add_column(sa.Column("only_worker_id", sa.String(), nullable=True))
        batch_op.create_index(batch_op.f("ix_job_priority"), ["priority"], unique=False)
        batch_op.create_index(batch_op.f("ix_job_only_worker_id"), ["only_worker_id"], unique=False)
        batch_op.create_foreign_key(
            batch_op.f("fk_job_only_worker_id_worker"), "worker", ["only_worker_id"], ["id"]
        )

    with op.batch_alter_table("run", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("purpose", sa.String(length=32), nullable=False, server_default="submission")
        )
        batch_op.add_column(sa.Column("requested_by", sa.Text(), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("held_reason", sa.Text(), nullable=False, server_default=""))

    op.execute("UPDATE run SET purpose = 'baseline' WHERE origin = 'project'")
    op.execute("UPDATE run SET result = NULL WHERE CAST(result AS TEXT) = 'null'")
    _begin_ledger()


def downgrade() -> None:
    with op.batch_alter_table("run", schema=None) as batch_op:
        batch_op.drop_column("held_reason")
        batch_op.drop_column("requested_by")
        batch_op.drop_column("purpose")

    with op.batch_alter_table("job", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("fk_job_only_worker_id_worker"), type_="foreignkey")
        batch_op.drop_index(batch_op.f("ix_job_only_worker_id"))
        batch_op.drop_index(batch_op.f("ix_job_priority"))
        batch_op.drop_column("only_worker_id")
        batch_op.drop_column("priority")

    with op.batch_alter_table("canary", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_canary_worker_id"))
        batch_op.drop_index(batch_op.f("ix_canary_freeze_id"))

    op.drop_table("canary")
    with op.batch_alter_table("worker_freeze", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_worker_freeze_worker_id"))

    op.drop_table("worker_freeze")

    with op.batch_alter_table("rebase", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_rebase_experiment_hash"))

    op.drop_table("rebase")
    with op.batch_alter_table("ablation", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_ablation_variant_hash"))

    op.drop_table("ablation")
    op.drop_table("withdrawal")
    with op.batch_alter_table("record", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_record_experiment_hash"))
        batch_op.drop_index(batch_op.f("ix_record_comparability_key"))

    op.drop_table("record")
    op.drop_table("judgement")
    op.drop_table("ledger_head")
    with op.batch_alter_table("ledger_entry", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_ledger_entry_subject"))

    op.drop_table("ledger_entry")


def _begin_ledger() -> None:
    """Enter the results that are there already, in the order in which they came."""
    run = sa.table("run", *map(sa.column, ("id", "finished_at")), sa.column("result", sa.JSON()))
    query = sa.select(run.c.id, run.c.result).order_by(run.c.finished_at, run.c.id)
    head = "0" * 64
    entries: list[dict[str, Any]] = []
    now = datetime.now(UTC)
    for identity, result in op.get_bind().execute(query):
        if result is None:
            continue
        entry: dict[str, Any] = {
            "sequence": len(entries) + 1,
            "recorded_at": now.timestamp(),
            "kind": "result",
            "subject": identity,
            "contents": {"digest": _digest(result)},
            "previous_hash": head,
        }
        head = _digest(entry)
        entries.append({**entry, "recorded_at": now, "hash": head})
    columns = ("sequence", "kind", "subject", "previous_hash", "hash")
    ledger = sa.table(
        "ledger_entry",
        *map(sa.column, columns),
        sa.column("recorded_at", sa.DateTime(timezone=True)),
        sa.column("contents", sa.JSON()),
    )
    op.bulk_insert(ledger, entries)
    ledger_head = sa.table("ledger_head", *map(sa.column, ("id", "sequence", "hash")))
    op.bulk_insert(ledger_head, [{"id": 1, "sequence": len(entries), "hash": head}])


def _digest(value: object) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
