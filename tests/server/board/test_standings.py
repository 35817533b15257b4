from server.board.standings import Standings

#  loss 1.0 twice, at 3 and 2 dollars; then cheaper and worse ones
FOUR = Standings((1.0, 1.0, 1.5, 2.0), ("a", "b", "c", "d"), (3.0, 2.0, 2.5, 1.0))


def test_equal_losses_share_the_rank_of_the_first() -> None:
    assert [FOUR.rank(loss) for loss in FOUR.losses] == [1, 1, 3, 4]


def test_above_a_row_is_its_neighbour_also_among_equals() -> None:
    pairs = zip(FOUR.losses, FOUR.hashes, strict=True)
    assert [FOUR.above(loss, identity) for loss, identity in pairs] == [None, "a", "b", "c"]
    assert FOUR.above(1.0, "unknown") is None


def test_frontier_leaves_out_what_a_cheaper_one_beats() -> None:
    assert [FOUR.hashes[place] for place in FOUR.frontier] == ["d", "b", "a"]
    unpriced = Standings((1.0,), ("a",), (None,))
    assert unpriced.frontier == ()
