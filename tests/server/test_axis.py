import pytest

from server.axis import linear_axis, log_axis


def test_linear_axis_places_by_difference_and_writes_round_numbers() -> None:
    axis = linear_axis(-0.1, 0.3, 200.0, 0.0, signed=True)
    assert (axis.place(-0.1), axis.place(0.1), axis.place(0.3)) == (200.0, 100.0, 0.0)
    assert [tick.text for tick in axis.ticks] == ["−0.1", "0", "+0.1", "+0.2", "+0.3"]
    assert axis.ticks[1].place == 150.0


def test_log_axis_places_by_ratio() -> None:
    axis = log_axis(0.01, 1.0, 0.0, 100.0)
    assert (axis.place(0.01), axis.place(0.1), axis.place(1.0)) == (0.0, 50.0, 100.0)
    assert [tick.text for tick in axis.ticks] == ["0.01", "0.03", "0.1", "0.3", "1"]


def test_log_axis_of_many_decades_leaves_some_out() -> None:
    axis = log_axis(1e-12, 1.0, 0.0, 100.0)
    assert [tick.text for tick in axis.ticks] == ["1e−12", "1e−09", "1e−06", "0.001", "1"]


def test_what_lies_beyond_stands_at_the_edge() -> None:
    axis = linear_axis(0.0, 1.0, 0.0, 100.0)
    assert (axis.place(7.0), axis.place(-7.0)) == (100.0, 0.0)
    assert (axis.holds(7.0), axis.holds(0.5)) == (False, True)


@pytest.mark.parametrize("value", [0.0, 3.0, -2.0])
def test_a_single_number_stands_in_the_middle(value: float) -> None:
    assert linear_axis(value, value, 0.0, 100.0).place(value) == 50.0
