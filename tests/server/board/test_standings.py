import random

from server.board.standings import Standing, Standings, StandingsChange
from server.verdict.noise import Spread, pooled_spreads

#  loss 1.0 twice, at 3 and 2 dollars; then cheaper and worse ones
A, B = Standing(1.0, "a", 3.0), Standing(1.0, "b", 2.0)
C, D = Standing(1.5, "c", 2.5), Standing(2.0, "d", 1.0)
FOUR = Standings.of([A, B, C, D])


def test_equal_losses_share_the_rank_of_the_first() -> None:
    assert [FOUR.rank(one.val_loss) for one in FOUR.ranked] == [1, 1, 3, 4]
    assert FOUR.rank(9.0) == 5


def test_above_a_row_is_its_neighbour_also_among_equals() -> None:
    assert [FOUR.above(*one[:2]) for one in FOUR.ranked] == [None, "a", "b", "c"]
    assert FOUR.above(1.0, "unknown") is None


def test_frontier_leaves_out_what_a_cheaper_one_beats() -> None:
    assert FOUR.frontier == [D, B, A]
    assert Standings.of([Standing(1.0, "a")]).frontier == []


def test_a_row_that_becomes_better_moves_up_and_onto_the_frontier() -> None:
    better = Standing(0.5, "c", 0.5)
    found = FOUR.changed(_change([C], [better]))
    assert found.ranked == [better, A, B, D]
    assert found.frontier == [better]
    assert FOUR.ranked == [A, B, C, D]


def test_a_row_that_is_withdrawn_leaves_the_ranking() -> None:
    found = FOUR.changed(_change([B], [], [B]))
    assert (found.ranked, found.withdrawn, found.frontier) == ([A, C, D], [B], [D, C, A])
    again = found.changed(_change([B], [B]))
    assert (again.ranked, again.withdrawn, again.frontier) == ([A, B, C, D], [], [D, B, A])


def test_noise_follows_the_runs_of_those_that_changed() -> None:
    first, second = Spread(0.1, 2), Spread(0.3, 4)
    one = FOUR.changed(_change([A], [A], spreads={"a": first}))
    two = one.changed(_change([B], [B], spreads={"b": second}))
    assert one.noise == pooled_spreads([first])
    assert two.noise == pooled_spreads([first, second])
    assert two.changed(_change([A], [A])).noise == pooled_spreads([second])
    assert FOUR.noise is None


def test_many_changes_come_to_what_all_rows_say_at_once() -> None:
    chance = random.Random(3)
    rows = {f"{n:03}": Standing(chance.randrange(40), f"{n:03}") for n in range(60)}
    found = Standings.of(sorted(rows.values()))
    for _ in range(300):
        name = f"{chance.randrange(70):03}"
        cost = chance.choice([None, float(chance.randrange(20))])
        before = [rows.pop(name)] if name in rows else []
        now = [Standing(chance.randrange(40), name, cost)] if chance.random() < 0.8 else []
        rows.update((one.experiment_hash, one) for one in now)
        found = found.changed(_change(before, now))
        assert found == Standings.of(sorted(rows.values(), key=lambda one: one[:2]), [], {})


def _change(
    before: list[Standing],
    ranked: list[Standing],
    withdrawn: list[Standing] | None = None,
    spreads: dict[str, Spread] | None = None,
) -> StandingsChange:
    return StandingsChange(
        experiments={one.experiment_hash for one in (*before, *ranked)},
        before=before,
        ranked=ranked,
        withdrawn=withdrawn or [],
        spreads=spreads or {},
    )
