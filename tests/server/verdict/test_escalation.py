import pytest

from server.verdict.escalation import wanted_runs
from server.verdict.judge import Judgement, Verdict

BETTER, WORSE, UNRESOLVED = Verdict.BETTER, Verdict.WORSE, Verdict.UNRESOLVED


def judged(num_runs, delta, verdict):
    return Judgement(
        verdict=verdict,
        delta=delta,
        low=delta - 0.01,
        high=delta + 0.01,
        confidence=0.99,
        num_runs=num_runs,
        num_baseline_runs=5,
        further_runs=None,
        next_look=None,
    )


def test_an_experiment_without_a_judgement_gets_one_run():
    assert wanted_runs(None) == 1


@pytest.mark.parametrize(
    ("num_runs", "delta", "verdict", "wanted"),
    [
        (1, -0.001, UNRESOLVED, 3),
        (1, -0.1, BETTER, 3),
        (1, 0.0, UNRESOLVED, 1),
        (1, 0.001, UNRESOLVED, 1),
        (1, 0.1, WORSE, 1),
        (3, -0.001, UNRESOLVED, 5),
        (3, -0.1, BETTER, 3),
        (3, 0.001, UNRESOLVED, 3),
        (3, 0.1, WORSE, 3),
        (5, -0.001, UNRESOLVED, 5),
        (20, -0.001, UNRESOLVED, 20),
    ],
)
def test_runs_are_added_while_it_looks_better_and_is_open(num_runs, delta, verdict, wanted):
    assert wanted_runs(judged(num_runs, delta, verdict)) == wanted


@pytest.mark.parametrize(
    ("num_runs", "delta", "verdict", "wanted"),
    [
        (3, -0.001, UNRESOLVED, 5),
        (3, -0.1, BETTER, 3),
        (3, 0.001, UNRESOLVED, 3),
        (3, 0.1, WORSE, 3),
        (5, -0.001, UNRESOLVED, 5),
    ],
)
def test_an_experiment_that_may_be_the_record_gets_up_to_five(num_runs, delta, verdict, wanted):
    against_record = judged(num_runs, delta, verdict)
    assert wanted_runs(judged(num_runs, -0.2, BETTER), against_record) == wanted


def test_the_record_takes_no_run_away():
    against_record = judged(1, 0.1, WORSE)
    assert wanted_runs(judged(1, -0.001, UNRESOLVED), against_record) == 3
