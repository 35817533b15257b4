"""What training must know about a stored run."""

from core.schema.job import RunSpec
from core.schema.track import Track
from server.experiments import stored_config
from server.tables import Experiment, Run


def run_spec(run: Run, experiment: Experiment, track: Track) -> RunSpec:
    """The run under its track's present bounds, with the track's base config as its anchor.

    Raises:
        ValidationError: an earlier version accepted the config, and this one cannot read it.
    """
    rules = track.rules
    return RunSpec(
        run_id=run.id,
        track=experiment.track,
        track_version=experiment.track_version,
        experiment=stored_config(experiment),
        seed=run.seed,
        budget=rules.budget,
        prices_usd_per_hour=rules.prices_usd_per_hour,
        max_devices=rules.max_devices,
        sharding=rules.sharding,
        expected_data=rules.expected_data,
        anchor=track.base,
    )
