"""Which measurements the speed benchmark takes, in which order, and how large each is."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import JsonValue

from benchmarks.measurement import (
    Computation,
    DataRequest,
    MachineRequest,
    ProcessorRequest,
    RunRequest,
    Work,
)
from benchmarks.speed_rows import ROWS, fast_name, loss_name, race_name
from core.tracks import load_tracks
from core.yaml_document import read_yaml_file


class Scale(NamedTuple):
    """How much is measured."""

    track: str
    device: Literal["auto", "cuda"]
    """`auto` takes a processor where there is no CUDA device."""
    steps: int | None
    """Of a full run; None for the track's own."""
    short_steps: int
    """Of runs whose speed or compilation alone counts."""
    matrix_size: int
    num_documents: int | None
    """None for the track's own number."""
    race: Path | None
    """Changes to the track's config; None for none."""
    processor_steps: int
    processor_rounds: int


RACE = Path(__file__).with_name("eight_seconds.yaml")
MAX_RACE_BYTES = 10_000
FULL = Scale("gpu_24gb", "cuda", None, 30, 8192, None, RACE, 60, 3)
QUICK = Scale("debug", "auto", 4, 2, 256, 50, None, 2, 1)
"""Shows within a minute, on any machine, that everything runs; its figures mean nothing."""


class Group(NamedTuple):
    """Measurements that run side by side."""

    works: Mapping[str, Work]
    """By name."""
    is_background: bool
    """Whether the groups after it start before it is done."""


def plan(
    scale: Scale, rows: Sequence[str], num_seeds: int, mirror: Path | None, cache: Path
) -> list[Group]:
    """The measurements that the rows need, group after group.

    What is timed on the GPU has it for itself. The full runs of the reference path, of which the
    loss alone counts, share it, while the last groups use the processor.

    Args:
        cache: folder for token files.
    """
    needed = {name for row in rows for name in ROWS[row].needs(num_seeds)}
    if "second run" in needed:
        needed.add(fast_name(0))
    runs = _Runs(scale, mirror, cache)
    processor = ProcessorRequest(
        steps=scale.processor_steps, rounds=scale.processor_rounds, cache_directory=cache
    )
    data = DataRequest(track=scale.track, num_documents=scale.num_documents, mirror=mirror)
    groups = [
        Group({"machine": MachineRequest(size=scale.matrix_size)}, False),
        Group({fast_name(0): runs.full(0, "fast")}, False),
        Group({"second run": runs.short("fast", has_tasks=True)}, False),
        Group({"reference speed": runs.short("reference")}, False),
        Group({"triton": runs.short("triton")}, False),
        Group({fast_name(index): runs.full(index, "fast") for index in range(1, num_seeds)}, False),
        *(Group({race_name(index): runs.race(index)}, False) for index in range(num_seeds)),
        Group(
            {loss_name(index): runs.full(index, "reference") for index in range(num_seeds)}, True
        ),
        Group({"data": data}, False),
        Group({"processor": processor}, False),
    ]
    chosen = [
        group._replace(works={n: w for n, w in group.works.items() if n in needed})
        for group in groups
    ]
    return [group for group in chosen if group.works]


class _Runs:
    """Requests for runs of a scale."""

    def __init__(self, scale: Scale, mirror: Path | None, cache: Path) -> None:
        self._scale = scale
        self._mirror = mirror
        self._cache = cache
        self._rules = load_tracks()[scale.track].rules

    def full(self, seed_index: int, computation: Computation) -> RunRequest:
        """A run of all steps with one validation, at the end, and no tasks."""
        return self._request(seed_index, computation, self._scale.steps, has_tasks=False)

    def race(self, seed_index: int) -> RunRequest:
        """The shortest run known to reach the reference's loss."""
        request = self.full(seed_index, "fast")
        if self._scale.race is None:
            return request
        changes = read_yaml_file(self._scale.race, MAX_RACE_BYTES).value
        return request.model_copy(update={"overrides": {**request.overrides, **changes}})

    def short(self, computation: Computation, has_tasks: bool = False) -> RunRequest:
        """A run of few steps, and one validation."""
        return self._request(0, computation, self._scale.short_steps, has_tasks)

    def _request(
        self, seed_index: int, computation: Computation, steps: int | None, has_tasks: bool
    ) -> RunRequest:
        overrides: dict[str, JsonValue] = {"evaluation.interval_steps": 1_000_000}
        if steps is not None:
            overrides |= {"training.tokens": 0, "training.steps": steps}
        if not has_tasks:
            overrides["evaluation.tasks"] = []
        return RunRequest(
            track=self._scale.track,
            overrides=overrides,
            seed=self._rules.seed(seed_index),
            computation=computation,
            mirror=self._mirror,
            cache_directory=self._cache,
            device=self._scale.device,
        )
