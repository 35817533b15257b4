"""Whether a config fits a track's budget, before anything runs."""

from collections.abc import Iterator

from core.estimate.cost import Estimate, estimate, planned_flops
from core.schema.experiment import ExperimentConfig
from core.schema.track import GIB, Track
from core.training_plan import plan, shapes


def budget_violations(track: Track, experiment: ExperimentConfig) -> list[str]:
    """Why an experiment does not fit a track's budget, and the remedies; empty if it does."""
    own = estimate(experiment, track.rules.prices_usd_per_hour)
    return [
        *_work_violations(track, experiment, own),
        *_memory_violations(track, own),
        *_cost_violations(track, experiment, own),
    ]


def _work_violations(track: Track, experiment: ExperimentConfig, own: Estimate) -> Iterator[str]:
    """Steps and FLOPs."""
    budget, training = track.rules.budget, experiment.training
    if training.dollars:
        if budget.steps is not None or budget.training_flops_ratio is not None:
            yield (
                f"training.dollars is {training.dollars:g}; the track bounds steps or FLOPs, and "
                "how many dollars buy depends on the GPU. Set training.dollars to 0 and "
                "training.tokens or training.steps instead."
            )
        return
    num_steps = plan(training).num_steps
    if budget.steps is not None and num_steps > budget.steps:
        yield (
            f"training takes {num_steps:,} steps; the track allows {budget.steps:,}. Lower "
            "training.tokens or training.steps, or take larger batches."
        )
    if budget.training_flops_ratio is not None:
        base = planned_flops(track.base)
        ratio = own.training_flops / base
        if ratio > budget.training_flops_ratio:
            # Fewer steps, or smaller ones where their number is the budget.
            may_read_less = track.rules.is_open("training.tokens") or training.steps
            remedy = " or train on fewer tokens" if may_read_less else " or sequences shorter"
            yield (
                f"training takes {own.training_flops:.3g} FLOPs, {ratio:.2f} × the baseline's "
                f"{base:.3g}; the track allows {budget.training_flops_ratio} ×. Make the model "
                f"smaller{remedy}."
            )


def _memory_violations(track: Track, own: Estimate) -> Iterator[str]:
    limit = track.rules.budget.memory_gib
    if limit is None or own.memory_bytes <= limit * GIB:
        return
    part, size = max(own.memory_parts.items(), key=lambda item: item[1])
    yield (
        f"training needs about {own.memory_bytes / GIB:.1f} GiB of device memory, of which "
        f"{part.replace('_', ' ')} take {size / GIB:.1f}; the track allows {limit:g} GiB. Raise "
        "training.gradient_accumulation_steps, or make the model or the batch smaller."
    )


def _cost_violations(track: Track, experiment: ExperimentConfig, own: Estimate) -> Iterator[str]:
    if experiment.training.dollars:
        yield from _dollar_violations(track, experiment, own)
        return
    limit = track.rules.budget.cost_usd
    if limit is None or not own.cost_usd:
        return
    gpu, cost = min(own.cost_usd.items(), key=lambda item: item[1])
    if cost > limit:
        remedy = "Train on fewer tokens, or make the model smaller"
        if track.rules.is_open("training.dollars"):
            remedy += f", or set training.dollars to {limit:g} and other budgets to 0"
        yield (
            f"training costs about ${cost:.2f} on the cheapest listed GPU ({gpu}); the track "
            f"allows ${limit:.2f}. {remedy}."
        )


def _dollar_violations(track: Track, experiment: ExperimentConfig, own: Estimate) -> Iterator[str]:
    """Why a budget in dollars cannot be spent."""
    limit, training = track.rules.budget.cost_usd, experiment.training
    if not any(price > 0 for price in track.rules.prices_usd_per_hour.values()):
        yield (
            f"training.dollars is {training.dollars:g}; the track lists no prices, so nobody "
            "knows what they buy. Set it to 0, and training.tokens or training.steps instead."
        )
    elif own.train_tokens and max(own.train_tokens.values()) < shapes(training)[0].tokens:
        yield (
            f"training.dollars is {training.dollars:g}, which does not pay for compilation and "
            "one step on any listed GPU. Raise it."
        )
    if limit is not None and training.dollars > limit:
        yield (
            f"training.dollars is {training.dollars:g}; the track allows {limit:g}. Set it to "
            f"{limit:g} or less."
        )
