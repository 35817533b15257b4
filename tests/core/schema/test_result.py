import math

import pytest
from pydantic import ValidationError

from core.schema.metric_point import EXPERT_LOAD, MetricPoint
from core.schema.result import FailureKind, TaskScore
from core.schema.right_bits import pack_right

PLATFORM = {"worker_lost", "data_unavailable", "internal_error"}


@pytest.mark.parametrize("kind", FailureKind)
def test_every_failure_says_whose_fault_it_is_and_what_to_do(kind):
    at_fault = "the platform's" if kind in PLATFORM else "the submission's"
    if kind is FailureKind.CANCELLED:
        at_fault = "nobody's"
    assert kind.fault == f"{at_fault} fault"
    assert kind.is_platform_fault == (kind in PLATFORM)
    assert kind.advice.endswith(".")


def point(**changed) -> MetricPoint:
    values = {
        **{"step": 1, "tokens": 32, "train_seconds": 0.5, "train_loss": 3.0},
        **{"learning_rate": 0.1, "adamw_learning_rate": 0.1, "gradient_norm": 1.0},
        "tokens_per_second": 64.0,
    }
    return MetricPoint(**(values | changed))


def test_a_point_from_before_expert_load_was_measured_is_read():
    old = point().model_dump_json(exclude=set(EXPERT_LOAD))
    read = MetricPoint.model_validate_json(old)
    assert [getattr(read, name) for name in EXPERT_LOAD] == [None, None, None]


@pytest.mark.parametrize("name", EXPERT_LOAD)
@pytest.mark.parametrize("value", [-0.1, math.nan, math.inf])
def test_expert_load_is_a_finite_number_from_zero_on(name, value):
    assert getattr(point(**{name: 0.0}), name) == 0.0
    with pytest.raises(ValidationError, match=name):
        point(**{name: value})


def test_no_more_than_all_experts_are_idle():
    assert point(idle_expert_share=1.0, worst_expert_max_violation=255.0).idle_expert_share == 1.0
    with pytest.raises(ValidationError, match="idle_expert_share"):
        point(idle_expert_share=1.1)


def task_score(**changed) -> TaskScore:
    values = {"name": "arc_easy", "num_questions": 4, "acc": 0.5, "acc_norm": 0.5}
    return TaskScore(**(values | changed))


def test_a_score_from_before_questions_were_kept_is_read():
    assert task_score().right == ""


def test_a_score_keeps_which_questions_were_right():
    right = pack_right([True, False, False, True])
    assert TaskScore.model_validate_json(task_score(right=right).model_dump_json()).right == right


@pytest.mark.parametrize(
    ("right", "said"),
    [
        (pack_right([True, False, False, False]), "has 1 of 4 questions, but acc_norm is 0.5"),
        (pack_right([True] * 9), "has 2 bytes; 4 questions have 1"),
        (pack_right([True, False, False, False, True]), "beyond those of its 4 questions"),
        ("!!!", "right is no base64"),
        ("é", "right is no base64"),
        ("A" * 16_388, "at most 16384 characters"),
    ],
)
def test_bits_that_are_not_those_of_the_share_are_refused(right, said):
    with pytest.raises(ValidationError, match=said):
        task_score(right=right)
