from copy import deepcopy

import pytest
import torch

from core.kernels.selection import reference_path
from core.schema.overrides import resolve
from core.tracks import load_tracks
from core.train.distributed import ALONE
from core.train.learner import Learner, can_record, iteration_format
from core.training_plan import StepShape

BASE = resolve(
    load_tracks()["debug"].base,
    {
        "model.hidden_size": 32,
        "model.feed_forward.hidden_size": 32,
        "training.batch_size": 4,
        "training.sequence_length": 16,
        "optimizer.ema_decay": 0.9,
    },
)
TOKENS_BT = torch.arange(64).view(4, 16) % 40


def build(seed=1):
    return Learner(BASE, seed, 0, torch.device("cpu"), is_compiled=False, processes=ALONE)


def parameters(learner):
    return torch.cat([p.detach().flatten() for p in learner.model.parameters()])


def step(learner, number, tokens_BT=TOKENS_BT):
    torch.manual_seed(number)
    learner.model.train()
    return learner.step(number, tokens_BT, factor=1.0, spent=0.0)


@pytest.mark.parametrize(
    ("device", "precision", "is_compiled", "num_processes", "expected"),
    [
        ("cuda", "bfloat16", True, 1, True),
        # Experts in float32 are a loop, which waits for their numbers of rows.
        ("cuda", "float32", True, 1, False),
        ("cuda", "bfloat16", False, 1, False),
        ("cuda", "bfloat16", True, 2, False),
        ("cpu", "bfloat16", True, 1, False),
    ],
)
def test_steps_are_recorded_where_nothing_waits_for_the_device(
    device, precision, is_compiled, num_processes, expected
):
    assert can_record(torch.device(device), precision, is_compiled, num_processes) is expected


def test_a_rehearsal_leaves_no_trace():
    rehearsed, plain = build(), build()
    random_before = torch.get_rng_state()
    with rehearsed.rehearsal():
        step(rehearsed, 1)
        assert not torch.equal(parameters(rehearsed), parameters(plain))
    assert torch.equal(torch.get_rng_state(), random_before)
    for number in (1, 2):
        assert all(map(torch.equal, step(rehearsed, number), step(plain, number)))
    with rehearsed.evaluated_weights(), plain.evaluated_weights():
        assert torch.equal(parameters(rehearsed), parameters(plain))


def test_a_learner_goes_on_from_the_state_of_another_to_the_last_bit():
    first, second = build(), build(seed=2)
    step(first, 1)
    second.load(deepcopy(first.state()), step=1)
    step(first, 2)
    step(second, 2)
    assert torch.equal(parameters(first), parameters(second))
    with first.evaluated_weights(), second.evaluated_weights():
        assert torch.equal(parameters(first), parameters(second))


def test_counts_are_those_of_the_last_step_alone():
    learner = build()
    model = BASE.model
    for number in (1, 2):
        step(learner, number)
        counts_LE = learner.expert_counts()
        assert counts_LE.shape == (model.num_layers, model.feed_forward.num_experts)
        visits = TOKENS_BT.numel() * model.feed_forward.experts_per_token
        assert counts_LE.sum(dim=1).tolist() == [visits] * model.num_layers


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("balancing", ["loss", "bias"])
def test_replayed_steps_count_the_visits_of_the_reference_path(balancing):
    changes = {
        "training.precision": "bfloat16",
        "training.gradient_accumulation_steps": 2,
        "model.dropout": 0.0,
        "model.feed_forward.router_noise": 0.0,
        "model.feed_forward.balancing": balancing,
    }
    config, device = resolve(BASE, changes), torch.device("cuda")
    fast = Learner(config, 1, 0, device, is_compiled=True, processes=ALONE)
    with fast.rehearsal():
        step(fast, 1)
        fast.model.eval()
        fast.scorer(many_shapes=False)(TOKENS_BT.to(device))
    fast.record([StepShape(*TOKENS_BT.shape)], StepShape(*TOKENS_BT.shape))
    plain = Learner(config, 1, 0, device, is_compiled=False, processes=ALONE)
    for number in (1, 2):
        step(fast, number)
        with reference_path():
            step(plain, number)
        ours, reference = fast.expert_counts(), plain.expert_counts()
        assert torch.equal(ours.sum(dim=1), reference.sum(dim=1))
        # Products are rounded to 8 bits, which moves a choice between two nearly equal scores.
        assert (ours - reference).abs().max() <= TOKENS_BT.numel() // 8


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
# What the compiler warns of while it compiles is not of our making.
@pytest.mark.filterwarnings("ignore")
def test_replayed_steps_do_what_steps_do_before_and_after_a_resume():
    config = resolve(
        BASE,
        {
            "training.precision": "bfloat16",
            "model.dropout": 0.1,
            "model.feed_forward.balancing": "bias",
        },
    )
    device, shapes = torch.device("cuda"), [StepShape(4, 16), StepShape(2, 16)]

    def build_warm():
        learner = Learner(config, 1, 0, device, is_compiled=True, processes=ALONE)
        with learner.rehearsal():
            for shape in shapes:
                step(learner, 1, TOKENS_BT[: shape.batch_size])
            scores(learner)
        return learner

    def scores(learner):
        learner.model.eval()
        measured = learner.scorer(many_shapes=False)(TOKENS_BT[:2].to(device))
        learner.model.train()
        return measured

    def go_on(learner, numbers):
        return [
            step(learner, number, TOKENS_BT[: shapes[number % 2].batch_size])[0].item()
            for number in numbers
        ]

    plain = build_warm()
    expected = go_on(plain, range(1, 13))
    recorded = build_warm()
    recorded.record(shapes, StepShape(2, 16))
    losses = go_on(recorded, range(1, 7))
    resumed = build_warm()
    resumed.load(deepcopy(recorded.state()), step=6)
    resumed.record(shapes, StepShape(2, 16))
    losses += go_on(resumed, range(7, 13))
    replayed = scores(resumed)
    resumed.forget_records()
    assert all(map(torch.equal, replayed, scores(resumed)))
    assert losses == pytest.approx(expected, abs=2e-3)
    assert losses[-1] < losses[0]
    with plain.evaluated_weights(), resumed.evaluated_weights():
        torch.testing.assert_close(parameters(resumed), parameters(plain), rtol=0, atol=5e-3)


@pytest.mark.parametrize(
    ("device", "precision", "expected"),
    [
        ("cuda", "bfloat16", torch.bfloat16),
        ("cuda", "float32", torch.float32),
        ("cpu", "bfloat16", torch.float32),
    ],
)
def test_muon_iterates_in_bfloat16_only_where_products_do_on_a_gpu(device, precision, expected):
    assert iteration_format(torch.device(device), precision) == expected
