import subprocess
import sys
import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, inspect, text
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, SQLModel, select
from starlette.testclient import TestClient

from core.schema.result import Verification
from server.database import (
    create_engine,
    downgrade,
    read_session,
    upgrade,
    write,
    write_session,
)
from server.ledger.check import check_ledger
from server.tables import Job, Priority, Run, Worker
from tests.server.boards import NORM, measure_baseline
from tests.server.factories import (
    claim_one,
    points,
    send_points,
    submit,
    submit_and_finish,
    with_load,
)

WORKER = {
    "id": "w_a",
    "name": "bench",
    "device": "cpu",
    "has_cuda": False,
    "memory_bytes": 2**40,
    "code_commit": "c",
}


def add_worker(session: Session, **changes: object) -> None:
    session.add(Worker.model_validate(WORKER | changes))
    session.flush()


def test_migrations_make_the_tables_that_the_code_expects(engine: Engine) -> None:
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), SQLModel.metadata) == []


def test_upgrading_twice_changes_nothing(engine: Engine) -> None:
    with write_session(engine) as session:
        add_worker(session)
    upgrade(engine)
    with read_session(engine) as session:
        assert session.exec(select(Worker.name)).all() == ["bench"]


OLD_ROWS = """
INSERT INTO experiment VALUES ('e', 'debug', 1, '{}', '2026-11-01');
INSERT INTO run VALUES ('r_a', 'e', 1000, 'project', '', '{"val_loss": 2.0}', 'k', 2.0, NULL,
    '2026-11-01', '2026-11-02');
INSERT INTO run VALUES ('r_b', 'e', 1001, 'worker', '', '{"val_loss": 1.5}', 'k', 1.5, NULL,
    '2026-11-01', '2026-11-03');
INSERT INTO run VALUES ('r_c', 'e', 1002, 'worker', '', 'null', NULL, NULL, NULL,
    '2026-11-04', NULL);
INSERT INTO job (id, run_id, state, position, needs_cuda, memory_bytes, attempt,
    cancel_requested, completed, total, failure_message, created_at)
    VALUES ('j_c', 'r_c', 'queued', 1, FALSE, 0, 0, FALSE, 0, 0, '', '2026-11-04');
"""


def test_rows_survive_the_way_up_and_down(bare_url: str) -> None:
    engine = create_engine(bare_url)
    upgrade(engine, "0001")
    with engine.execution_options(writes=True).begin() as connection:
        for statement in filter(str.strip, OLD_ROWS.split(";")):
            connection.execute(text(statement.replace(":", "\\:")))
    upgrade(engine)
    with read_session(engine) as session:
        runs = session.exec(select(Run).order_by(Run.id)).all()
        assert [run.purpose.value for run in runs] == ["baseline", "submission", "submission"]
        (job,) = session.exec(select(Job)).all()
        assert (job.priority, job.track, job.track_version) == (Priority.NEW, "debug", 1)
        report = check_ledger(session)
        assert (report.length, report.num_results, report.faults) == (2, 2, ())
    downgrade(engine, "0001")
    with engine.connect() as connection:
        assert connection.execute(text("SELECT id, val_loss FROM run ORDER BY id")).all() == [
            ("r_a", 2.0),
            ("r_b", 1.5),
            ("r_c", None),
        ]
    upgrade(engine)
    with read_session(engine) as session:
        assert check_ledger(session).faults == ()
    engine.dispose()


def test_workers_of_a_token_are_untrusted_and_old_results_trusted_after_the_upgrade(
    bare_url: str,
) -> None:
    engine = create_engine(bare_url)
    upgrade(engine, "0004")
    rows = """
    INSERT INTO experiment VALUES ('e', 'debug', 1, '{}', '2026-11-01');
    INSERT INTO run (id, experiment_hash, seed, origin, note, purpose, requested_by, held_reason,
        val_loss, created_at) VALUES ('r_a', 'e', 1, 'worker', '', 'submission', '', '', 2.0,
        '2026-11-01');
    INSERT INTO access_token VALUES ('t_a', 'h', 'owner', 'work', '2026-11-01', '2027-11-01', NULL,
        NULL);
    INSERT INTO worker VALUES ('w_a', 'open', 'cpu', FALSE, 0, 'c', '2026-11-01', '2026-11-01');
    INSERT INTO worker VALUES ('w_b', 'ours', 'cpu', FALSE, 0, 'c', '2026-11-01', '2026-11-01');
    INSERT INTO worker_token VALUES ('w_b', 't_a');
    """
    with engine.execution_options(writes=True).begin() as connection:
        for statement in filter(str.strip, rows.split(";")):
            connection.execute(text(statement))
    upgrade(engine)
    with read_session(engine) as session:
        trusted = select(Worker.name, Worker.is_trusted).order_by(Worker.name)
        assert session.exec(trusted).all() == [("open", True), ("ours", False)]
        assert session.exec(select(Run.verification)).all() == [Verification.TRUSTED]
    engine.dispose()


def test_a_board_survives_every_revision_down_and_up(client: TestClient, engine: Engine) -> None:
    measure_baseline(client)
    receipt = submit_and_finish(client, "Gain", NORM, 1.5)
    tables = ("experiment", "submission", "run", "job", "attempt", "worker", "metric", "log_piece")

    def counts() -> list[int]:
        with engine.connect() as connection:
            return [
                connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one()
                for table in tables
            ]

    before = counts()
    assert min(before) > 0
    for revision in ("0002", "0001"):
        downgrade(engine, revision)
        assert counts() == before
    for revision in ("0002", "0003", "head"):
        upgrade(engine, revision)
        assert counts() == before
    with read_session(engine) as session:
        report = check_ledger(session)
        assert (report.num_results, report.faults) == (6, ())
        assert session.get_one(Run, receipt.run_id).val_loss == 1.5


def test_points_keep_all_but_the_load_of_experts_on_the_way_down(
    client: TestClient, engine: Engine
) -> None:
    submit(client)
    offer = claim_one(client)
    send_points(client, offer, points(steps=(1,)))
    send_points(client, offer, with_load(points(steps=(2, 4))))
    columns = "SELECT step, tokens, train_loss, val_accuracy FROM metric ORDER BY step"
    load = "SELECT expert_max_violation, idle_expert_share FROM metric ORDER BY step"

    def rows(query: str) -> list[tuple[object, ...]]:
        with engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(query))]

    before = rows(columns)
    assert rows(load) == [(None, None), (2.0, 0.25), (1.0, 0.0)]
    downgrade(engine, "0012")
    assert rows(columns) == before
    upgrade(engine)
    assert rows(columns) == before
    assert rows(load) == [(None, None)] * 3


def test_every_constraint_has_a_name(engine: Engine) -> None:
    inspector = inspect(engine)
    for table in SQLModel.metadata.tables:
        assert inspector.get_pk_constraint(table)["name"] == f"pk_{table}"
        assert all(key["name"] for key in inspector.get_foreign_keys(table))
        assert all(key["name"] for key in inspector.get_unique_constraints(table))


def test_a_new_sqlite_database_gets_its_folder(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/new/folder/board.sqlite")
    upgrade(engine)
    engine.dispose()
    assert (tmp_path / "new/folder/board.sqlite").exists()


def test_sqlite_writes_ahead_waits_for_disk_and_checks_references(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/board.sqlite")
    with engine.connect() as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        assert connection.execute(text("PRAGMA synchronous")).scalar() == 2  # FULL
        assert connection.execute(text("PRAGMA foreign_keys")).scalar() == 1
        assert connection.execute(text("PRAGMA busy_timeout")).scalar() == 15_000
        assert connection.execute(text("PRAGMA wal_autocheckpoint")).scalar() == 4_000
    engine.dispose()


def test_a_row_that_refers_to_nothing_is_refused(engine: Engine) -> None:
    with pytest.raises(IntegrityError, match=r"(?i)foreign key"), write_session(engine) as session:
        session.add(Run.model_validate({"id": "r_a", "experiment_hash": "none", "seed": 1}))


def test_a_block_that_raises_leaves_nothing(engine: Engine) -> None:
    def add_and_fail() -> None:
        with write_session(engine) as session:
            add_worker(session)
            raise KeyError

    with pytest.raises(KeyError):
        add_and_fail()
    with read_session(engine) as session:
        assert session.exec(select(Worker)).all() == []


def test_writers_that_read_first_wait_for_each_other(engine: Engine) -> None:
    def add_one() -> None:
        with write_session(engine) as session:
            worker = session.exec(select(Worker).with_for_update()).one()
            worker.memory_bytes += 1

    with write_session(engine) as session:
        add_worker(session, memory_bytes=0)
    threads = [threading.Thread(target=add_one) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with read_session(engine) as session:
        assert session.exec(select(Worker.memory_bytes)).one() == 12


def test_a_reader_is_not_kept_waiting_by_a_writer(engine: Engine) -> None:
    with write_session(engine) as writer:
        add_worker(writer)
        with read_session(engine) as reader:
            assert reader.exec(select(Worker)).all() == []


def test_write_looks_again_when_another_writer_took_the_key(engine: Engine) -> None:
    with write_session(engine) as session:
        add_worker(session)
    looks = 0

    def work(session: Session) -> list[str]:
        nonlocal looks
        looks += 1
        if looks == 1:
            # As if the other writer had committed between the look and the insert.
            add_worker(session, id="w_b")
        return list(session.exec(select(Worker.id)).all())

    assert write(engine, work) == ["w_a"]
    assert looks == 2


def test_what_was_committed_survives_a_kill_and_the_rest_is_gone(database_url: str) -> None:
    script = f"""
import os, signal
from server.database import create_engine, write_session
from server.tables import Worker
engine = create_engine({database_url!r})
row = {WORKER!r}
with write_session(engine) as session:
    session.add(Worker.model_validate(row))
with write_session(engine) as session:
    session.add(Worker.model_validate(row | {{"id": "w_b", "name": "other"}}))
    session.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run([sys.executable, "-c", script], check=False, timeout=60)
    assert killed.returncode == -9
    engine = create_engine(database_url)
    with read_session(engine) as session:
        assert session.exec(select(Worker.name)).all() == ["bench"]
    engine.dispose()
