"""What training must know about a stored run."""

from core.schema.experiment import ExperimentConfig
from core.schema.job import RunSpec
from core.schema.track import Track


def run_spec(
    run_id: str, seed: int, track_version: int, config: ExperimentConfig, track: Track
) -> RunSpec:
    """The run under its track's present bounds, with the track's base config as its anchor."""
    rules = track.rules
    return RunSpec(
        run_id=run_id,
        track=rules.name,
        track_version=track_version,
        experiment=config,
        seed=seed,
        budget=rules.budget,
        prices_usd_per_hour=rules.prices_usd_per_hour,
        max_devices=rules.max_devices,
        sharding=rules.sharding,
        expected_data=rules.expected_data,
        anchor=track.base,
    )
