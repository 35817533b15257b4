import math

from server.access import allowance
from server.access.allowance import Allowances


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def num_taken(allowances: Allowances, client: str = "ada") -> int:
    """Requests until the first refusal."""
    taken = 0
    while allowances.take(client) == 0.0:
        taken += 1
    return taken


def test_ten_seconds_worth_of_requests_may_come_at_once() -> None:
    assert num_taken(Allowances(60, Clock())) == 10
    assert num_taken(Allowances(1200, Clock())) == 200


def test_the_bucket_fills_at_the_rate() -> None:
    clock = Clock()
    allowances = Allowances(120, clock)
    assert num_taken(allowances) == 20
    clock.now += 3.0
    assert num_taken(allowances) == 6
    clock.now += 3600.0
    assert num_taken(allowances) == 20


def test_the_wait_is_exactly_as_long_as_it_must_be() -> None:
    clock = Clock()
    allowances = Allowances(60, clock)
    num_taken(allowances)
    clock.now += 0.25
    wait = allowances.take("ada")
    assert math.isclose(wait, 0.75)
    clock.now += wait - 0.01
    assert allowances.take("ada") > 0.0
    clock.now += 0.01
    assert allowances.take("ada") == 0.0


def test_a_refused_request_costs_nothing() -> None:
    clock = Clock()
    allowances = Allowances(60, clock)
    num_taken(allowances)
    for _ in range(100):
        allowances.take("ada")
    clock.now += 1.0
    assert allowances.take("ada") == 0.0


def test_the_rarest_limit_lets_one_request_through() -> None:
    assert num_taken(Allowances(1, Clock())) == 1


def test_each_client_has_a_bucket_of_its_own() -> None:
    allowances = Allowances(60, Clock())
    assert num_taken(allowances, "ada") == 10
    assert num_taken(allowances, "bob") == 10


def test_no_number_of_clients_fills_memory() -> None:
    clock = Clock()
    allowances = Allowances(60, clock)
    for client in range(allowance.MAX_CLIENTS + 5):
        allowances.take(str(client))
    assert len(allowances._full_at) == allowance.MAX_CLIENTS
    assert "0" not in allowances._full_at
