"""One run on this machine, without a server."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from core.errors import CoreError, Interrupted, InvalidInput
from core.proposal import propose, read_submission
from core.schema.canonical import experiment_hash
from core.schema.experiment import ExperimentConfig
from core.schema.job import RunSpec
from core.schema.overrides import differences, resolve
from core.schema.problem import Problem
from core.schema.result import RunResult
from core.schema.track import Track
from core.tracks import find_track
from core.train.environment import RunEnvironment
from core.yaml_document import read_yaml
from runner.errors import RunFailed, RunStopped
from runner.execute import Train, failure_kind
from runner.input_file import read_submission_file
from runner.runs.mirror_file import read_mirror
from runner.runs.plot import plot_metrics
from runner.runs.reporter import BothReporter, DisplayReporter, FileReporter
from runner.runs.run_folder import RunFolder
from runner.runs.run_in_child import train_in_child
from runner.settings import RunnerSettings
from runner.stopping import StopRequest
from runner.terminal.display import Display
from runner.work.device import DeviceName

ParentConfig = Callable[[str], ExperimentConfig]

MAX_OVERRIDE_BYTES = 4096


@dataclass(frozen=True)
class LocalRun:
    """What will be trained here."""

    spec: RunSpec
    closed_settings: tuple[str, ...]
    """Changed settings that the track does not open, so that it would not rank the run."""


def plan_run(
    target: str,
    assignments: Sequence[str],
    seed: int | None,
    tracks: Mapping[str, Track],
    parent_config: ParentConfig,
) -> LocalRun:
    """Decide what to train.

    Args:
        target: a track's name, or a submission file.
        assignments: `dotted.setting=value`, the value as in YAML; any setting.
        seed: None takes the track's first seed.
        parent_config: gives the config of the submission that a file builds on.

    Raises:
        InvalidInput: unknown track, unknown settings, wrong values.
        NotFound: there is no such file.
    """
    if Path(target).suffix in (".yaml", ".yml"):
        document = read_submission(read_submission_file(Path(target)), tracks)
        built_on = document.submission.built_on
        parent = parent_config(built_on) if built_on else None
        proposal = propose(document, tracks, parent)
        track, base = proposal.track, proposal.experiment
    else:
        track = find_track(target, dict(tracks))
        base = track.base
    rules, experiment = track.rules, resolve(base, read_assignments(assignments))
    closed = [c.path for c in differences(track.base, experiment) if not rules.is_open(c.path)]
    chosen_seed = rules.first_seed if seed is None else seed
    identity = experiment_hash(rules.name, rules.version, experiment)
    spec = RunSpec(
        run_id=f"{rules.name}-{identity[:8]}-seed{chosen_seed}",
        track=rules.name,
        track_version=rules.version,
        experiment=experiment,
        seed=chosen_seed,
        budget=rules.budget,
        prices_usd_per_hour=rules.prices_usd_per_hour,
        max_devices=rules.max_devices,
        sharding=rules.sharding,
    )
    return LocalRun(spec, tuple(closed))


def read_assignments(assignments: Sequence[str]) -> dict[str, JsonValue]:
    """Overrides from `dotted.setting=value`.

    Raises:
        InvalidInput: an assignment without `=`, or a value that is not YAML.
    """
    overrides: dict[str, JsonValue] = {}
    for assignment in assignments:
        path, equals, value = assignment.partition("=")
        if not equals or not path:
            message = "must look like model.dropout=0.0: a setting, an equals sign, a value."
            raise InvalidInput([Problem(path=assignment, message=message)])
        document = read_yaml(f"{json.dumps(path)}: {value}", MAX_OVERRIDE_BYTES)
        overrides[path] = document.value[path]
    return overrides


def train_here(
    run: LocalRun,
    folder: RunFolder,
    environment: RunEnvironment,
    display: Display,
    train: Train,
    processes: int = 1,
) -> RunResult:
    """Train, or go on from the folder's checkpoint, and leave result, metrics and plots there.

    A folder that already has the run's result is only read.

    Args:
        processes: one trains here by `train`; several train as a worker's child does.

    Raises:
        OtherRun: the folder belongs to another run.
        FolderInUse: another process trains in it.
        RunStopped: SIGTERM or Ctrl-C; a checkpoint was written.
        RunFailed: the run ended without a result.
        InvalidInput: the config does not fit the data.
    """
    with folder.lock():
        folder.prepare(run.spec, environment)
        result = folder.result()
        if result is None and processes == 1:
            result = _train(run.spec, folder, environment, display, train)
            folder.write_result(result)
    if result is None:
        # The processes hold the folder themselves.
        result = train_in_child(folder, display)
    plot_metrics(folder.metrics(), folder.path)
    return result


def _train(
    spec: RunSpec,
    folder: RunFolder,
    environment: RunEnvironment,
    display: Display,
    train: Train,
) -> RunResult:
    stop = StopRequest()
    stop.listen(second_raises=True)
    with FileReporter(folder, stop) as files, display:
        reporter = BothReporter(files, DisplayReporter(display, spec.run_id))
        try:
            return train(spec, folder.path, environment, reporter)
        except Interrupted as error:
            raise RunStopped(f"{error}. The same command goes on from there.") from error
        except InvalidInput:
            raise
        except (CoreError, MemoryError) as error:
            kind = failure_kind(error)
            folder.write_failure(kind, str(error))
            raise RunFailed(f"{kind}: {str(error).rstrip('.')}. {kind.advice}") from error


def local_environment(
    settings: RunnerSettings, mirror: Path | None, device: DeviceName
) -> RunEnvironment:
    """Where runs of this machine take place.

    Raises:
        InvalidInput: the mirror file cannot be read.
    """
    return RunEnvironment(
        cache_directory=settings.cache_directory,
        mirror=read_mirror(mirror or settings.mirror),
        device=device,
    )
