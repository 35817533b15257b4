"""How often verdicts err, and what they cost: `python -m benchmarks.verdicts`.

Prints tables in Markdown from made-up experiments with normal noise. docs/verdicts.md says what
they mean.
"""

import math
from collections.abc import Iterable
from dataclasses import replace
from statistics import fmean
from typing import Annotated

import numpy as np
import typer

from benchmarks.verdict_boards import Entry, fill_boards, no_gains, usual_gains
from benchmarks.verdict_trials import (
    DEVIATION,
    OTHER_RUNS,
    Flags,
    Moment,
    Trials,
    Verdicts,
    World,
    draw,
    escalate,
    judge_at,
    judge_trials,
)
from server.verdict.judge import Verdict
from server.verdict.looks import LOOKS

GAINS = (0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0)
"""True gains, in deviations of a run."""
RATIOS = (1.0, 2.0, 4.0, 10.0)
"""How many times the board's deviation an experiment's runs may have."""
BOARD_SIZE = 100
"""Submissions of a board."""


def main(
    experiments: Annotated[int, typer.Option(min=100, help="Experiments of each row.")] = 10_000,
    seed: Annotated[int, typer.Option(min=0, help="Of the made-up losses.")] = 0,
) -> None:
    """Simulate verdicts: false ones, those found, and what they cost."""
    rng = np.random.default_rng(seed)
    num_boards = max(experiments // BOARD_SIZE, 1)
    typer.echo("Verdicts on experiments that equal the baseline\n")
    _print_false(experiments, rng)
    typer.echo("\nThe same, of boards that share one baseline\n")
    _print_shared(num_boards, rng)
    typer.echo("\nShare of true gains found better\n")
    _print_power(experiments, rng)
    typer.echo("\nRuns\n")
    _print_cost(num_boards, rng)
    typer.echo("\nNoisier experiments that equal the baseline, found better\n")
    _print_noisier(experiments, rng)


def _print_false(num_trials: int, rng: np.random.Generator) -> None:
    _print_row(
        "baseline runs", "noise from", "noise", "runs", "better", "worse", "either, noisy ones"
    )
    _print_rule(7)
    for world in _worlds():
        noise = "one in ten doubled" if world.is_uneven else "even"
        cells = (str(world.num_baseline_runs), _pool_name(world), noise)
        trials = draw(world, 0.0, num_trials, LOOKS[-1], rng)
        _print_errors((*cells, "as asked for, to 5"), trials, escalate(trials))
        every = judge_at(trials, map(Moment, LOOKS))
        _print_errors((*cells, "80, at every look"), trials, every)
    _print_growing(num_trials, rng)


def _print_growing(num_trials: int, rng: np.random.Generator) -> None:
    """Experiments that are judged again whenever their board has grown."""
    trials = draw(World(40, OTHER_RUNS), 0.0, num_trials, 5, rng)
    looks, every = (5, 10, 20, 40), range(5, 41)
    for name, counts in (("5, 6, 7, … 40", every), ("5, 10, 20, 40", looks)):
        for pool, num_others in (("itself", 0), ("20 others", 20)):
            moments = [Moment(look, count, num_others) for look in (1, 3, 5) for count in counts]
            cells = (name, pool, "even", "1, 3, 5 at each")
            _print_errors(cells, trials, judge_at(trials, moments))
    moments = [Moment(look, 5, 0) for look in (1, 3, 5)]
    moments += [Moment(5, 5, num_others) for num_others in (5, 10, 20)]
    moments += [Moment(5, count, 20) for count in looks]
    cells = ("5, 10, 20, 40", "0, 5, 10, 20 others", "even", "1, 3, then 5")
    _print_errors(cells, trials, judge_at(trials, moments))


def _worlds() -> Iterable[World]:
    for is_uneven in (False, True):
        for num_baseline_runs in (5, 10):
            for other_runs in ((), OTHER_RUNS):
                yield World(num_baseline_runs, other_runs, is_uneven)


def _pool_name(world: World) -> str:
    return f"{len(world.other_runs)} others" if world.other_runs else "itself"


def _print_errors(cells: tuple[str, ...], trials: Trials, verdicts: Verdicts) -> None:
    noisy = (verdicts.better | verdicts.worse)[trials.noisy]
    _print_row(
        *cells,
        _rate(verdicts.better),
        _rate(verdicts.worse),
        _percent(noisy.mean()) if len(noisy) else "",
    )


def _print_shared(num_boards: int, rng: np.random.Generator) -> None:
    _print_row("baseline runs", "better", "worse", "worst board, better", "worst board, worse")
    _print_rule(5)
    for num_baseline_runs in (5, 10):
        boards = fill_boards(no_gains, num_boards, BOARD_SIZE, num_baseline_runs, rng)
        cells = []
        worst = []
        for verdict in (Verdict.BETTER, Verdict.WORSE):
            counts = [sum(verdict in entry.said for entry in board) for board in boards]
            cells.append(_percent(fmean(counts) / BOARD_SIZE, 2))
            worst.append(f"{max(counts)} of {BOARD_SIZE}")
        _print_row(str(num_baseline_runs), *cells, *worst)


def _print_power(num_trials: int, rng: np.random.Generator) -> None:
    _print_row("baseline runs", "noise from", "runs", *(f"{gain:g} σ" for gain in GAINS))
    _print_rule(3 + len(GAINS))
    for world in (world for world in _worlds() if not world.is_uneven):
        drawn = [draw(world, gain * DEVIATION, num_trials, 5, rng) for gain in GAINS]
        cells = (str(world.num_baseline_runs), _pool_name(world))
        one, three, five = (
            [judge_trials(trials, Moment(look)).better for trials in drawn] for look in (1, 3, 5)
        )
        rows = {
            "1": one,
            "3": three,
            "1, but not 3": [first & ~then for first, then in zip(one, three, strict=True)],
            "5": five,
            "as asked for": [escalate(trials).better_last for trials in drawn],
        }
        for name, found in rows.items():
            _print_row(*cells, name, *(_percent(flags.mean()) for flags in found))


def _print_cost(num_boards: int, rng: np.random.Generator) -> None:
    _print_row("submissions", "baseline runs", "runs each", "of five", "found", "found with five")
    _print_rule(6)
    for name, gains in (("no gain", no_gains), ("usual", usual_gains)):
        for num_baseline_runs in (5, 10):
            boards = fill_boards(gains, num_boards, BOARD_SIZE, num_baseline_runs, rng)
            entries = [entry for board in boards for entry in board]
            runs = fmean(entry.num_runs for entry in entries)
            _print_row(
                name, str(num_baseline_runs), f"{runs:.2f}", _percent(runs / 5, 0), *_found(entries)
            )


def _print_noisier(num_trials: int, rng: np.random.Generator) -> None:
    _print_row("baseline runs", "noise", "1", "3", "5", "as asked for")
    _print_rule(6)
    for num_baseline_runs in (5, 10):
        for ratio in RATIOS:
            even = draw(World(num_baseline_runs, OTHER_RUNS), 0.0, num_trials, 5, rng)
            trials = replace(even, losses=even.losses * ratio)
            found = [judge_trials(trials, Moment(look)).better for look in (1, 3, 5)]
            found.append(escalate(trials).better_last)
            _print_row(str(num_baseline_runs), f"× {ratio:g}", *map(_rate, found))


def _found(entries: list[Entry]) -> tuple[str, str]:
    """Of the gains of two deviations and more, those found better."""
    gains = [entry for entry in entries if entry.gain >= 2]
    if not gains:
        return "", ""
    asked = fmean(entry.verdict is Verdict.BETTER for entry in gains)
    always = fmean(entry.verdict_of_five is Verdict.BETTER for entry in gains)
    return _percent(asked), _percent(always)


def _rate(flags: Flags) -> str:
    """A share with its standard error."""
    share = float(flags.mean())
    error = math.sqrt(share * (1 - share) / len(flags))
    return f"{share * 100:.2f} ± {error * 100:.2f} %"


def _percent(share: float, digits: int = 1) -> str:
    return f"{share * 100:.{digits}f} %"


def _print_row(*cells: str) -> None:
    typer.echo("| " + " | ".join(cells) + " |")


def _print_rule(num_columns: int) -> None:
    _print_row(*["---"] * num_columns)


if __name__ == "__main__":
    typer.run(main)
