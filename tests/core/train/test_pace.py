import json

import pytest
import torch

from core.errors import BudgetExceeded
from core.schema.training_config import TrainingConfig
from core.train.clock import Clock
from core.train.pace import DollarPace, FixedPace
from core.training_plan import StepShape


def training(**changes):
    return TrainingConfig.model_validate_json(
        json.dumps({"batch_size": 4, "sequence_length": 8} | changes)
    )


def steps_of(pace, num_steps):
    """All steps that a fixed pace plans."""
    planned = []
    while len(planned) < num_steps:
        planned.extend(pace.ahead(len(planned)))
    return planned


@pytest.mark.parametrize("budget", [{"tokens": 40 * 32 + 31}, {"steps": 40}])
def test_equal_steps_spend_equal_shares_of_what_they_spend_together(budget):
    planned = steps_of(FixedPace(training(**budget)), 40)
    assert len(planned) == 40
    assert [step.spent_before for step in planned] == [index / 40 for index in range(40)]
    assert planned[-1].spent_after == 1.0
    assert all(step.is_recorded for step in planned)


def test_steps_are_given_in_tens_and_one_shape_at_a_time():
    stages = [{"from_fraction": 0.6, "batch_size": 8}]
    pace = FixedPace(training(steps=25, batch_size_stages=stages))
    assert [len(pace.ahead(step)) for step in (0, 3, 10, 15, 24)] == [10, 7, 5, 5, 1]
    assert {step.shape for step in pace.ahead(10)} == {StepShape(4, 8)}
    assert {step.shape for step in pace.ahead(15)} == {StepShape(8, 8)}
    assert pace.shapes == (StepShape(4, 8), StepShape(8, 8))
    assert pace.expected_steps(3) == 25


def test_a_token_budget_is_spent_by_tokens_and_a_step_budget_by_steps():
    stages = [{"from_fraction": 0.5, "batch_size": 8}]
    by_tokens = steps_of(FixedPace(training(tokens=512, batch_size_stages=stages)), 12)
    # Eight steps of 32 tokens, then four of 64.
    assert by_tokens[8].spent_before == 0.5
    assert by_tokens[8].spent_after == 0.625
    by_steps = steps_of(FixedPace(training(steps=12, batch_size_stages=stages)), 12)
    assert by_steps[6].spent_before == 0.5
    assert by_steps[6].spent_after == 7 / 12


def test_of_many_steps_at_most_a_thousand_are_recorded():
    planned = steps_of(FixedPace(training(steps=2500)), 2500)
    recorded = [index for index, step in enumerate(planned, start=1) if step.is_recorded]
    assert recorded == [*range(3, 2500, 3), 2500]


class Spender:
    """Spends a budget of dollars on a clock that it turns itself."""

    def __init__(self, config, dollars, seconds_per_step, compile_seconds=0.0):
        self.clock = Clock(torch.device("cpu"))
        self.clock.seconds["compile"] = compile_seconds
        # At 3,600 dollars an hour a second costs a dollar.
        self.pace = DollarPace(config, dollars, 3600.0, self.clock)
        self.seconds_per_step = seconds_per_step
        for shape in self.pace.shapes:
            self.pace.timed(shape, seconds_per_step(0, shape))
        self.done = []

    def run(self):
        while not self.done or self.done[-1].spent_after < 1.0:
            self.chunk()
        return self.done

    def chunk(self):
        ahead = self.pace.ahead(len(self.done))
        seconds = 0.0
        for planned in ahead:
            seconds += self.seconds_per_step(len(self.done), planned.shape)
            self.done.append(planned)
        self.clock.seconds["train"] += seconds
        self.pace.timed(ahead[0].shape, seconds / len(ahead))


def test_steady_steps_spend_all_dollars_and_no_more():
    spender = Spender(training(dollars=9.0), 9.0, lambda *_: 0.125, compile_seconds=1.0)
    done = spender.run()
    assert len(done) == 64
    assert spender.clock.seconds["train"] == 8.0
    assert [step.spent_before for step in done] == pytest.approx([n / 64 for n in range(64)])
    assert done[-1].spent_after == 1.0
    assert all(step.is_recorded for step in done)


@pytest.mark.parametrize(
    "seconds",
    [
        lambda step, _: 0.1,
        lambda step, _: 0.1 + 0.001 * step,
        lambda step, _: 0.3 if step < 20 else 0.1,
        lambda step, _: 0.1 + 0.07 * (step % 3),
        lambda step, _: 5.0 if step == 30 else 0.1,
    ],
)
def test_whatever_steps_take_the_schedule_ends_with_the_money(seconds):
    spender = Spender(training(dollars=20.0), 20.0, seconds)
    done = spender.run()
    assert done[-1].spent_after == 1.0
    last = seconds(len(done) - 1, None)
    assert 20.0 - 2 * last <= spender.clock.seconds["train"] <= 20.0 + last


def test_steps_are_given_in_ever_smaller_numbers_towards_the_end():
    spender = Spender(training(dollars=2.0), 2.0, lambda *_: 0.125)
    sizes = []
    while not spender.done or spender.done[-1].spent_after < 1.0:
        before = len(spender.done)
        spender.chunk()
        sizes.append(len(spender.done) - before)
    assert sizes == [8, 4, 2, 1, 1]


def test_stages_begin_when_their_share_is_spent():
    stages = [{"from_fraction": 0.5, "batch_size": 8}]
    config = training(dollars=10.0, batch_size_stages=stages)
    done = Spender(config, 10.0, lambda _, shape: 0.03125 * shape.batch_size).run()
    # Forty steps of an eighth of a second, then twenty of a quarter.
    assert [step.shape.batch_size for step in done] == [4] * 40 + [8] * 20


def test_the_smaller_of_two_budgets_is_what_the_caller_gives():
    assert len(Spender(training(dollars=9.0), 4.0, lambda *_: 0.5).run()) == 8


def test_a_resumed_run_whose_money_is_gone_takes_one_last_step():
    spender = Spender(training(dollars=4.0), 4.0, lambda *_: 0.5)
    spender.clock.seconds["train"] = 4.25
    (last,) = spender.pace.ahead(9)
    assert (last.spent_before, last.spent_after) == (0.875, 1.0)
    assert spender.pace.expected_steps(9) == 10


def test_compiling_for_all_of_the_money_ends_the_run():
    spender = Spender(training(dollars=4.0), 4.0, lambda *_: 0.5, compile_seconds=4.0)
    with pytest.raises(BudgetExceeded, match=r"compiling for 4 s .* costs all of \$4"):
        spender.pace.ahead(0)


def test_of_many_steps_about_a_thousand_are_recorded():
    done = Spender(training(dollars=100.0), 100.0, lambda *_: 0.03125).run()
    assert len(done) == pytest.approx(3200, abs=1)
    assert 900 <= sum(step.is_recorded for step in done) <= 1000
