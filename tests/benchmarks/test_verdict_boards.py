import numpy as np

from benchmarks.verdict_boards import Board, fill_boards, no_gains, usual_gains
from server.verdict.judge import Verdict


def board(seed=0):
    return Board(5, np.random.default_rng(seed))


def test_a_plain_loss_stops_after_one_run():
    entry = board().submit(-100.0)
    assert (entry.num_runs, entry.verdict) == (1, Verdict.WORSE)


def test_a_plain_gain_is_confirmed_by_three_runs():
    entry = board().submit(1000.0)
    assert (entry.num_runs, entry.verdict) == (3, Verdict.BETTER)
    assert entry.verdict_of_five is Verdict.BETTER


def test_a_rival_of_the_record_is_run_five_times():
    full = board()
    full.submit(1000.0)
    # Better than the baseline beyond doubt; too near the record to say.
    rivals = [full.submit(1001.0) for _ in range(10)]
    assert {entry.verdict for entry in rivals} == {Verdict.BETTER}
    assert 5 in {entry.num_runs for entry in rivals}


def test_boards_of_submissions_without_gain_are_seldom_wrong():
    boards = fill_boards(no_gains, 5, 40, 5, np.random.default_rng(0))
    entries = [entry for filled in boards for entry in filled]
    assert len(entries) == 200
    # With a rate of 1 %, nine of 200 come up in one of five thousand simulations.
    assert sum(Verdict.BETTER in entry.said for entry in entries) < 9
    assert 1 < np.mean([entry.num_runs for entry in entries]) < 5


def test_usual_submissions_gain_in_three_of_ten():
    # The share of a normal about -2 with deviation 4 above zero is 0.309.
    gains = usual_gains(np.random.default_rng(0), 10_000)
    assert abs(np.mean([gain > 0 for gain in gains]) - 0.309) < 0.02
