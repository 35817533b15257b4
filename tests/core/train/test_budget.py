import pytest
import torch

from core.errors import BudgetExceeded, InvalidInput
from core.schema.job import RunSpec
from core.schema.overrides import resolve
from core.schema.track import Budget
from core.tracks import load_tracks
from core.train.budget import CostMeter, build_pace
from core.train.clock import Clock
from core.train.pace import FixedPace

FIFTY = load_tracks()["fifty_cent"]


def meter(device_name, compile_seconds, train_seconds, eval_seconds=0.0, num_devices=1):
    spec = RunSpec(
        run_id="r_1",
        track="fifty_cent",
        track_version=1,
        experiment=FIFTY.base,
        seed=1,
        budget=FIFTY.rules.budget,
        prices_usd_per_hour={"RTX 4090": 0.4},
    )
    clock = Clock(torch.device("cpu"))
    clock.seconds |= {"compile": compile_seconds, "train": train_seconds, "eval": eval_seconds}
    return CostMeter(spec, device_name, clock, num_devices)


def test_compile_and_training_count_and_evaluation_does_not():
    # $0.50 at $0.40 an hour are 4,500 seconds.
    meter("NVIDIA GeForce RTX 4090", 500, 4000, 99_999).check()
    with pytest.raises(BudgetExceeded, match=r"\$0\.50 at \$0\.4 an hour; the track allows \$0\.5"):
        meter("NVIDIA GeForce RTX 4090", 501, 4000).check()


def test_every_device_is_paid_for():
    # $0.50 at $0.40 an hour are 1,125 seconds of four devices.
    meter("NVIDIA GeForce RTX 4090", 125, 1000, num_devices=4).check()
    with pytest.raises(BudgetExceeded, match=r"\$0\.4 an hour for each of 4; the track allows"):
        meter("NVIDIA GeForce RTX 4090", 126, 1000, num_devices=4).check()


def test_a_device_without_a_price_cannot_run_a_track_that_bounds_dollars():
    with pytest.raises(BudgetExceeded, match="no price for 'Abacus'"):
        meter("Abacus", 0, 0).check()


def in_dollars(dollars, cost_usd, device_name="NVIDIA GeForce RTX 4090", num_devices=1):
    """A run of 3,600 seconds of compiling, in dollars at $0.40 an hour, and its pace."""
    spec = RunSpec(
        run_id="r_1",
        track="fifty_cent",
        track_version=1,
        experiment=resolve(FIFTY.base, {"training.tokens": 0, "training.dollars": dollars}),
        seed=1,
        budget=Budget(cost_usd=cost_usd),
        prices_usd_per_hour={"RTX 4090": 0.4},
    )
    clock = Clock(torch.device("cpu"))
    clock.seconds["compile"] = 3600.0
    return spec, clock, build_pace(spec, device_name, clock, num_devices)


@pytest.mark.parametrize(
    ("dollars", "cost_usd", "num_devices", "hours"),
    [(2.0, None, 1, 4.0), (2.0, 1.2, 1, 2.0), (2.0, 4.0, 1, 4.0), (4.0, None, 2, 4.0)],
)
def test_dollars_buy_hours_up_to_the_smaller_budget(dollars, cost_usd, num_devices, hours):
    _, _, pace = in_dollars(dollars, cost_usd, num_devices=num_devices)
    (shape,) = pace.shapes
    pace.timed(shape, 36.0)
    # Steps of a hundredth of an hour; one hour of the budget went into compiling.
    assert pace.expected_steps(0) == pytest.approx(hours * 100, abs=1)


def test_dollars_cannot_be_counted_on_a_device_without_a_price():
    with pytest.raises(InvalidInput, match=r"training\.dollars: .*no price for 'Abacus'.*RTX 4090"):
        in_dollars(2.0, None, device_name="Abacus")


def test_a_budget_in_dollars_is_not_ended_a_second_time_by_the_track():
    spec, clock, _ = in_dollars(0.5, 0.5)
    clock.seconds["train"] = 901.0
    CostMeter(spec, "NVIDIA GeForce RTX 4090", clock).check()


def test_a_budget_of_tokens_has_a_fixed_pace():
    spec, clock, _ = in_dollars(0.5, 0.5)
    fixed = spec.model_copy(update={"experiment": FIFTY.base})
    assert isinstance(build_pace(fixed, "Abacus", clock), FixedPace)
