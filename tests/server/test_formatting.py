from datetime import UTC, datetime, timedelta

import pytest

from server import formatting
from server.formatting import Quantity


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (-0.01234, "▼ −0.0123"),
        (0.2, "▲ +0.2000"),
        (0.00004, "0.0000"),
        (0.0, "0.0000"),
        (None, "–"),
    ],
)
def test_delta_has_sign_and_arrow_unless_it_rounds_to_nothing(
    value: float | None, text: str
) -> None:
    assert formatting.delta(value) == text


@pytest.mark.parametrize(
    ("value", "word"),
    [(-0.0001, "lower"), (0.0001, "higher"), (-0.00001, "equal"), (None, "")],
)
def test_direction_agrees_with_the_rounded_delta(value: float | None, word: str) -> None:
    assert formatting.direction(value) == word


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "unpriced"),
        (0.0, "$0.00"),
        (0.0075, "$0.0075"),
        (0.25, "$0.25"),
        (4.999, "$5.00"),
        (1234.5, "$1,234.50"),
    ],
)
def test_usd_shows_cents_and_more_digits_below_ten_cents(value: float | None, text: str) -> None:
    assert formatting.usd(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.04, "0.0 s"),
        (98.94, "98.9 s"),
        (225.6, "3 min 46 s"),
        (7260.0, "2 h 01 min"),
        (None, "–"),
    ],
)
def test_seconds_become_minutes_and_hours(value: float | None, text: str) -> None:
    assert formatting.seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "not set"),
        (True, "true"),
        (0.04, "0.04"),
        (1e-08, "1e-08"),
        (9999, "9999"),
        (8192000, "8_192_000"),
        ("squared_relu", "squared_relu"),
        (["arc_easy", "hellaswag"], "arc_easy, hellaswag"),
        ([], "none"),
    ],
)
def test_setting_is_written_as_in_yaml(value: object, text: str) -> None:
    assert formatting.setting(value) == text  # type: ignore[arg-type]


def test_tasks_are_written_as_their_authors_do() -> None:
    assert formatting.task_title("hellaswag") == "HellaSwag"
    assert formatting.task_title("some_new_task") == "some new task"


@pytest.mark.parametrize(
    ("quantity", "value", "text", "difference"),
    [
        (Quantity.NATS, 4.09771, "4.0977", "▲ +4.0977"),
        (Quantity.BITS, 1.2, "1.2000", "▲ +1.2000"),
        (Quantity.SHARE, 0.319, "31.90 %", "▲ +31.90 pp"),
        (Quantity.PERPLEXITY, 60.199, "60.20", "▲ +60.20"),
        (Quantity.BYTES, 3 * 2**29, "1.50 GiB", "▲ +1.50 GiB"),
        (Quantity.COUNT, 8192000.0, "8,192,000", "▲ +8,192,000"),
        (Quantity.SECONDS, 30.0, "30.0 s", "▲ +30.0000"),
        (Quantity.DOLLARS, 1.5, "$1.50", "▲ +1.50"),
    ],
)
def test_each_quantity_has_its_precision_and_unit(
    quantity: Quantity, value: float, text: str, difference: str
) -> None:
    assert formatting.figure(value, quantity) == text
    assert formatting.figure_delta(value, quantity) == difference
    assert formatting.figure_delta(None, quantity) == "–"


def test_moment_is_utc_to_the_minute() -> None:
    assert formatting.moment(datetime(2026, 11, 22, 9, 5, 59, tzinfo=UTC)) == "2026-11-22 09:05 UTC"


def test_standard_error_of_a_share_is_in_percentage_points() -> None:
    assert formatting.percent_points(0.01257) == "1.26"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "now"),
        (0.9, "now"),
        (3, "in 10 s"),
        (84, "in 80 s"),
        (90, "in 2 min"),
        (5399, "in 90 min"),
        (5400, "in 1.5 h"),
        (172_799, "in 48.0 h"),
        (216_000, "in 2.5 days"),
    ],
)
def test_moments_to_come_are_told_in_round_numbers(seconds: float, text: str) -> None:
    now = datetime(2026, 11, 25, 12, tzinfo=UTC)
    assert formatting.from_now(now + timedelta(seconds=seconds), now) == text
