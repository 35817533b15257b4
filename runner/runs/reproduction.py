"""A run of the server trained again on this machine, and what comes out differently."""

from collections.abc import Iterator

from pydantic import computed_field

from core.schema.base import Message
from core.schema.job import RunSpec, RunStatus
from core.schema.result import DATA_PARTS, DataIdentity, Provenance, RunResult
from core.train.environment import RunEnvironment
from core.train.reporter import SilentReporter
from runner.api.client import AuthorClient
from runner.errors import NotFound, OtherData
from runner.execute import Train
from runner.launch import num_processes
from runner.runs.comparison import Figure, compared_figures
from runner.runs.local_run import LocalRun, train_here
from runner.runs.run_folder import RunFolder
from runner.terminal.display import Display


class Difference(Message):
    """Something that is not the same there and here."""

    name: str
    """What it is."""
    theirs: str
    """Value of the server's run; empty if it has none."""
    ours: str
    """Value of this machine; empty if it has none."""


class Reproduction(Message):
    """A run of the server beside the same run here."""

    run_id: str
    """Id of the run."""
    seed: int
    """Seed of both."""
    their_key: str
    """Comparability key of the server's run."""
    our_key: str
    """Comparability key of the data here."""
    data: tuple[Difference, ...]
    """Parts of the data that differ; none if both were trained and evaluated on the same."""
    circumstances: tuple[Difference, ...] = ()
    """Code, packages and machine that differ."""
    figures: tuple[Figure, ...] = ()
    """What both measured, the server's run first; none where the data differ."""

    @computed_field  # type: ignore[prop-decorator]
    @property
    def same_data(self) -> bool:
        """Whether both have one comparability key."""
        return self.their_key == self.our_key


def reproduce_run(
    client: AuthorClient,
    run_id: str,
    folder: RunFolder,
    environment: RunEnvironment,
    display: Display,
    train: Train,
) -> Reproduction:
    """Train a run of the server again as a local run, unless the data here differ.

    Raises:
        NotFound: there is no such run, or it has no result.
        DataUnavailable: the data cannot be read.
        RunnerError: as for `train_here`.
    """
    status = client.run(run_id).read(RunStatus)
    theirs, spec = _result(status), client.run_spec(run_id)
    identity = open_data_identity(spec, environment)
    before = _reproduction(spec, status, identity)
    if not before.same_data:
        return before
    processes = num_processes(spec, environment.device)
    # The run's own data count, whatever its track expects by now.
    run = LocalRun(spec.model_copy(update={"expected_data": None}), closed_settings=())
    ours = train_here(run, folder, environment, display, train, processes)
    after = _reproduction(spec, status, ours.provenance.data)
    circumstances = tuple(_circumstances(theirs.provenance, ours.provenance))
    figures = tuple(compared_figures([theirs, ours], [True, after.same_data]))
    return after.model_copy(update={"circumstances": circumstances, "figures": figures})


def open_data_identity(spec: RunSpec, environment: RunEnvironment) -> DataIdentity:
    """Hashes of the run's data as they are here."""
    from core.train.measurement import open_data

    return open_data(spec.experiment, environment, SilentReporter()).identity


def require_same_data(reproduction: Reproduction) -> None:
    """Refuse to take a run on other data for the same run.

    Raises:
        OtherData: names the parts that differ.
    """
    if reproduction.same_data:
        return
    parts = " and ".join(part.name for part in reproduction.data) or "the evaluation protocol"
    raise OtherData(
        f"Run {reproduction.run_id} cannot be reproduced here, because {parts} differ: its "
        f"comparability key is {reproduction.their_key}, here it is {reproduction.our_key}. Give "
        "the data that its worker had, by --mirror if need be, and take the same version of the "
        "project."
    )


def _result(status: RunStatus) -> RunResult:
    if status.result is None:
        raise NotFound(
            f"Run {status.run_id} has no result to reproduce: it is {status.state.value}."
        )
    return status.result


def _reproduction(spec: RunSpec, status: RunStatus, here: DataIdentity) -> Reproduction:
    there = _result(status).provenance.data
    their_key = there.comparability_key(spec.track, spec.track_version)
    return Reproduction(
        run_id=spec.run_id,
        seed=spec.seed,
        # The server's own, because the evaluation protocol may have changed since.
        their_key=status.comparability_key or their_key,
        our_key=here.comparability_key(spec.track, spec.track_version),
        data=tuple(_data_differences(there, here)),
    )


def _data_differences(there: DataIdentity, here: DataIdentity) -> Iterator[Difference]:
    for name, attributes in DATA_PARTS.items():
        theirs, ours = (
            " ".join(str(getattr(data, attribute)) for attribute in attributes)
            for data in (there, here)
        )
        if theirs != ours:
            yield Difference(name=name, theirs=theirs, ours=ours)


def _circumstances(there: Provenance, here: Provenance) -> Iterator[Difference]:
    theirs, ours = _described(there), _described(here)
    for name in dict.fromkeys([*theirs, *ours]):
        if theirs.get(name, "") != ours.get(name, ""):
            yield Difference(name=name, theirs=theirs.get(name, ""), ours=ours.get(name, ""))


def _described(provenance: Provenance) -> dict[str, str]:
    """All that may change the last digits, by name."""
    return {
        "code": provenance.code_commit,
        **provenance.packages,
        "python": provenance.python,
        "platform": provenance.platform,
        "device": provenance.devices,
        "driver": provenance.driver,
        "training step": "compiled" if provenance.compiled else "not compiled",
    }
