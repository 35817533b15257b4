import pytest
from sqlalchemy import Engine
from sqlmodel import Session, delete, select
from starlette.testclient import TestClient

from core.schema.track import Track
from server.database import write_session
from server.memory.change_rows import make_up_changes, stored_changes
from server.memory.tables import ExperimentChange
from server.tables import Experiment
from tests.server.boards import NORM, RELU
from tests.server.conftest import Serve
from tests.server.factories import submit


def all_rows(session: Session) -> list[tuple[str, str, str, int]]:
    rows = session.exec(select(ExperimentChange)).all()
    return sorted((row.track, row.path, row.value, row.num_changes) for row in rows)


def test_a_new_experiment_keeps_what_it_changes_once(client: TestClient, session: Session) -> None:
    submit(client, "Baseline")
    for name in ("First", "Again"):
        submit(client, name, {**NORM, **RELU})
    # Under a constant schedule, its last phase is never reached.
    submit(client, "Constant", {"schedule.kind": "constant", "schedule.decay_fraction": 0.5})
    assert all_rows(session) == [
        ("debug", "model.attention.qk_norm", "true", 2),
        ("debug", "model.feed_forward.activation", '"squared_relu"', 2),
        ("debug", "schedule.kind", '"constant"', 1),
    ]


def test_experiments_of_before_are_made_up_for_once(
    client: TestClient, engine: Engine, tracks: dict[str, Track]
) -> None:
    submit(client, "Baseline")
    submit(client, "Both", {**NORM, **RELU})
    with Session(engine) as session:
        kept = all_rows(session)
    with write_session(engine) as session:
        session.exec(delete(ExperimentChange))
    with write_session(engine) as session:
        assert make_up_changes(session, tracks) == 1
        assert make_up_changes(session, tracks) == 0
        assert all_rows(session) == kept


def test_an_older_version_keeps_what_it_changed_in_its_own_base(
    serve: Serve, tracks: dict[str, Track], moved: dict[str, Track], engine: Engine
) -> None:
    rate = "optimizer.muon.learning_rate"
    with serve(tracks) as client:
        # The base of version 2 has this rate.
        identity = submit(client, "Rate", {rate: 0.02}).experiment_hash
    with serve(moved), Session(engine) as session:
        assert stored_changes(session, [identity]) == {identity: {rate: 0.02}}


@pytest.mark.parametrize("chunk", [1, 500])
def test_server_makes_up_for_changes_when_it_starts(
    serve: Serve,
    tracks: dict[str, Track],
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
    chunk: int,
) -> None:
    monkeypatch.setattr("server.memory.change_rows.CHUNK", chunk)
    with serve(tracks) as client:
        submit(client, "Norm", NORM)
        submit(client, "Relu", RELU)
    with write_session(engine) as session:
        session.exec(delete(ExperimentChange))
    with serve(tracks), Session(engine) as session:
        assert [row[1] for row in all_rows(session)] == [*NORM, *RELU]
        assert len(session.exec(select(Experiment)).all()) >= 2
