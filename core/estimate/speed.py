"""How fast a GPU trains: FLOPs over a share of its vendor's rate, and time that each step costs.

The share is what measured runs reached. A GPU without one is taken to reach the same share as
the measured ones, with a wide spread.
"""

from collections.abc import Sequence
from functools import cache
from statistics import geometric_mean
from typing import NamedTuple

from core.estimate.calibration import (
    DENSE_BFLOAT16_FLOPS,
    DENSE_FLOAT32_FLOPS,
    MEASURED_SPEEDS,
    MeasuredSpeed,
)
from core.estimate.flops import orthogonalisation_flops, training_flops_per_token
from core.schema.experiment import ExperimentConfig
from core.training_plan import StepShape

STEP_OVERHEAD_SECONDS = 0.002
"""Of each step: launching kernels, and the updates' traffic of weights and states."""
LEAST_SPREAD = 1.15
"""Factor either way for a measured GPU: other configs than the measured ones differ by that."""
UNMEASURED_SPREAD = 1.6
"""Factor either way for a GPU, or a number format, that nobody has measured."""
FLOAT32_UTILISATION = 0.5
"""Share of the float32 rate; an assumption."""


class StepWork(NamedTuple):
    """FLOPs of one optimizer step."""

    training_flops: float
    """Forward and backward pass, in the number format of the training precision."""
    update_flops: float
    """Muon's orthogonalisation, in that format too."""


def step_work(experiment: ExperimentConfig, shape: StepShape) -> StepWork:
    """Count the FLOPs of a step."""
    model, muon = experiment.model, experiment.optimizer.muon
    return StepWork(
        shape.tokens * training_flops_per_token(model, shape.sequence_length),
        orthogonalisation_flops(model, muon),
    )


class Speed(NamedTuple):
    """What a GPU does in a second of training."""

    product_flops: float
    """FLOP/s of products in the training's number format, all that surrounds them included."""
    spread: float
    """Times are between time / spread and time × spread."""
    is_measured: bool
    """Whether runs on this GPU were measured."""

    def step_seconds(self, work: StepWork) -> float:
        """Seconds of one optimizer step."""
        flops = work.training_flops + work.update_flops
        return flops / self.product_flops + STEP_OVERHEAD_SECONDS


def is_known(gpu: str) -> bool:
    """Whether there is a rate for a GPU of that name."""
    return gpu in DENSE_BFLOAT16_FLOPS


def speed(gpu: str, precision: str) -> Speed:
    """Speed of a known GPU."""
    if precision == "float32":
        product_flops = DENSE_FLOAT32_FLOPS[gpu] * FLOAT32_UTILISATION
        return Speed(product_flops, UNMEASURED_SPREAD, is_measured=False)
    share = _utilisation(gpu)
    return Speed(DENSE_BFLOAT16_FLOPS[gpu] * share.mean, share.spread, share.is_measured)


class _Utilisation(NamedTuple):
    mean: float
    spread: float
    is_measured: bool


@cache
def _utilisation(gpu: str) -> _Utilisation:
    own = [_reached(point) for point in MEASURED_SPEEDS if point.gpu == gpu]
    if not own:
        mean = geometric_mean([_reached(point) for point in MEASURED_SPEEDS])
        return _Utilisation(mean, UNMEASURED_SPREAD, is_measured=False)
    mean = geometric_mean(own)
    return _Utilisation(mean, _spread(own, mean), is_measured=True)


def _reached(point: MeasuredSpeed) -> float:
    """Share of the vendor's rate that a run reached."""
    seconds = point.seconds_per_step - STEP_OVERHEAD_SECONDS
    return point.flops_per_step / seconds / DENSE_BFLOAT16_FLOPS[point.gpu]


def _spread(shares: Sequence[float], mean: float) -> float:
    """Factor within which all measured shares lie, or the least there is."""
    return max(LEAST_SPREAD, max(shares) / mean, mean / min(shares))
