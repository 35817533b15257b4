"""What a run is said to have measured: a loss that follows from its settings and its seed."""

import math
import random
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from core.schema.job import JobOffer, RunSpec
from core.schema.metric_point import MetricPoint
from core.schema.overrides import differences
from core.schema.result import Anchor, Provenance, RunResult, TaskScore, Timing
from core.schema.right_bits import pack_right

STEPS, STEP_TOKENS = 250, 1024
EVERY_STEPS, VALIDATION_STEPS = 5, 50
FIRST_LOSS, BASELINE_LOSS = 6.9, 1.93
DEVIATION = 0.006
COMMIT = "4f1c0d9a" * 5
NUM_QUESTIONS = 200
BASELINE_SPEED = 1_200.0
"""Tokens a second."""


class Effect(NamedTuple):
    """What a setting does, whatever the others are."""

    loss: float = 0.0
    """Nats that it adds."""
    seconds: float = 1.0
    """What it multiplies the training time by."""


EFFECTS: Mapping[str, Effect] = {
    "model.attention.qk_norm": Effect(-0.046, 1.12),
    "model.feed_forward.activation": Effect(-0.021, 0.93),
    "model.dropout": Effect(0.064, 1.02),
    "model.token_smearing": Effect(-0.013, 1.21),
    "model.zero_init_projections": Effect(-0.028),
    "model.logit_soft_cap": Effect(-0.004, 1.01),
    "model.embedding_mix": Effect(-0.012, 1.06),
    "model.norm_placement": Effect(0.002, 1.16),
    "optimizer.muon.learning_rate": Effect(0.011),
    "optimizer.muon.neuron_norm": Effect(-0.017, 1.35),
    "schedule.warmup_fraction": Effect(0.004),
}


def final_loss(spec: RunSpec) -> float:
    """The validation loss at the end."""
    return BASELINE_LOSS + _total(spec) + _chance(spec).gauss(0.0, DEVIATION)


def curve(spec: RunSpec, until: int = STEPS) -> list[MetricPoint]:
    """Metric points up to a step."""
    end, chance = final_loss(spec), _chance(spec)
    steps = range(EVERY_STEPS, until + 1, EVERY_STEPS)
    return [_point(step, end, chance) for step in steps]


def result(offer: JobOffer, device: str) -> RunResult:
    """The result, measured on the track's own data."""
    spec, data = offer.run, offer.run.expected_data
    assert data is not None
    loss = final_loss(spec)
    seconds = STEPS * STEP_TOKENS / BASELINE_SPEED * _slowness(spec)
    share = round(NUM_QUESTIONS * (0.95 - 0.25 * loss)) / NUM_QUESTIONS
    chance = _chance(spec)
    right = set(chance.sample(range(NUM_QUESTIONS), round(NUM_QUESTIONS * share)))
    task = TaskScore(
        name="synthetic_world",
        num_questions=NUM_QUESTIONS,
        acc=share,
        acc_norm=share,
        right=pack_right([number in right for number in range(NUM_QUESTIONS)]),
    )
    speed = STEPS * STEP_TOKENS / seconds
    return RunResult(
        seed=spec.seed,
        steps=STEPS,
        tokens=STEPS * STEP_TOKENS,
        stopped_early=False,
        val_loss=loss,
        val_accuracy=_accuracy(loss),
        val_bpb=loss * 0.3613,
        tasks=(task,),
        timing=Timing(
            data_seconds=0.6, compile_seconds=5.8, train_seconds=seconds, eval_seconds=1.9
        ),
        tokens_per_second=speed,
        peak_memory_bytes=round(7.4e8 * _slowness(spec)),
        num_parameters=1_311_872,
        provenance=Provenance(
            code_commit=COMMIT,
            packages={"torch": "2.13.0"},
            python="3.12.4",
            platform="Linux x86_64",
            device=device,
            driver="",
            compiled=True,
            data=data,
        ),
        anchor=Anchor(
            tokens_per_second=BASELINE_SPEED,
            device=device,
            driver="",
            torch="2.13.0",
            code_commit=COMMIT,
            measured_at=datetime(2026, 11, 1, tzinfo=UTC),
        ),
    )


def _point(step: int, end: float, chance: random.Random) -> MetricPoint:
    loss = end + (FIRST_LOSS - end) * (1.0 - step / STEPS) ** 2 / (1.0 + step / 25)
    is_validated = step % VALIDATION_STEPS == 0
    rate = min(step / 12, 1.0) * (1.0 - 0.9 * step / STEPS)
    return MetricPoint(
        step=step,
        tokens=step * STEP_TOKENS,
        train_seconds=step * STEP_TOKENS / BASELINE_SPEED,
        train_loss=loss + chance.gauss(0.0, 0.04),
        learning_rate=0.03 * rate,
        adamw_learning_rate=0.003 * rate,
        gradient_norm=0.7 + 2.0 / step**0.5 + chance.random() * 0.2,
        tokens_per_second=BASELINE_SPEED * (0.96 + 0.08 * chance.random()),
        val_loss=loss if is_validated else None,
        val_accuracy=_accuracy(loss) if is_validated else None,
    )


def _accuracy(loss: float) -> float:
    return math.exp(-0.3 * loss)


def _total(spec: RunSpec) -> float:
    return sum(effect.loss for effect in _effects(spec))


def _slowness(spec: RunSpec) -> float:
    factor = 1.0
    for effect in _effects(spec):
        factor *= effect.seconds
    return factor


def _effects(spec: RunSpec) -> list[Effect]:
    assert spec.anchor is not None
    changed: list[Any] = list(differences(spec.anchor, spec.experiment))
    return [EFFECTS.get(change.path, Effect()) for change in changed]


def _chance(spec: RunSpec) -> random.Random:
    return random.Random(f"{spec.seed} {_total(spec)}")
