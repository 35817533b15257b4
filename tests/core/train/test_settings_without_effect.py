"""What the canonical form of a config drops changes no bit of a run; what it keeps does.

Each case is trained twice where the setting has no effect, and twice where it has.
"""

from functools import cache
from typing import NamedTuple

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from core.estimate.cost import estimate
from core.schema.canonical import canonical, experiment_hash
from core.schema.experiment import ExperimentConfig
from core.schema.overrides import resolve
from core.schema.training_config import TrainingConfig
from core.tracks import load_tracks
from core.train.model_state import build_model
from core.train.pace import FixedPace
from core.training_plan import shape_at, shapes
from tests.core.schema.test_canonical import CONDITIONAL
from tests.core.train.several_processes import build, train

BASE = resolve(
    load_tracks()["debug"].base,
    {
        "model.vocab_size": 40,
        "model.hidden_size": 32,
        "model.dropout": 0.1,
        "model.attention.num_heads": 2,
        "model.feed_forward.hidden_size": 24,
        "model.feed_forward.num_experts": 3,
        "training.tokens": 4 * 8 * 16,
        "training.batch_size": 8,
        "training.sequence_length": 16,
        "evaluation.sequence_length": 16,
        "evaluation.interval_steps": 2,
    },
)
PRICES = {"RTX 4090": 0.4}

ATTENTION = "model.attention"
LATENT = "model.attention.latent"
FEED_FORWARD = "model.feed_forward"
MUON = "optimizer.muon"
PATTERN = f"{FEED_FORWARD}.layer_pattern"
WINDOWS = f"{ATTENTION}.window_pattern"
VALUES = f"{ATTENTION}.value_embedding_pattern"
BATCHES = "training.batch_size_stages"
LENGTHS = "training.sequence_length_stages"

NO_EXPERTS = {PATTERN: ["dense"]}
MIXED = {PATTERN: ["experts", "dense"]}
IS_LATENT = {f"{ATTENTION}.kind": "latent"}
BY_BIAS = {f"{FEED_FORWARD}.balancing": "bias"}
NO_DROPOUT = {"model.dropout": 0.0}
THREE_LAYERS = {"model.num_layers": 3}
STABLE = {"schedule.kind": "warmup_stable_decay"}
FLAT = {"schedule.final_fraction": 1.0}


class Case(NamedTuple):
    """One value and another of a setting, which are equal in one place and not in the other."""

    name: str
    values: tuple
    """Two values; None is the base's."""
    off: dict
    """Overrides under which the two are one experiment."""
    on: dict
    """Overrides under which they are two."""


CASES = [
    Case("model.extra_prediction_weight", (None, 0.7), {}, {"model.extra_predictions": 1}),
    *(
        Case(f"{LATENT}.{name}", (None, 16), {}, IS_LATENT)
        for name in ("kv_rank", "rotary_head_dim", "plain_head_dim", "value_head_dim")
    ),
    Case(f"{ATTENTION}.rotary_base", (None, 500.0), {f"{ATTENTION}.rotary_fraction": 0.1}, {}),
    Case(
        f"{ATTENTION}.rotary_base",
        (None, 500.0),
        IS_LATENT | {f"{LATENT}.rotary_head_dim": 2},
        IS_LATENT,
    ),
    # 0.6 of 16 channels is 9, and one of a pair turns nothing; 0.6 of 32 is 19.
    Case(f"{ATTENTION}.rotary_fraction", (0.5, 0.6), {}, {f"{ATTENTION}.num_heads": 1}),
    Case(WINDOWS, (None, [16]), NO_DROPOUT, NO_DROPOUT | {"training.sequence_length": 32}),
    Case(WINDOWS, ([8], [8, 8, 0]), NO_DROPOUT, NO_DROPOUT | THREE_LAYERS),
    Case(VALUES, ([True, False], [True]), {"model.num_layers": 1}, {}),
    Case(PATTERN, (["experts", "dense"], ["experts"]), {"model.num_layers": 1}, {}),
    Case(PATTERN, (["dense"], ["dense", "dense", "experts"]), {}, THREE_LAYERS),
    Case(f"{FEED_FORWARD}.dense_hidden_size", (None, 64), {}, MIXED),
    *(
        Case(f"{FEED_FORWARD}.{name}", (None, value), NO_EXPERTS, {})
        for name, value in {
            "hidden_size": 40,
            "num_experts": 5,
            "experts_per_token": 1,
            "shared_experts": 1,
            "zero_compute_experts": 1,
            "router_scores": "sigmoid",
            "router_noise": 0.5,
            "balancing": "bias",
            "load_balancing_weight": 0.5,
            "router_z_loss_weight": 0.1,
        }.items()
    ),
    Case(
        f"{FEED_FORWARD}.zero_compute_kind",
        (None, "copy"),
        {},
        {f"{FEED_FORWARD}.zero_compute_experts": 2},
    ),
    Case(f"{FEED_FORWARD}.bias_update_rate", (None, 0.1), {}, BY_BIAS),
    Case(f"{FEED_FORWARD}.load_balancing_weight", (None, 0.5), BY_BIAS, {}),
    Case("optimizer.adamw.router_rate_ratio", (None, 3.0), NO_EXPERTS, {}),
    Case(f"{MUON}.momentum_start", (None, 0.5), {}, {f"{MUON}.momentum_warmup_fraction": 0.5}),
    Case(f"{MUON}.momentum_warmup_fraction", (None, 0.5), {f"{MUON}.momentum_start": 0.95}, {}),
    Case(f"{MUON}.nesterov", (None, False), {f"{MUON}.momentum": 0.0}, {}),
    Case(f"{MUON}.neuron_norm_beta", (None, 0.5), {}, {f"{MUON}.neuron_norm": True}),
    Case(f"{MUON}.cautious_weight_decay", (None, True), {}, {f"{MUON}.weight_decay": 0.1}),
    Case("schedule.decay_fraction", (None, 0.6), {}, STABLE),
    Case("schedule.decay_fraction", (None, 0.6), {"schedule.kind": "constant"}, STABLE),
    Case("schedule.decay_fraction", (None, 0.6), STABLE | FLAT, STABLE),
    Case("schedule.final_fraction", (None, 0.6), {"schedule.kind": "constant"}, {}),
    *(
        Case("schedule.kind", (None, kind), FLAT, {})
        for kind in ("linear", "warmup_stable_decay", "constant")
    ),
    Case(
        BATCHES, (None, [{"from_fraction": 0.5, "batch_size": 8}]), {}, {"training.batch_size": 4}
    ),
    Case(
        LENGTHS,
        (None, [{"from_fraction": 0.5, "sequence_length": 16}]),
        {BATCHES: [{"from_fraction": 0.3, "batch_size": 4}]},
        {"training.sequence_length": 32},
    ),
]


def both(case: Case, place: dict) -> tuple[ExperimentConfig, ExperimentConfig]:
    """The experiments that have one value and the other."""
    one, other = (
        resolve(BASE, place | ({} if value is None else {case.name: value}))
        for value in case.values
    )
    return one, other


@cache
def outcome(experiment: ExperimentConfig) -> dict[str, torch.Tensor]:
    """All numbers of a run."""
    trainer, recorder = build(experiment)
    train(trainer)
    score = trainer.validate()
    numbers = {"val_nats": torch.tensor(score.negative_log_likelihood, dtype=torch.float64)}
    numbers["losses"] = torch.tensor(list(recorder.losses.values()), dtype=torch.float64)
    numbers["norms"] = torch.tensor(list(recorder.norms.values()), dtype=torch.float64)
    return numbers | {name: tensor.clone() for name, tensor in trainer.checkpoint().weights.items()}


def are_equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def identity(experiment: ExperimentConfig) -> str:
    return experiment_hash("debug", 1, experiment)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_setting_that_is_off_changes_no_bit_and_no_hash(case):
    one, other = both(case, case.off)
    assert one != other
    assert are_equal(outcome(one), outcome(other))
    assert identity(one) == identity(other)
    assert estimate(one, PRICES) == estimate(other, PRICES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_same_setting_changes_the_run_and_the_hash_where_it_is_on(case):
    one, other = both(case, case.on)
    assert not are_equal(outcome(one), outcome(other))
    assert identity(one) != identity(other)


def test_a_window_counts_where_validation_is_longer_than_training():
    longer = NO_DROPOUT | {"evaluation.sequence_length": 32}
    one, other = (resolve(BASE, longer | {WINDOWS: [window]}) for window in (0, 16))
    tokens_BT = torch.arange(32)[None]
    logits = [build_model(e, 1, 0).eval()(tokens_BT)[0] for e in (one, other)]
    assert torch.equal(logits[0][:, :16], logits[1][:, :16])
    assert not torch.equal(logits[0], logits[1])
    assert identity(one) != identity(other)


def test_every_setting_that_can_be_off_has_a_case():
    assert {case.name for case in CASES} == CONDITIONAL


def test_the_canonical_config_trains_as_the_config():
    # Everything at once: each part that is off has odd settings.
    settings = dict[str, object]()
    for case in CASES:
        if not case.off:
            settings[case.name] = case.values[1]
    messy = resolve(BASE, settings)
    assert canonical(messy) != messy
    assert are_equal(outcome(messy), outcome(canonical(messy)))


@st.composite
def staged_training(draw) -> TrainingConfig:
    """A budget of tokens or steps, with stages that often change nothing."""

    def stages(key: str) -> list[dict]:
        starts = draw(st.lists(st.integers(1, 99), max_size=4, unique=True).map(sorted))
        sizes = st.sampled_from([8, 16])
        return [{"from_fraction": start / 100, key: draw(sizes)} for start in starts]

    budget = draw(st.sampled_from(["tokens", "steps"]))
    settings = {
        budget: draw(st.integers(256, 20_000) if budget == "tokens" else st.integers(1, 90)),
        "batch_size": draw(st.sampled_from([8, 16])),
        "batch_size_stages": stages("batch_size"),
        "sequence_length": draw(st.sampled_from([8, 16])),
        "sequence_length_stages": stages("sequence_length"),
    }
    overrides = {f"training.{name}": value for name, value in settings.items()}
    return resolve(BASE, {"training.tokens": 0} | overrides).training


def steps_of(training: TrainingConfig) -> list[tuple]:
    """Shape, place in the budget and record of every step."""
    pace, steps = FixedPace(training), []
    while len(steps) < pace.expected_steps(0):
        steps.extend(pace.ahead(len(steps)))
    return steps


@given(staged_training(), st.floats(0, 1))
def test_stages_that_change_nothing_change_no_step(training, fraction):
    plain = canonical(BASE.model_copy(update={"training": training})).training
    assert steps_of(plain) == steps_of(training)
    assert shapes(plain) == shapes(training)
    assert shape_at(plain, fraction) == shape_at(training, fraction)
