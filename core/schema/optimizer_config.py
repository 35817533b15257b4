"""Settings of Muon and AdamW, with their bounds and units."""

from typing import Literal

from pydantic import Field

from core.schema.base import Config


class MuonConfig(Config):
    """Muon, for hidden matrices and stacks of experts (kellerjordan.github.io/posts/muon)."""

    learning_rate: float = Field(default=0.04, gt=0.0, le=10.0)
    """Peak learning rate, before the factor sqrt(max(1, rows / columns))."""
    momentum: float = Field(default=0.95, ge=0.0, lt=1.0)
    """Decay of the momentum."""
    momentum_start: float = Field(default=0.85, ge=0.0, lt=1.0)
    """Decay of the momentum in the first step, if it is warmed up."""
    momentum_warmup_fraction: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Share of the budget over which the decay goes linearly from start to `momentum`."""
    nesterov: bool = True
    """Nesterov momentum."""
    newton_schulz_steps: int = Field(default=5, ge=1, le=20)
    """Iterations of the orthogonalisation."""
    coefficients: Literal["quintic", "polar_express"] = "quintic"
    """Polynomials of the iterations: one for all, or the best for each (arXiv:2505.16932)."""
    neuron_norm: bool = False
    """Divide each row of the update by its running RMS, its matrix norm kept (NorMuon,
    arXiv:2510.05491)."""
    neuron_norm_beta: float = Field(default=0.95, ge=0.0, lt=1.0)
    """Decay of the running mean square for `neuron_norm`."""
    weight_decay: float = Field(default=0.0, ge=0.0, le=10.0)
    """Decoupled weight decay, in units of the learning rate."""
    cautious_weight_decay: bool = False
    """Decay only weights whose update has their own sign (arXiv:2510.12402)."""


class AdamWConfig(Config):
    """AdamW (arXiv:1711.05101), for embeddings, head, norms, routers and scalars."""

    learning_rate: float = Field(default=0.006, gt=0.0, le=1.0)
    """Peak learning rate."""
    embedding_rate_ratio: float = Field(default=1.0, gt=0.0, le=100.0)
    """Learning rate of token and value embeddings, as a multiple."""
    head_rate_ratio: float = Field(default=1.0, gt=0.0, le=100.0)
    """Learning rate of an untied output matrix, as a multiple."""
    router_rate_ratio: float = Field(default=1.0, gt=0.0, le=100.0)
    """Learning rate of routers, as a multiple."""
    beta1: float = Field(default=0.9, ge=0.0, lt=1.0)
    """Decay of the first moment."""
    beta2: float = Field(default=0.999, ge=0.0, lt=1.0)
    """Decay of the second moment."""
    epsilon: float = Field(default=1e-8, gt=0.0, le=1.0)
    """Added to the root of the second moment."""
    weight_decay: float = Field(default=0.2, ge=0.0, le=10.0)
    """Decoupled weight decay, in units of the learning rate."""
    fused: bool = True
    """PyTorch's one-kernel step; without it one kernel for each operation."""


class OptimizerConfig(Config):
    """Muon and AdamW, each on its own parameters."""

    muon: MuonConfig = MuonConfig()
    """For hidden matrices."""
    adamw: AdamWConfig = AdamWConfig()
    """For everything else."""
    gradient_clip_norm: float = Field(default=1.0, gt=0.0, le=1e6)
    """Largest global L2 norm of the gradient; a larger one is scaled down to it."""
    ema_decay: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Decay in a step of a moving average of the weights, which is then what is evaluated; the
    decay is at most step / (step + 9). 0 evaluates the weights themselves."""
