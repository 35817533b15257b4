"""How evenly the tokens of a step were spread over experts.

Shape suffixes: L layers with experts, E experts.
"""

from typing import NamedTuple

from torch import Tensor

IDLE_BELOW = 0.1
"""Part of an even share that an expert needs, not to count as idle."""


class ExpertLoad(NamedTuple):
    """Spread of one step's visits; nothing where all layers are dense."""

    max_violation: float | None = None
    """Visits to a layer's busiest expert over the mean of its experts, less 1 (MaxVio of a batch,
    arXiv:2408.15664); mean over layers. From 0, an even spread, to E - 1, one expert alone."""
    worst_max_violation: float | None = None
    """The same of the layer where it is largest."""
    idle_share: float | None = None
    """Part of the experts of all layers that got less than a tenth of their layer's mean."""


def expert_load(counts_LE: Tensor | None) -> ExpertLoad:
    """The spread of visits, of which a layer may have none; waits for the device.

    A layer whose tokens all went to zero-compute experts is spread evenly, over idle experts.
    """
    if counts_LE is None:
        return ExpertLoad()
    counts_LE = counts_LE.cpu().double()
    mean_L1 = counts_LE.mean(dim=1, keepdim=True)
    share_LE = counts_LE / mean_L1.where(mean_L1 > 0, 1.0)
    violation_L = (share_LE.amax(dim=1) - 1).clamp(min=0)
    idle_LE = share_LE < IDLE_BELOW
    return ExpertLoad(
        max_violation=violation_L.mean().item(),
        worst_max_violation=violation_L.max().item(),
        idle_share=idle_LE.double().mean().item(),
    )
