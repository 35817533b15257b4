"""Numbers in words."""

import pytest

from runner.terminal.figures import write_dollars, write_duration, write_quantity


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.25, "0.2 s"),
        (12.4, "12 s"),
        (200, "3 min 20 s"),
        (7500, "2 h 5 min"),
        (3599.9, "1 h 0 min"),
    ],
)
def test_durations(seconds, text):
    assert write_duration(seconds) == text


@pytest.mark.parametrize(
    ("dollars", "text"),
    [(5.0, "$5.00"), (0.0151, "$0.0151"), (3e-5, "under $0.0001"), (0.0, "$0.0000")],
)
def test_small_sums_have_more_digits_down_to_a_limit(dollars, text):
    assert write_dollars(dollars) == text


@pytest.mark.parametrize(
    ("quantity", "value", "text"),
    [
        ("nats", 4.09766, "4.0977"),
        ("share", 0.319, "31.90 %"),
        ("bytes", 3 * 1024**3, "3.00 GiB"),
        ("count", 8192000.0, "8,192,000"),
        ("something new", 1.5, "1.5"),
        ("nats", None, "–"),
    ],
)
def test_each_quantity_has_its_way(quantity, value, text):
    assert write_quantity(quantity, value) == text


@pytest.mark.parametrize(("value", "text"), [(0.5, "+0.5000"), (-0.5, "-0.5000"), (0.0, "+0.0000")])
def test_differences_have_a_sign(value, text):
    assert write_quantity("nats", value, signed=True) == text
