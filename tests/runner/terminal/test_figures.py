"""Numbers in words."""

import pytest

from runner.terminal.figures import (
    write_bytes,
    write_dollars,
    write_duration,
    write_quantity,
    write_setting,
)


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


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.5, "+0.5000"), (-0.5, "-0.5000"), (0.0, "+0.0000"), (-1e-9, "+0.0000")],
)
def test_differences_have_a_sign(value, text):
    assert write_quantity("nats", value, signed=True) == text


def test_a_difference_of_shares_is_percentage_points():
    assert write_quantity("share", 0.0052, signed=True) == "+0.52 pp"


@pytest.mark.parametrize(
    ("size", "text"), [(8623913984.0, "8.0 GiB"), (1024**3, "1.0 GiB"), (26_000_000.0, "25 MiB")]
)
def test_little_memory_is_not_nothing(size, text):
    assert write_bytes(size) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "true"), (None, "not set"), (0.04, "0.04"), ("silu", "silu"), (["a", 1], '["a", 1]')],
)
def test_settings_look_as_in_yaml(value, text):
    assert write_setting(value) == text
