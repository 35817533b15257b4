"""Boards for the store's benchmark: a database with a queue and workers, and a server on it."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

from sqlalchemy import Engine
from sqlmodel import Session

from benchmarks.store_clients import API, HOST
from core.schema.experiment import ExperimentConfig
from core.schema.job import PROTOCOL_VERSION, WorkerHello
from core.schema.overrides import resolve
from core.schema.result import DataIdentity, Provenance, RunResult, Timing
from core.tracks import BASELINES, load_tracks
from server.board_keys import baseline_hash
from server.canary.schedule import claim
from server.database import create_engine, upgrade, write_session
from server.experiments import ensure_experiment
from server.job_queue import enqueue
from server.live.hub import Hub
from server.settings import ServerSettings
from server.settlement.settler import Settler
from server.tables import Priority, Run
from server.workers import register

TRACK = "debug"
START_SECONDS = 60.0
FIRST_SEED = 1000
LEASE_SECONDS = 3600.0
"""No lease ends while the benchmark runs."""


class Board:
    """A migrated database, to be filled."""

    def __init__(self, url: str) -> None:
        port = _free_port()
        self.settings = ServerSettings(
            database_url=url,
            port=port,
            queues_runs=False,
            canary_hours=0.0,
            lease_seconds=LEASE_SECONDS,
        )
        self.engine: Engine = create_engine(url)
        self._tracks = load_tracks(BASELINES)
        upgrade(self.engine)

    def queue(self, count: int) -> None:
        """Queue one run of each of `count` experiments."""
        with write_session(self.engine) as session:
            for number in range(count):
                rate = {"optimizer.muon.learning_rate": 0.001 + number * 1e-6}
                self._queue_one(session, f"{number:064}", resolve(self._tracks[TRACK].base, rate))

    def queue_baseline(self) -> None:
        """Queue one run of the track's base config."""
        track = self._tracks[TRACK]
        with write_session(self.engine) as session:
            self._queue_one(session, baseline_hash(track), track.base)

    def workers(self, count: int) -> list[str]:
        """Register workers; their ids."""
        with write_session(self.engine) as session:
            return [register(session, _hello(number)).id for number in range(count)]

    @contextmanager
    def served(self) -> Iterator[int]:
        """Serve the board in a process of its own; its port."""
        process = subprocess.Popen(
            [sys.executable, "-m", "server"],
            env={**os.environ, **_environment(self.settings)},
            stderr=subprocess.DEVNULL,
        )
        try:
            _wait(self.settings.port)
            yield self.settings.port
        finally:
            process.terminate()
            process.wait(START_SECONDS)

    def lease(self, worker_id: str) -> tuple[str, str]:
        """Claim a job, which must be there; its id and the lease's token."""
        with write_session(self.engine) as session:
            offer = claim(session, worker_id, self._tracks, self.settings)
        assert offer is not None
        return offer.job_id, offer.lease_token

    def result(self) -> RunResult:
        """A made-up result on the track's own data."""
        data = self._tracks[TRACK].rules.expected_data
        assert data is not None
        return _result(data)

    def settle(self) -> None:
        """Draw what follows from all results that were stored, as a server does."""
        settler = Settler(self.engine, Hub())
        settler.settle(self._tracks, self.settings.queues_runs)

    def close(self) -> None:
        """Close its connections."""
        self.engine.dispose()

    def _queue_one(self, session: Session, identity: str, config: ExperimentConfig) -> None:
        ensure_experiment(session, identity, self._tracks[TRACK], config)
        row = {"id": f"r_{identity[-8:]}", "experiment_hash": identity, "seed": FIRST_SEED}
        run = Run.model_validate(row)
        session.add(run)
        session.flush()
        enqueue(session, run, needs_cuda=False, memory_bytes=0, priority=Priority.NEW)


def _hello(number: int) -> WorkerHello:
    return WorkerHello(
        protocol_version=PROTOCOL_VERSION,
        name=f"bench {number}",
        device="cpu",
        has_cuda=False,
        memory_bytes=0,
        code_commit="",
    )


def _result(data: DataIdentity) -> RunResult:
    provenance = Provenance(
        code_commit="0" * 40,
        packages={},
        python="3.12.4",
        platform="Linux x86_64",
        device="cpu",
        driver="",
        compiled=False,
        data=data,
    )
    return RunResult(
        seed=FIRST_SEED,
        steps=250,
        tokens=512_000,
        stopped_early=False,
        val_loss=2.0,
        val_accuracy=0.5,
        val_bpb=0.7,
        tasks=(),
        timing=Timing(data_seconds=1, compile_seconds=6, train_seconds=30, eval_seconds=2),
        tokens_per_second=17_000.0,
        peak_memory_bytes=2**30,
        num_parameters=1_300_000,
        provenance=provenance,
        anchor=None,
    )


def _environment(settings: ServerSettings) -> dict[str, str]:
    return {
        "FIVE_DOLLAR_DATABASE_URL": settings.database_url,
        "FIVE_DOLLAR_PORT": str(settings.port),
        "FIVE_DOLLAR_QUEUES_RUNS": "false",
        "FIVE_DOLLAR_CANARY_HOURS": "0",
        "FIVE_DOLLAR_LEASE_SECONDS": str(settings.lease_seconds),
        "PYTHONPATH": str(Path(__file__).resolve().parents[1]),
    }


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        port: int = listener.getsockname()[1]
        return port


def _wait(port: int) -> None:
    end = time.monotonic() + START_SECONDS
    while True:
        connection = HTTPConnection(HOST, port, timeout=5)
        try:
            connection.request("GET", f"{API}/health")
            connection.getresponse().read()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)
        else:
            return
        finally:
            connection.close()
