from sqlmodel import Session
from starlette.testclient import TestClient

from server.memory.candidates import candidates
from tests.server.boards import NORM, RELU
from tests.server.factories import data_identity, submit, submit_and_finish

KEY = data_identity().comparability_key("debug", 1)
DROPOUT = "model.dropout"


def test_those_that_share_the_rarest_change_come_first(
    client: TestClient, session: Session
) -> None:
    names = {
        submit_and_finish(client, name, overrides).experiment_hash: name
        for name, overrides in [
            ("other", {"training.batch_size": 4}),
            ("two others", {"training.batch_size": 4, **RELU}),
            ("dropout and more", {DROPOUT: 0.2, **RELU}),
            ("dropout", {DROPOUT: 0.1}),
            ("norm and more", {**NORM, **RELU}),
        ]
    }
    waits = submit(client, "waits", {**NORM, DROPOUT: 0.1}).experiment_hash

    def found(limit: int) -> list[str]:
        paths = [DROPOUT, *NORM]
        return [names[one] for one in candidates(session, "debug", KEY, paths, limit)]

    everything = ["norm and more", "dropout", "dropout and more", "other", "two others"]
    assert found(500) == everything
    assert found(3) == everything[:3]
    assert found(1) == everything[:1]
    assert waits not in names


def test_a_config_that_changes_nothing_gets_those_that_change_the_least(
    client: TestClient, session: Session
) -> None:
    both = submit_and_finish(client, "Both", {**NORM, **RELU}).experiment_hash
    one = submit_and_finish(client, "One", NORM).experiment_hash
    assert candidates(session, "debug", KEY, ()) == (one, both)
    assert candidates(session, "debug", "0" * 16, ()) == ()
