import pytest

from core.estimate.calibration import (
    DENSE_BFLOAT16_FLOPS,
    DENSE_FLOAT32_FLOPS,
    MEASURED_SPEEDS,
)
from core.estimate.flops import orthogonalisation_flops, training_flops_per_token
from core.estimate.speed import (
    LEAST_SPREAD,
    STEP_OVERHEAD_SECONDS,
    UNMEASURED_SPREAD,
    speed,
    step_work,
)
from core.schema.overrides import resolve
from core.tracks import load_tracks
from core.training_plan import StepShape, shapes

TRACKS = load_tracks()
BASE = TRACKS["gpu_24gb"].base


def config(point):
    return resolve(TRACKS[point.track].base, point.overrides)


@pytest.mark.parametrize("point", MEASURED_SPEEDS)
def test_a_measured_run_has_the_flops_of_its_config(point):
    experiment = config(point)
    (shape,) = shapes(experiment.training)
    training = training_flops_per_token(experiment.model, shape.sequence_length)
    update = orthogonalisation_flops(experiment.model, experiment.optimizer.muon)
    expected = shape.tokens * training + update
    assert point.flops_per_step == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("point", MEASURED_SPEEDS)
def test_a_measured_run_lies_in_its_range(point):
    experiment = config(point)
    (shape,) = shapes(experiment.training)
    found = speed(point.gpu, "bfloat16")
    assert found.is_measured
    seconds = found.step_seconds(step_work(experiment, shape))
    assert seconds / found.spread <= point.seconds_per_step <= seconds * found.spread


def test_an_unmeasured_gpu_is_scaled_by_its_rate_with_a_wide_spread():
    shares = {
        gpu: speed(gpu, "bfloat16").product_flops / DENSE_BFLOAT16_FLOPS[gpu]
        for gpu in ("H100", "H200", "RTX 3090", "RTX 4090")
    }
    # The mean of all measured runs is one share for all GPUs that nobody measured.
    assert shares["RTX 3090"] == pytest.approx(shares["RTX 4090"])
    low, high = sorted((shares["H100"], shares["H200"]))
    assert low < shares["RTX 4090"] < high
    measured, unmeasured = speed("H200", "bfloat16"), speed("RTX 4090", "bfloat16")
    assert (unmeasured.is_measured, unmeasured.spread) == (False, UNMEASURED_SPREAD)
    assert LEAST_SPREAD <= measured.spread < UNMEASURED_SPREAD


def test_float32_products_are_slower_and_unmeasured():
    found = speed("H200", "float32")
    assert found.product_flops < speed("H200", "bfloat16").product_flops
    assert not found.is_measured


def test_every_gpu_has_both_rates():
    assert DENSE_BFLOAT16_FLOPS.keys() == DENSE_FLOAT32_FLOPS.keys()


def test_a_step_pays_for_tokens_for_the_update_and_for_itself():
    found = speed("H200", "bfloat16")
    one = found.step_seconds(step_work(BASE, StepShape(16, 1024)))
    two = found.step_seconds(step_work(BASE, StepShape(32, 1024)))
    tokens = 16_384 * training_flops_per_token(BASE.model, 1024) / found.product_flops
    assert two - one == pytest.approx(tokens)
    update = orthogonalisation_flops(BASE.model, BASE.optimizer.muon) / found.product_flops
    assert one - tokens == pytest.approx(update + STEP_OVERHEAD_SECONDS)
