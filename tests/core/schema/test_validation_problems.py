import pytest
from pydantic import ValidationError

from core.schema.problem import Problem
from core.schema.training_config import BatchSizeStage, ScheduleConfig
from core.schema.validation_problems import by_line, problems_of


def found(model, values, lines=None):
    with pytest.raises(ValidationError) as error:
        model.model_validate(values)
    return problems_of(error.value, model, lines)


def test_a_wrong_value_is_shown_with_bound_and_meaning():
    (problem,) = found(BatchSizeStage, {"from_fraction": 0.5, "batch_size": 0})
    assert problem.path == "batch_size"
    assert problem.message == (
        "0 is not allowed: must be greater than or equal to 1. (Sequences in one optimizer step)"
    )


def test_an_unknown_key_names_the_allowed_and_the_nearest():
    values = {"from_fraction": 0.5, "batch_size": 1, "batchsize": 1}
    (problem,) = found(BatchSizeStage, values, {("batchsize",): 7})
    assert problem.line == 7
    assert problem.nearest == "batch_size"
    assert problem.message == "there is no such key; allowed are from_fraction, batch_size."


def test_a_rule_over_several_settings_speaks_for_itself():
    values = {"kind": "warmup_stable_decay", "warmup_fraction": 0.5, "decay_fraction": 0.75}
    (problem,) = found(ScheduleConfig, values)
    assert problem.message == "warmup_fraction 0.5 + decay_fraction 0.75 must be at most 1."


def test_problems_stand_in_the_order_of_the_document_and_those_without_a_line_last():
    given = [Problem(path=name, message="", line=line) for name, line in (("a", None), ("b", 2))]
    first = Problem(path="c", message="", line=1)
    assert [problem.path for problem in by_line([*given, first])] == ["c", "b", "a"]
