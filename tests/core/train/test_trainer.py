import numpy as np
import pytest
import torch

from core.data.loader import RowLoader
from core.errors import Diverged
from core.schema.overrides import resolve
from core.tracks import load_tracks
from core.train.clock import Clock
from core.train.trainer import Trainer, Validation

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


def build(experiment=BASE, seed=1, recorder=None):
    device = torch.device("cpu")
    return Trainer(
        experiment=experiment,
        seed=seed,
        loader=RowLoader(TOKENS, experiment.training, seed),
        validation=Validation(ROWS, 1000),
        device=device,
        compiled=False,
        clock=Clock(device),
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
    resumed._loader = RowLoader(TOKENS, BASE.training, 1)
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
