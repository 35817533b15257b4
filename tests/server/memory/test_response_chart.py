from collections.abc import Sequence

import pytest
from pydantic import JsonValue

from server.memory.response_chart import ResponseChart, response_chart
from server.memory.setting_facts import setting_facts
from server.memory.settings import MeasuredValue, SettingMemory, TriedExperiment
from server.verdict.judge import Verdict
from server.verdict.view import ExperimentVerdict


def verdict(delta: float, half: float) -> ExperimentVerdict:
    return ExperimentVerdict(
        verdict=Verdict.UNRESOLVED,
        delta=delta,
        low=delta - half,
        high=delta + half,
        num_runs=1,
        num_baseline_runs=5,
        further_runs=None,
        next_look=3,
        is_record=False,
        refuted="",
    )


def tried(delta: float | None, *, half: float | None = None, alone: bool = True) -> TriedExperiment:
    return TriedExperiment(
        submission_id="s_1",
        name="One",
        author="ada",
        experiment_hash="0" * 64,
        num_runs=1,
        delta=delta,
        verdict=None if half is None or delta is None else verdict(delta, half),
        withdrawn=None,
        is_only_change=alone,
        other_changes=(),
    )


def memory(
    values: Sequence[tuple[JsonValue, Sequence[TriedExperiment]]], baseline: JsonValue
) -> SettingMemory:
    return SettingMemory(
        **dict(setting_facts("model.dropout")),
        is_open=True,
        baseline=baseline,
        num_experiments=1,
        best=None,
        track="debug",
        key="0" * 16,
        page=1,
        has_next=False,
        values=tuple(
            MeasuredValue(value=value, experiments=tuple(experiments))
            for value, experiments in values
        ),
    )


def chart(*values: tuple[JsonValue, float], baseline: JsonValue) -> ResponseChart:
    found = response_chart(memory([(value, [tried(delta)]) for value, delta in values], baseline))
    assert found is not None
    return found


def test_numbers_that_span_a_decade_are_placed_by_their_ratio() -> None:
    found = chart((0.01, 0.1), (0.1, 0.2), (1.0, -0.1), baseline=0.1)
    left, middle, right = sorted(mark.x for mark in found.marks)
    assert found.is_log
    assert middle - left == pytest.approx(right - middle, abs=0.02)
    assert found.baseline_x == middle


def test_numbers_within_a_decade_are_placed_by_their_difference() -> None:
    found = chart((2, 0.1), (4, 0.2), (8, -0.1), baseline=5)
    left, middle, right = sorted(mark.x for mark in found.marks)
    assert not found.is_log
    assert (right - middle) / (middle - left) == pytest.approx(2, abs=0.01)
    assert found.baseline_x == pytest.approx((left + right) / 2)


def test_zero_among_numbers_that_span_decades_stands_beside_them() -> None:
    found = chart((0.001, 0.1), (0.1, 0.2), baseline=0.0)
    assert [tick.text for tick in found.x_ticks] == ["0.0", "0.001", "0.1"]
    assert found.baseline_x == found.x_ticks[0].place
    assert not found.is_log


def test_what_is_no_number_stands_side_by_side_under_its_name() -> None:
    found = chart(("gelu", 0.1), ("squared_relu", 0.2), baseline="silu")
    assert [tick.text for tick in found.x_ticks] == ["gelu", "silu", "squared_relu"]
    assert [mark.x for mark in found.marks] == [found.x_ticks[0].place, found.x_ticks[2].place]
    flags = chart((True, 0.1), baseline=False)
    assert [tick.text for tick in flags.x_ticks] == ["false", "true"]


def test_too_many_names_are_not_written() -> None:
    values: list[tuple[JsonValue, float]] = [([index], 0.1) for index in range(9)]
    found = chart(*values, baseline=None)
    assert (len(found.marks), found.x_ticks, found.baseline_x) == (9, (), None)


def test_effects_go_up_from_zero_with_their_intervals() -> None:
    experiments = [tried(0.1, half=0.05), tried(-0.1, alone=False), tried(None)]
    found = response_chart(memory([(0.5, experiments)], 0.0))
    assert found is not None
    other, alone = found.marks
    assert (other.is_alone, alone.is_alone) == (False, True)
    assert alone.y < found.zero_y < other.y
    assert other.low_y is None
    assert alone.low_y is not None
    assert alone.high_y is not None
    assert alone.high_y < alone.y < alone.low_y
    # Of one value, side by side.
    assert alone.x == other.x - 4


def test_an_effect_far_beyond_all_others_stands_at_the_edge() -> None:
    found = chart(*((0.1 * n, 0.01 * n) for n in range(1, 9)), (0.9, 9.0), baseline=0.0)
    assert [mark.is_beyond for mark in found.marks] == [False] * 8 + [True]
    assert found.marks[-1].y == 12.0


def test_without_an_effect_there_is_no_chart() -> None:
    assert response_chart(memory([(0.5, [tried(None)])], 0.0)) is None
    assert response_chart(memory([], 0.0)) is None
