import pytest
import torch

from core.errors import BudgetExceeded
from core.schema.job import RunSpec
from core.tracks import load_tracks
from core.train.budget import CostMeter
from core.train.clock import Clock

FIFTY = load_tracks()["fifty_cent"]


def meter(device_name, compile_seconds, train_seconds, eval_seconds=0.0):
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
    return CostMeter(spec, device_name, clock)


def test_compile_and_training_count_and_evaluation_does_not():
    # $0.50 at $0.40 an hour are 4,500 seconds.
    meter("NVIDIA GeForce RTX 4090", 500, 4000, 99_999).check()
    with pytest.raises(BudgetExceeded, match=r"\$0\.50 at \$0\.4 an hour; the track allows \$0\.5"):
        meter("NVIDIA GeForce RTX 4090", 501, 4000).check()


def test_a_device_without_a_price_cannot_run_a_track_that_bounds_dollars():
    with pytest.raises(BudgetExceeded, match="no price for 'Abacus'"):
        meter("Abacus", 0, 0).check()
