import random
from collections import Counter

from core.data.draw import Draw


def test_draw_is_built_on_the_sequence_that_python_keeps():
    # Mersenne Twister seeded with the text "abc": the first numbers of random.Random("abc").
    reference = random.Random("abc")
    expected = [int(reference.random() * 10) for _ in range(5)]
    draw = Draw("abc")
    assert [draw.below(10) for _ in range(5)] == expected


def test_pick_reaches_every_item_about_equally_often():
    draw = Draw("pick")
    counts = Counter(draw.pick("abcd") for _ in range(4000))
    assert set(counts) == set("abcd")
    assert all(850 < count < 1150 for count in counts.values())


def test_shuffled_keeps_the_items_and_reaches_every_order():
    draw = Draw("shuffle")
    orders = Counter(tuple(draw.shuffled((1, 2, 3))) for _ in range(600))
    assert set(orders) == {(1, 2, 3), (1, 3, 2), (2, 1, 3), (2, 3, 1), (3, 1, 2), (3, 2, 1)}
    assert all(60 < count < 140 for count in orders.values())


def test_sample_gives_different_items_and_all_where_there_are_too_few():
    draw = Draw("sample")
    assert len(set(draw.sample(range(100), 50))) == 50
    assert sorted(draw.sample("ab", 5)) == ["a", "b"]
