"""Measured training times, from which the speed of each GPU is estimated."""

from collections.abc import Mapping
from typing import NamedTuple

from pydantic import JsonValue

DENSE_BFLOAT16_FLOPS = {
    "RTX 3090": 71e12,
    "RTX 4090": 165e12,
    "A100": 312e12,
    "H100": 989e12,
    "H200": 989e12,
}
"""Vendors' dense bfloat16 matrix rates with float32 accumulation, in FLOP/s."""
DENSE_FLOAT32_FLOPS = {
    "RTX 3090": 36e12,
    "RTX 4090": 83e12,
    "A100": 19.5e12,
    "H100": 67e12,
    "H200": 67e12,
}
"""Vendors' float32 rates, without TF32, in FLOP/s."""


class MeasuredSpeed(NamedTuple):
    """The training time of one run."""

    gpu: str
    """Name in the price lists."""
    track: str
    """Whose base config was run."""
    overrides: Mapping[str, JsonValue]
    """What was changed in it."""
    flops_per_step: float
    """By `core.estimate.flops`: training, and Muon's orthogonalisation."""
    seconds_per_step: float
    """Training seconds over optimizer steps."""
    source: str
    """Where it is recorded."""


_RECORDED = "docs/measurement.md, Speed, 2026-11-22"
_ON_H100 = "docs/measurement.md, Speed, 2026-11-25"

_NO_CHANCE: dict[str, JsonValue] = {
    "model.dropout": 0.0,
    "model.feed_forward.router_noise": 0.0,
}
_SIX_LAYERS: dict[str, JsonValue] = {
    "model.num_layers": 6,
    "model.dropout": 0.0,
    "model.logit_soft_cap": 15.0,
    "model.token_smearing": True,
    "model.embedding_mix": True,
    "model.skip_connections": True,
    "model.attention": {
        "num_heads": 4,
        "qk_norm": True,
        "document_masking": True,
        "output_gate": "head",
    },
    "optimizer.muon.neuron_norm": True,
    "optimizer.muon.coefficients": "polar_express",
}

MEASURED_SPEEDS = (
    MeasuredSpeed("H200", "gpu_24gb", {}, 8.1318e12, 0.02503, _RECORDED),
    MeasuredSpeed("H200", "gpu_24gb", _NO_CHANCE, 8.1318e12, 0.02268, _RECORDED),
    MeasuredSpeed("H200", "h100_3b", _NO_CHANCE, 3.7582e14, 0.9342, _RECORDED),
    MeasuredSpeed("H100", "gpu_24gb", {}, 8.1318e12, 0.02472, _ON_H100),
    MeasuredSpeed("H100", "gpu_24gb", _SIX_LAYERS, 6.8523e12, 0.02160, _ON_H100),
)
"""Bfloat16 runs; another one, with its GPU, refines the estimate by itself."""
COMPILE_SECONDS = 30.0
"""Of a run: 6 to 55 s were measured, the first run of a config being the slowest."""
