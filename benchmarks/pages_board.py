"""A large made-up board for the benchmark of pages, written without the server's checks."""

import random
import uuid
from datetime import timedelta
from typing import Any

from sqlalchemy import insert
from sqlmodel import Session, SQLModel, col, select

from benchmarks.store_board import TRACK, Board
from core.schema.job import JobState, ResultReport
from core.tracks import BASELINES, load_tracks
from server.board.tables import BoardEntry, BoardTotals, Place
from server.database import write_session
from server.results import store_result
from server.tables import Experiment, Job, Run, SubmissionRow, utc_now
from server.verdict.judge import Verdict
from server.verdict.tables import JudgementRow

ROWS_AT_A_TIME = 2_000
RUN_POINTS = 5_000
"""Metric points of a run."""
LONG_RUN_POINTS = 100_000
"""Those of the first run, where there are so many twice."""
SEED = 5
WORDS = ("wide", "deep", "warm", "cold", "sparse", "dense", "long", "short")
TABLES: tuple[type[SQLModel], ...] = (Experiment, Run, Job, SubmissionRow, JudgementRow, BoardEntry)

POINTS = """
INSERT INTO metric (run_id, step, tokens, train_seconds, train_loss, learning_rate,
    adamw_learning_rate, gradient_norm, tokens_per_second, val_loss, val_accuracy)
WITH RECURSIVE steps (step) AS (
    SELECT 1 UNION ALL SELECT step + 1 FROM steps WHERE step < ?
)
SELECT ?, step, step * 2048, step * 0.1, 2.0 + 500.0 / (step + 100) + 0.001 * (step * 7919 % 97),
    0.01, 0.001, 1.0 + 0.01 * (step * 104729 % 89), 20000.0 + step * 15485863 % 997,
    CASE WHEN step % 50 = 0 THEN 2.0 + 500.0 / (step + 100) END,
    CASE WHEN step % 50 = 0 THEN 0.2 END
FROM steps
"""
"""So many metric points of a run, for SQLite."""

Rows = dict[type[SQLModel], dict[str, Any]]
"""The row of each table that one submission has."""


def fill(board: Board, num_rows: int, num_points: int) -> list[str]:
    """Put ranked submissions on an empty board, and its baseline; their ids, the best first.

    Args:
        num_points: metric points altogether, 5,000 a run, from the best on.
    """
    _measure_baseline(board)
    engine = board.engine
    with Session(engine) as session:
        maker = _Maker(session)
    ids = []
    for start in range(0, num_rows, ROWS_AT_A_TIME):
        numbers = range(start, min(start + ROWS_AT_A_TIME, num_rows))
        rows = [maker.rows(number) for number in numbers]
        ids += [one[SubmissionRow]["id"] for one in rows]
        with write_session(engine) as session:
            for table in TABLES:
                session.connection().execute(insert(table), [one[table] for one in rows])
    with write_session(engine) as session:
        totals = session.get_one(BoardTotals, maker.key)
        totals.num_listed += num_rows
        totals.num_ranked += num_rows
        totals.num_results += num_rows
        totals.num_verified += num_rows
        totals.version = uuid.uuid4().hex
        totals.revision += 1
        session.add(totals)
    for number, count in enumerate(_lengths(num_rows, num_points)):
        with write_session(engine) as session:
            session.connection().exec_driver_sql(POINTS, (count, f"r_{number}"))
    with engine.connect() as connection:
        connection.exec_driver_sql("ANALYZE")
    return ids


def _lengths(num_rows: int, num_points: int) -> list[int]:
    """Points of each run that has some."""
    lengths = [LONG_RUN_POINTS] if num_points >= 2 * LONG_RUN_POINTS else []
    left = num_points - sum(lengths)
    lengths += [RUN_POINTS] * (left // RUN_POINTS)
    if left % RUN_POINTS:
        lengths.append(left % RUN_POINTS)
    return lengths[:num_rows]


def _measure_baseline(board: Board) -> None:
    """Have a worker report a result of the track's base config."""
    tracks = load_tracks(BASELINES)
    board.queue_baseline()
    (worker_id,) = board.workers(1)
    job_id, token = board.lease(worker_id)
    report = ResultReport(lease_token=token, result=board.result())
    with write_session(board.engine) as session:
        store_result(session, job_id, report, tracks, board.settings)
    board.settle()


class _Maker:
    """Makes rows like those of the track's baseline."""

    def __init__(self, session: Session) -> None:
        board = select(BoardEntry).join(
            Experiment, col(Experiment.hash) == col(BoardEntry.experiment_hash)
        )
        entry = session.exec(board.where(Experiment.track == TRACK)).first()
        assert entry is not None
        self.key = entry.comparability_key
        identity = entry.experiment_hash
        self._entry = entry.model_dump()
        self._experiment = session.get_one(Experiment, identity).model_dump()
        runs = select(Run).where(Run.experiment_hash == identity, Run.comparability_key == self.key)
        self._run = session.exec(runs).all()[0].model_dump()
        self._chance = random.Random(SEED)

    def rows(self, number: int) -> Rows:
        """The rows of one submission; the loss rises with its number."""
        identity, run_id, submission_id = f"a{number:063x}", f"r_{number}", f"s_{number}"
        moment = utc_now() - timedelta(seconds=number)
        name = f"{self._chance.choice(WORDS)} {self._chance.choice(WORDS)} {number}"
        author = f"author{number % 200}"
        rate = 0.001 + number * 1e-8
        loss, cost = 2.0 + number * 1e-5, 0.01 + self._chance.random() * 0.01
        config = {**self._experiment["config"]}
        config["optimizer"] = {**config["optimizer"]}
        config["optimizer"]["muon"] = {**config["optimizer"]["muon"], "learning_rate": rate}
        changes = [{"path": "optimizer.muon.learning_rate", "before": 0.03, "after": rate}]
        if number % 3:
            dropout = 0.05 * (number % 7 + 1)
            config["model"] = {**config["model"], "dropout": dropout}
            changes.insert(0, {"path": "model.dropout", "before": 0.0, "after": dropout})
        lines = "".join(f"{change['path']}={change['after']}\n" for change in changes)
        measured = {"val_loss": loss, "cost_usd": cost}
        ended = {"created_at": moment, "finished_at": moment}
        labelled = {"name": name, "author": author}
        return {
            Experiment: {
                **self._experiment,
                "hash": identity,
                "config": config,
                "created_at": moment,
            },
            Run: {
                **self._run,
                **measured,
                **ended,
                "id": run_id,
                "experiment_hash": identity,
                "origin": "worker",
                "note": "",
                "purpose": "submission",
                "result": {**self._run["result"], "val_loss": loss},
            },
            Job: {
                **Job.model_validate(
                    {
                        "id": f"j_{number}",
                        "run_id": run_id,
                        "track": TRACK,
                        "track_version": self._experiment["track_version"],
                        "position": number,
                        "needs_cuda": False,
                        "memory_bytes": 0,
                        "state": JobState.SUCCEEDED,
                        **ended,
                    }
                ).model_dump()
            },
            SubmissionRow: {
                **labelled,
                "id": submission_id,
                "experiment_hash": identity,
                "track": TRACK,
                "hypothesis": "A made-up hypothesis.",
                "built_on": None,
                "yaml": "track: debug\n",
                "idempotency_key": f"key-{number}",
                "run_id": run_id,
                "created_at": moment,
            },
            JudgementRow: {
                "experiment_hash": identity,
                "comparability_key": self.key,
                "verdict": Verdict.UNRESOLVED,
                "delta": -0.1,
                "low": -0.3,
                "high": 0.1,
                "num_runs": 1,
                "num_baseline_runs": 10,
                "further_runs": None,
                "was_better_at": None,
                "judged_at": moment,
            },
            BoardEntry: {
                **self._entry,
                **labelled,
                **measured,
                "experiment_hash": identity,
                "place": Place.RANKED,
                "submission_id": submission_id,
                "name_key": name,
                "changes": changes,
                "num_changes": len(changes),
                "search_text": f"\n{name} {author}\n{lines}",
                "verdict": Verdict.UNRESOLVED,
                "result": {
                    **self._entry["result"],
                    **measured,
                    "num_runs": 1,
                    "num_seeds": 1,
                    "val_loss_deviation": None,
                },
                "num_results": 1,
                "num_verified": 1,
                "num_seeds": 1,
                "newest_at": moment,
                "revision": self._entry["revision"] + 1,
            },
        }
