"""Who holds the record once the one who held it does no more."""

import pytest
from starlette.testclient import TestClient

from tests.server.boards import NORM, RELU, finish_next, measure_baseline, verdicts
from tests.server.factories import submit

DROPOUT = {"model.dropout": 0.3}


@pytest.fixture
def second(client: TestClient) -> str:
    """The submission that took the record from the first one."""
    measure_baseline(client)
    submit(client, "First", NORM)
    finish_next(client, 1.5)
    identity = submit(client, "Second", RELU).submission_id
    finish_next(client, 1.2)
    return identity


def holders(client: TestClient) -> list[str]:
    return [name for name, row in verdicts(client) if row["verdict"]["is_record"]]


def withdraw(client: TestClient, identity: str) -> None:
    body = {"author": "ada", "reason": "A mistake."}
    assert client.post(f"/api/v1/submissions/{identity}/withdraw", json=body).is_success


def refute(client: TestClient, name: str, config: dict[str, object]) -> None:
    """Two more runs, far above the baseline."""
    for _ in range(2):
        submit(client, name, config)
        finish_next(client, 2.8)


def test_a_refuted_record_of_old_does_not_come_back(client: TestClient, second: str) -> None:
    refute(client, "First", NORM)
    assert holders(client) == ["Second"]
    withdraw(client, second)
    assert holders(client) == []


def test_after_a_withdrawal_the_best_of_the_others_has_the_record(
    client: TestClient, second: str
) -> None:
    submit(client, "Third", DROPOUT)
    finish_next(client, 1.3)
    assert holders(client) == ["Second"]
    withdraw(client, second)
    assert holders(client) == ["Third"]
    assert client.get("/api/v1/ledger/check").json()["faults"] == []


def test_after_a_refutation_the_best_of_the_others_has_the_record(
    client: TestClient, second: str
) -> None:
    submit(client, "Third", DROPOUT)
    finish_next(client, 1.3)
    refute(client, "Second", RELU)
    assert holders(client) == ["Third"]
