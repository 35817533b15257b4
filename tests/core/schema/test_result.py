import pytest
from pydantic import ValidationError

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
