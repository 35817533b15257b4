import pytest

from server.verdict.looks import ERROR_SHARES, LOOKS, confidence_at, latest_look, next_look


def test_all_looks_together_err_in_one_of_a_hundred():
    assert sum(ERROR_SHARES.values()) == pytest.approx(0.01)
    assert LOOKS == (1, 3, 5, 10, 20, 40, 80)


@pytest.mark.parametrize(
    ("num_runs", "latest", "following"),
    [
        (0, None, 1),
        (1, 1, 3),
        (2, 1, 3),
        (3, 3, 5),
        (4, 3, 5),
        (9, 5, 10),
        (79, 40, 80),
        (80, 80, None),
        (500, 80, None),
    ],
)
def test_runs_between_looks_wait_for_the_next(num_runs, latest, following):
    assert latest_look(num_runs) == latest
    assert next_look(num_runs) == following


def test_confidence_is_what_a_look_may_not_err():
    assert confidence_at(1) == pytest.approx(0.998)
    assert confidence_at(80) == pytest.approx(0.99975)


def test_confidence_refuses_a_number_that_is_no_look():
    with pytest.raises(ValueError, match=r"look is 4; .* at 1, 3, 5, 10, 20, 40, 80 runs"):
        confidence_at(4)
