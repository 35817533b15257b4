import numpy as np
import pytest
import torch

from core.data.loader import Prefetcher, RowLoader
from core.errors import Diverged
from core.schema.overrides import resolve
from core.tracks import load_tracks
from core.train import trainer as trainer_module
from core.train.clock import Clock
from core.train.pace import DollarPace, FixedPace
from core.train.trainer import Trainer, Validation
from core.training_plan import StepShape

BASE = resolve(
    load_tracks()["debug"].base,
    {
        "model.hidden_size": 32,
        "model.dropout": 0.1,
        "model.feed_forward.hidden_size": 32,
        "training.tokens": 24 * 4 * 16,
        "training.batch_size": 4,
        "training.sequence_length": 16,
        "evaluation.sequence_length": 16,
        "evaluation.interval_steps": 8,
        "optimizer.adamw.learning_rate": 0.01,
    },
)
TOKENS = np.random.default_rng(0).integers(0, 40, 4000).astype(np.uint16)
ROWS = np.random.default_rng(1).integers(0, 40, (20, 16)).astype(np.uint16)


class Recorder:
    """Keeps what a run tells."""

    def __init__(self):
        self.points = []
        self.phases = []

    def phase(self, phase, completed, total):
        self.phases.append((phase, completed, total))

    def metric(self, point):
        self.points.append(point)

    def should_stop(self):
        return False


class Stop(Exception):
    pass


def dollar_pace(experiment, clock):
    """A second costs a dollar."""
    return DollarPace(experiment.training, experiment.training.dollars, 3600.0, clock)


def build(experiment=BASE, seed=1, recorder=None, clock=None):
    """A trainer; with a clock, one whose budget is in dollars."""
    device = torch.device("cpu")
    return Trainer(
        experiment=experiment,
        seed=seed,
        separator_id=0,
        loader=RowLoader(TOKENS, experiment.training, seed),
        validation=Validation(ROWS, 1000),
        pace=FixedPace(experiment.training) if clock is None else dollar_pace(experiment, clock),
        device=device,
        is_compiled=False,
        clock=clock or Clock(device),
        reporter=recorder or Recorder(),
    )


def train(trainer, stop_at=None):
    def after_chunk():
        if stop_at is not None and trainer.step >= stop_at:
            raise Stop

    try:
        trainer.train(after_chunk)
    except Stop:
        return trainer
    return trainer


def weights(trainer):
    return torch.cat([p.detach().flatten() for p in trainer.model.parameters()])


def losses(recorder):
    return {point.step: point.train_loss for point in recorder.points}


def test_same_seed_gives_the_same_loss_and_another_seed_another():
    runs = []
    for seed in (1, 1, 2):
        recorder = Recorder()
        runs.append((train(build(seed=seed, recorder=recorder)).validate().loss, losses(recorder)))
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_training_lowers_the_loss_and_every_step_is_reported_once():
    recorder = Recorder()
    train(build(recorder=recorder))
    assert [point.step for point in recorder.points] == list(range(1, 25))
    assert recorder.points[-1].train_loss < recorder.points[0].train_loss
    assert [p.step for p in recorder.points if p.val_loss is not None] == [8, 16, 24]
    assert recorder.points[-1].tokens == 24 * 64


@pytest.mark.parametrize("stop_at", [1, 8, 10, 20])
def test_a_resumed_run_equals_an_uninterrupted_one_to_the_last_bit(stop_at):
    whole = Recorder()
    reference = train(build(recorder=whole))
    first = Recorder()
    stopped = train(build(recorder=first), stop_at)
    checkpoint = stopped.checkpoint()
    second = Recorder()
    resumed = build(seed=99, recorder=second)
    resumed._batches = Prefetcher(RowLoader(TOKENS, BASE.training, 1), pinned=False)
    resumed.warm_up()
    resumed.resume(checkpoint)
    train(resumed)
    assert torch.equal(weights(resumed), weights(reference))
    assert resumed.validate() == reference.validate()
    assert losses(first) | losses(second) == losses(whole)


def test_warm_up_leaves_no_trace_but_its_time():
    plain = train(build())
    warmed = build()
    warmed.warm_up()
    assert warmed._clock.seconds["compile"] > 0
    assert warmed._clock.seconds["train"] == 0
    assert torch.equal(weights(plain), weights(train(warmed)))


def test_validation_is_never_on_the_training_clock():
    trainer = build()
    trainer.validate()
    assert trainer._clock.seconds["train"] == 0
    assert trainer._clock.seconds["eval"] > 0


def test_accumulated_gradients_are_those_of_the_whole_batch():
    settings = {
        "model.dropout": 0.0,
        "model.feed_forward.router_noise": 0.0,
        "model.feed_forward.load_balancing_weight": 0.0,
    }
    whole = train(build(resolve(BASE, settings)), stop_at=8)
    parts = train(
        build(resolve(BASE, settings | {"training.gradient_accumulation_steps": 4})), stop_at=8
    )
    torch.testing.assert_close(weights(whole), weights(parts), rtol=1e-3, atol=1e-4)


def loads(**changes):
    """The spread of visits of each point of a run of four steps."""
    recorder = Recorder()
    train(build(resolve(BASE, {"training.tokens": 4 * 4 * 16, **changes}), recorder=recorder))
    names = ("expert_max_violation", "worst_expert_max_violation", "idle_expert_share")
    return [tuple(getattr(point, name) for name in names) for point in recorder.points]


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("balancing", ["loss", "bias"])
def test_a_step_that_sends_all_tokens_to_equal_experts_is_the_worst_spread(balancing, parts):
    # With equal logits the first two of four experts win: twice an even share, and two idle.
    settings = {
        "model.feed_forward.router_noise": 0.0,
        "model.feed_forward.balancing": balancing,
        "model.feed_forward.bias_update_rate": 1e-9,
        "model.init_std": 1e-30,
        "training.gradient_accumulation_steps": parts,
    }
    first = loads(**settings)[0]
    assert first == (1.0, 1.0, 0.5)


def test_every_point_has_a_spread_of_visits_if_any_layer_has_experts():
    for mean, worst, idle in loads(**{"model.feed_forward.layer_pattern": ["experts", "dense"]}):
        assert 0 <= mean == worst <= 3
        assert 0 <= idle <= 1
    assert loads(**{"model.feed_forward.layer_pattern": ["dense"]}) == [(None, None, None)] * 4


def test_a_loss_that_is_no_number_ends_the_run_with_its_step():
    trainer = build()
    train(trainer, stop_at=8)
    with torch.no_grad():
        trainer.model.norm.weight[0] = torch.nan
    with pytest.raises(Diverged, match=r"step 9: training loss nan"):
        train(trainer)


def test_early_stopping_waits_for_its_patience():
    still = resolve(
        BASE,
        {
            "training.early_stopping_evaluations": 2,
            "optimizer.muon.learning_rate": 1e-9,
            "optimizer.adamw.learning_rate": 1e-9,
            "optimizer.adamw.weight_decay": 0.0,
        },
    )

    def stopped_at(*scores):
        trainer = build(still)
        remaining = iter(scores)
        original = trainer._note_validation
        trainer._note_validation = lambda _: original(next(remaining))
        train(trainer)
        return trainer.step, trainer.stopped_early

    assert stopped_at(2.9, 3.0, 3.1) == (24, False)
    assert stopped_at(3.0, 2.9, 3.1) == (24, False)
    assert stopped_at(float("inf"), float("inf")) == (16, True)


@pytest.mark.parametrize("batch_size", [1, 2, 8])
def test_validation_does_not_depend_on_the_training_batch(batch_size):
    other = resolve(BASE, {"training.batch_size": batch_size, "training.sequence_length": 32})
    assert build(other).validate() == build().validate()


EVERYTHING_THAT_HAS_STATE = {
    "optimizer.ema_decay": 0.9,
    "optimizer.muon.neuron_norm": True,
    "optimizer.muon.momentum_warmup_fraction": 0.5,
    "model.feed_forward.balancing": "bias",
    "model.feed_forward.bias_update_rate": 0.5,
    "training.weights": "bfloat16",
    "training.precision": "bfloat16",
    "training.batch_size_stages": [{"from_fraction": 0.4, "batch_size": 8}],
    "training.sequence_length_stages": [{"from_fraction": 0.7, "sequence_length": 32}],
}


def test_with_every_kind_of_state_a_resumed_run_equals_an_uninterrupted_one():
    experiment = resolve(BASE, EVERYTHING_THAT_HAS_STATE)
    reference = train(build(experiment))
    checkpoint = train(build(experiment), stop_at=9).checkpoint()
    resumed = build(experiment)
    resumed.warm_up()
    resumed.resume(checkpoint)
    train(resumed)
    # Ten steps of 64 tokens, four of 128 and one of 256.
    assert resumed.step == reference.step == 15
    assert resumed.tokens == reference.tokens == 1408
    assert torch.equal(weights(resumed), weights(reference))
    assert resumed.validate() == reference.validate()
    biases = [router.bias_E for router in routers(reference.model)]
    assert all(bias.any() for bias in biases)
    assert all(map(torch.equal, biases, [router.bias_E for router in routers(resumed.model)]))


def routers(model):
    return [block.feed_forward.router for block in model.blocks]


def test_warm_up_with_every_kind_of_state_leaves_no_trace():
    experiment = resolve(BASE, EVERYTHING_THAT_HAS_STATE)
    plain = train(build(experiment), stop_at=9)
    warmed = build(experiment)
    warmed.warm_up()
    train(warmed, stop_at=9)
    assert torch.equal(weights(plain), weights(warmed))
    assert plain.validate() == warmed.validate()


def test_weights_gradients_and_state_are_bfloat16_if_asked_for():
    trainer = train(build(resolve(BASE, EVERYTHING_THAT_HAS_STATE)), stop_at=1)
    assert {p.dtype for p in trainer.model.parameters()} == {torch.bfloat16}
    for optimizer in (trainer._learner.optimizers.muon, trainer._learner.optimizers.adamw):
        kept = [value for state in optimizer.state.values() for value in state.values()]
        assert {value.dtype for value in kept if value.ndim} == {torch.bfloat16}


def test_stages_change_what_a_step_reads_and_not_what_the_run_reads():
    recorder = Recorder()
    stages = [{"from_fraction": 0.5, "batch_size": 8}]
    lengths = [{"from_fraction": 0.75, "sequence_length": 32}]
    settings = {
        "training.batch_size_stages": stages,
        "training.sequence_length_stages": lengths,
        "evaluation.interval_steps": 10**6,
    }
    shapes = []
    trainer = build(resolve(BASE, settings), recorder=recorder)
    original = trainer._learner.step
    trainer._learner.step = lambda number, tokens_BT, *rates: (
        shapes.append(tuple(tokens_BT.shape)),
        original(number, tokens_BT, *rates),
    )[1]
    train(trainer)
    # 1,536 tokens: twelve steps of 64 to the half, three of 128, then one of 256 and what is left.
    assert shapes == [(4, 16)] * 12 + [(8, 16)] * 3 + [(8, 32)]
    assert trainer.tokens == 12 * 64 + 3 * 128 + 256
    assert [p.tokens for p in recorder.points][-4:] == [896, 1024, 1152, 1408]


def test_an_average_is_evaluated_and_saved_while_the_weights_train_on():
    averaged = train(build(resolve(BASE, {"optimizer.ema_decay": 0.9})), stop_at=8)
    plain = train(build(), stop_at=8)
    assert torch.equal(weights(averaged), weights(plain))
    assert averaged.validate() != plain.validate()
    saved = averaged.checkpoint()
    with averaged.evaluated_weights():
        assert torch.equal(averaged.model.norm.weight, saved.weights["norm.weight"])
    assert torch.equal(saved.state["trained_weights"]["norm.weight"], plain.model.norm.weight)


class FakeTime:
    """Time that passes only in optimizer steps."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr("time.perf_counter", lambda: self.now)

    def charge(self, trainer, seconds):
        original = trainer._learner.step

        def step(number, tokens_BT, factor, spent):
            self.now += seconds
            self.factors.append(factor)
            return original(number, tokens_BT, factor, spent)

        self.factors = []
        trainer._learner.step = step


IN_DOLLARS = {"training.tokens": 0, "training.dollars": 5.0, "schedule.final_fraction": 0.25}


def test_dollars_end_training_when_they_are_spent_and_the_schedule_with_it(monkeypatch):
    time = FakeTime(monkeypatch)
    clock = Clock(torch.device("cpu"))
    recorder = Recorder()
    trainer = build(resolve(BASE, IN_DOLLARS), recorder=recorder, clock=clock)
    time.charge(trainer, 0.125)
    trainer.warm_up()
    assert clock.seconds["compile"] == 0.25
    time.factors.clear()
    train(trainer)
    # 4.75 dollars are left: 38 steps of an eighth of a dollar.
    assert trainer.step == 38
    assert clock.seconds["train"] == 4.75
    assert time.factors[-1] == pytest.approx(0.25)
    assert [point.step for point in recorder.points] == list(range(1, 39))
    assert [p.step for p in recorder.points if p.val_loss is not None] == [8, 16, 24, 32, 38]
    assert trainer.finished
    assert trainer.expected_steps == 38


def test_a_resumed_run_spends_the_rest_of_its_dollars(monkeypatch):
    time = FakeTime(monkeypatch)
    experiment = resolve(BASE, IN_DOLLARS)
    first = build(experiment, clock=Clock(torch.device("cpu")))
    time.charge(first, 0.125)
    first.warm_up()
    checkpoint = train(first, stop_at=20).checkpoint()
    clock = Clock(torch.device("cpu"))
    second = build(experiment, clock=clock)
    time.charge(second, 0.125)
    second.warm_up()
    second.resume(checkpoint)
    train(second)
    assert second.step == 38
    assert clock.seconds["train"] == 4.75
    finished = second.checkpoint()
    third = build(experiment, clock=Clock(torch.device("cpu")))
    third.resume(finished)
    assert third.finished


def test_dollars_without_end_read_the_text_again(monkeypatch):
    time = FakeTime(monkeypatch)
    clock = Clock(torch.device("cpu"))
    # The text has 4,000 tokens, 62 steps of it.
    trainer = build(resolve(BASE, IN_DOLLARS | {"training.dollars": 10.0}), clock=clock)
    time.charge(trainer, 0.125)
    trainer.warm_up()
    train(trainer)
    assert trainer.tokens == 78 * 64


def test_validation_that_has_no_room_beside_recorded_steps_gives_them_up(monkeypatch):
    trainer, expected = build(), build().validate().loss
    # What it holds is never replayed here; a processor records nothing.
    trainer._learner._graphs[StepShape(4, 16)] = None
    evaluate = trainer_module.evaluate_language_modeling

    def evaluate_with_little_memory(*arguments):
        if trainer._learner.has_records:
            raise torch.OutOfMemoryError("no room")
        return evaluate(*arguments)

    monkeypatch.setattr(trainer_module, "evaluate_language_modeling", evaluate_with_little_memory)
    assert trainer.validate().loss == expected
    assert not trainer._learner.has_records


def test_validation_that_has_no_room_at_all_fails(monkeypatch):
    def fail(*_):
        raise torch.OutOfMemoryError("no room")

    monkeypatch.setattr(trainer_module, "evaluate_language_modeling", fail)
    with pytest.raises(torch.OutOfMemoryError):
        build().validate()
