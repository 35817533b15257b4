"""A track: rules, budget and base config of one board."""

import re
from collections.abc import Iterable
from typing import Literal

from pydantic import AwareDatetime, Field

from core.schema.base import Config
from core.schema.experiment import ExperimentConfig
from core.schema.result import DataIdentity

GIB = 1024**3

Sharding = Literal["none", "full"]
"""What a process of a run on several devices holds: the whole model, or a share."""


class Budget(Config):
    """Upper bounds of a run; a bound that a track does not set is absent from its file."""

    training_flops_ratio: float | None = Field(default=None, gt=0.0)
    """Training FLOPs by `core.estimate`, as a multiple of the baseline's."""
    steps: int | None = Field(default=None, ge=1)
    """Optimizer steps."""
    cost_usd: float | None = Field(default=None, gt=0.0)
    """Dollars for compile and training time, at the track's prices."""
    memory_gib: float | None = Field(default=None, gt=0.0)
    """Memory of each device, in GiB; the runner enforces it on larger devices."""


class ReportedResult(Config):
    """Figures that somebody else published; shown, never ranked."""

    name: str
    """Who or what was measured."""
    source: str
    """Where it was published, and how it was measured."""
    device: str
    """The device that they name."""
    val_loss: float = Field(ge=0.0)
    """Validation loss, in nats per token."""
    val_accuracy: float = Field(ge=0.0, le=1.0)
    """Top-1 next-token accuracy."""
    val_perplexity: float = Field(ge=1.0)
    """exp of the validation loss."""
    total_seconds: float = Field(ge=0.0)
    """Wall time, evaluation and compilation included."""
    curve: tuple[tuple[int, float], ...] = ()
    """(step, validation loss) on the way."""


class TrackRules(Config):
    """The contents of `track.yaml`."""

    name: str = Field(pattern=r"^[a-z0-9_]{1,40}$")
    """Name of the folder under `baselines/`."""
    version: int = Field(ge=1)
    """Raised whenever results before and after must not be ranked together."""
    title: str = Field(max_length=80)
    """One line for the board."""
    description: str
    """What the track is for, in plain words."""
    primary_metric: Literal["val_loss"] = "val_loss"
    """The metric that ranks."""
    device: Literal["any", "cuda"]
    """What a worker must have."""
    budget: Budget
    """Bounds of a run."""
    open_settings: tuple[str, ...] = Field(min_length=1)
    """Dotted settings, or groups of them, that a submission may change."""
    expected_data: DataIdentity | None = None
    """The data as loaded, once a maintainer has pinned it; a run on other data is refused, or
    ranked on a board of its own where the worker reads a mirror."""
    first_seed: int = Field(ge=0, le=2**31)
    """Run n of an experiment has the seed first_seed + n, counted from 0."""
    baseline_runs: int = Field(default=5, ge=5, le=100)
    """Runs of the baseline, each with a seed of its own, that others are judged against."""
    max_devices: int = Field(default=1, ge=1, le=1024)
    """GPUs of one machine that a run may use at once; each costs its price."""
    sharding: Sharding = "none"
    """On several GPUs: the whole model on each (DDP), or a share of every parameter (FSDP2)."""
    prices_usd_per_hour: dict[str, float]
    """GPU model to hourly price, as of `prices_as_of`; `cpu` is a processor."""
    prices_as_of: AwareDatetime
    """When the price list was written."""
    reported_elsewhere: tuple[ReportedResult, ...] = ()
    """Published figures of others."""

    def is_open(self, path: str) -> bool:
        """Whether a submission may change the setting at a dotted path."""
        return any(
            path == setting or path.startswith(f"{setting}.") for setting in self.open_settings
        )

    def seed(self, index: int) -> int:
        """Seed of an experiment's run number `index`, counted from 0."""
        return self.first_seed + index

    def price_usd_per_hour(self, device_name: str) -> float | None:
        """Hourly price of a device, by `listed_price`."""
        return listed_price(self.prices_usd_per_hour, device_name)


class Track(Config):
    """A track with its base config resolved."""

    rules: TrackRules
    """`track.yaml`."""
    base: ExperimentConfig
    """`config.yaml`."""


def listed_price(prices_usd_per_hour: dict[str, float], device_name: str) -> float | None:
    """Hourly price of the listed model that a device is, by `listed_model`, or None."""
    model = listed_model(prices_usd_per_hour, device_name)
    return None if model is None else prices_usd_per_hour[model]


def listed_model(models: Iterable[str], device_name: str) -> str | None:
    """The model that is the longest part of `device_name`, or None.

    Whole words count: `H200` is part of `NVIDIA H200`, not of `NVIDIA GH200`.
    """
    found = [
        model
        for model in models
        if re.search(rf"\b{re.escape(model)}\b", device_name, re.IGNORECASE)
    ]
    return max(found, key=len, default=None)
