import json
from fractions import Fraction

from core.schema.training_config import TrainingConfig
from core.training_plan import Segment, StepShape, plan, shape_at, shapes


def training(**changes):
    return TrainingConfig.model_validate_json(
        json.dumps({"batch_size": 4, "sequence_length": 8} | changes)
    )


def test_equal_steps_are_as_many_as_the_tokens_pay_for():
    whole = plan(training(tokens=100))
    assert whole.segments == (Segment(0, 3, 0, StepShape(4, 8)),)
    assert (whole.num_steps, whole.num_tokens) == (3, 96)


def test_stages_begin_at_their_share_of_the_tokens():
    # 1,280 tokens; from 0.1 (128 tokens, after four steps of 32) 64 a step; from 0.55 (704) 128.
    stages = [
        {"from_fraction": 0.1, "batch_size": 8},
        {"from_fraction": 0.55, "batch_size": 16},
    ]
    whole = plan(training(tokens=1280, batch_size_stages=stages))
    assert whole.segments == (
        Segment(0, 4, 0, StepShape(4, 8)),
        Segment(4, 9, 128, StepShape(8, 8)),
        Segment(13, 4, 704, StepShape(16, 8)),
    )
    assert (whole.num_steps, whole.num_tokens) == (17, 1216)


def test_stages_begin_at_their_share_of_the_steps():
    stages = [{"from_fraction": 0.25, "sequence_length": 16}]
    whole = plan(training(steps=10, sequence_length_stages=stages))
    # Step 2 begins at 0.2 of the budget, step 3 at 0.3.
    assert whole.segments == (
        Segment(0, 3, 0, StepShape(4, 8)),
        Segment(3, 7, 96, StepShape(4, 16)),
    )
    assert whole.num_tokens == 96 + 7 * 64


def test_no_step_is_begun_that_the_tokens_left_do_not_pay_for():
    # The second step of 64 would begin at 64 of 100 tokens, before its stage ends at 90.
    stages = [{"from_fraction": 0.9, "batch_size": 2}]
    whole = plan(training(tokens=100, batch_size=8, batch_size_stages=stages))
    assert whole.segments == (
        Segment(0, 1, 0, StepShape(8, 8)),
        Segment(1, 2, 64, StepShape(2, 8)),
    )
    assert whole.num_tokens <= 100


def test_a_stage_too_short_for_a_step_is_passed_over():
    stages = [
        {"from_fraction": 0.5, "batch_size": 1},
        {"from_fraction": 0.51, "batch_size": 2},
    ]
    whole = plan(training(steps=4, batch_size_stages=stages))
    # Step 2 begins at exactly 0.5; step 3 at 0.75.
    assert [segment.shape.batch_size for segment in whole.segments] == [4, 1, 2]
    whole = plan(training(steps=3, batch_size_stages=stages))
    # Step 2 begins at 0.67, past both.
    assert [segment.shape.batch_size for segment in whole.segments] == [4, 2]


def test_the_shape_at_a_share_is_that_of_the_last_stage_begun():
    config = training(
        dollars=1.0,
        batch_size_stages=[{"from_fraction": 0.5, "batch_size": 8}],
        sequence_length_stages=[{"from_fraction": 0.3, "sequence_length": 16}],
    )
    assert shape_at(config, 0.0) == (4, 8)
    assert shape_at(config, Fraction("0.3")) == (4, 16)
    assert shape_at(config, 0.9) == (8, 16)
    assert shapes(config) == ((4, 8), (4, 16), (8, 16))
