from pathlib import Path

import pytest

from core.errors import (
    BudgetExceeded,
    CheckpointCorrupt,
    CheckpointNotWritten,
    Interrupted,
    InvalidInput,
    TooFewTokens,
)
from core.schema.job import Phase, RunSpec
from core.schema.mirror import Mirror
from core.schema.overrides import resolve
from core.schema.track import Budget
from core.tracks import load_tracks
from core.train import run as run_module
from core.train.environment import RunEnvironment
from core.train.evaluation import evaluate_checkpoint
from core.train.run import run

BASE = resolve(
    load_tracks()["debug"].base,
    {
        "model.hidden_size": 32,
        "model.feed_forward.hidden_size": 32,
        "model.dropout": 0.1,
        "training.tokens": 30 * 2 * 64,
        "training.batch_size": 2,
        "training.sequence_length": 64,
        "data.num_documents": 200,
        "evaluation.sequence_length": 64,
        "evaluation.validation_rows": 8,
        "evaluation.interval_steps": 20,
    },
)


class Recorder:
    def __init__(self, stop_after=None):
        self.points = []
        self.phases = []
        self._stop_after = stop_after

    def phase(self, phase, completed, total):
        self.phases.append(phase)

    def metric(self, point):
        self.points.append(point)

    def should_stop(self):
        return self._stop_after is not None and len(self.points) >= self._stop_after


def spec(**changes):
    settings = {
        "run_id": "r_test",
        "track": "debug",
        "track_version": 1,
        "experiment": BASE,
        "seed": 7,
        "budget": Budget(),
    }
    return RunSpec(**(settings | changes))


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    return RunEnvironment(tmp_path_factory.mktemp("cache"), Mirror(), device="cpu")


@pytest.fixture(scope="module")
def finished(environment, tmp_path_factory):
    """A finished run, its folder, and what it told."""
    folder = tmp_path_factory.mktemp("run")
    recorder = Recorder()
    return run(spec(), folder, environment, recorder), folder, recorder


def outcome(result):
    """What a run measures, without times, memory and machine."""
    return result.model_dump(
        exclude={"timing", "tokens_per_second", "peak_memory_bytes", "provenance"}
    ) | {"data": result.provenance.data}


def test_a_run_goes_through_every_phase_and_reports_every_number(finished):
    result, _, recorder = finished
    assert list(dict.fromkeys(recorder.phases)) == [
        Phase.PREPARING_DATA,
        Phase.COMPILING,
        Phase.TRAINING,
        Phase.EVALUATING,
    ]
    assert result.steps == 30
    assert result.tokens == 30 * 128
    assert result.timing.train_seconds > 0
    assert result.timing.eval_seconds > 0
    assert recorder.points[-1].val_loss == result.val_loss
    (task,) = result.tasks
    assert task.name == "synthetic_world"
    assert 0 < task.acc_stderr < 0.1
    assert result.provenance.packages["torch"]
    assert result.provenance.data.validation_tokens == 8 * 63


def test_an_interrupted_run_resumes_to_the_same_result(finished, environment, tmp_path):
    with pytest.raises(Interrupted):
        run(spec(), tmp_path, environment, Recorder(stop_after=10))
    resumed = Recorder()
    result = run(spec(), tmp_path, environment, resumed)
    assert resumed.points[0].step == 11
    assert outcome(result) == outcome(finished[0])


def test_a_run_can_be_stopped_before_its_data_is_ready(environment, tmp_path):
    recorder = Recorder(stop_after=0)
    with pytest.raises(Interrupted, match="while preparing data"):
        run(spec(), tmp_path, environment, recorder)
    assert recorder.phases == [Phase.PREPARING_DATA]


def test_a_checkpoint_evaluates_to_what_its_run_reported(finished, environment):
    result, folder, _ = finished
    evaluation = evaluate_checkpoint(folder, environment, Recorder())
    assert evaluation.val_loss == result.val_loss
    assert evaluation.tasks == result.tasks
    assert evaluation.step == 30
    key = result.provenance.data.comparability_key("debug", 1)
    assert evaluation.comparability_key == key


def test_evaluating_an_empty_folder_says_so(environment, tmp_path):
    with pytest.raises(CheckpointCorrupt, match="holds none"):
        evaluate_checkpoint(tmp_path, environment, Recorder())


def test_validation_settings_change_the_comparability_key(finished, environment, tmp_path):
    fewer = resolve(BASE, {"evaluation.validation_rows": 7, "evaluation.tasks": []})
    result = run(spec(experiment=fewer), tmp_path, environment, Recorder())
    keys = {r.provenance.data.comparability_key("debug", 1) for r in (result, finished[0])}
    assert len(keys) == 2


def test_a_disk_that_takes_no_checkpoint_costs_none_of_the_run(
    finished, environment, tmp_path, monkeypatch, caplog
):
    def refuse(*arguments):
        raise CheckpointNotWritten("the disk is full")

    monkeypatch.setattr(run_module, "save_checkpoint", refuse)
    monkeypatch.setattr(run_module, "CHECKPOINT_SECONDS", 0.0)
    result = run(spec(), tmp_path, environment, Recorder())
    assert result.val_loss == finished[0].val_loss
    assert "training goes on without a new checkpoint: the disk is full" in caplog.text


def test_too_few_tokens_are_refused_before_training(environment, tmp_path):
    recorder = Recorder()
    greedy = resolve(BASE, {"training.tokens": 10**8})
    with pytest.raises(
        TooFewTokens, match=r"asks for 100,000,000 tokens; the training text has [\d,]+"
    ):
        run(spec(experiment=greedy), tmp_path, environment, recorder)
    assert Phase.TRAINING not in recorder.phases


def test_a_vocabulary_smaller_than_the_tokenizers_is_refused(environment, tmp_path):
    small = resolve(BASE, {"model.vocab_size": 100})
    with pytest.raises(InvalidInput, match=r"model\.vocab_size: 100 is smaller than .* 1024"):
        run(spec(experiment=small), tmp_path, environment, Recorder())


def test_a_run_that_becomes_too_expensive_is_stopped(environment, tmp_path):
    dear = spec(budget=Budget(cost_usd=1e-9), prices_usd_per_hour={"cpu": 1000.0})
    with pytest.raises(BudgetExceeded, match="the track allows"):
        run(dear, tmp_path, environment, Recorder())
    assert not list(Path(tmp_path).glob("checkpoint-*"))


def test_the_saved_model_is_the_average_that_was_evaluated(environment, tmp_path):
    settings = {
        "optimizer.ema_decay": 0.9,
        "training.weights": "bfloat16",
        "training.precision": "bfloat16",
        "training.sequence_length_stages": [{"from_fraction": 0.5, "sequence_length": 128}],
        "model.feed_forward.balancing": "bias",
    }
    result = run(spec(experiment=resolve(BASE, settings)), tmp_path, environment, Recorder())
    evaluation = evaluate_checkpoint(tmp_path, environment, Recorder())
    assert evaluation.val_loss == result.val_loss
    assert evaluation.tasks == result.tasks


def test_a_budget_in_dollars_is_spent_and_not_exceeded_by_more_than_a_step(environment, tmp_path):
    recorder = Recorder()
    # A second costs a dollar; the run has a second and a half, of which warming up takes its part.
    settings = {"training.tokens": 0, "training.dollars": 1.5}
    rich = spec(experiment=resolve(BASE, settings), prices_usd_per_hour={"cpu": 3600.0})
    result = run(rich, tmp_path, environment, recorder)
    spent = result.timing.compile_seconds + result.timing.train_seconds
    # Generous, because a step on a busy machine may take long.
    assert 0.75 < spent < 2.5
    assert result.tokens == result.steps * 128 > 0
    assert recorder.points[-1].step == result.steps
    assert recorder.points[-1].learning_rate == pytest.approx(0.1 * 0.03)


def test_a_budget_in_dollars_needs_a_price(environment, tmp_path):
    free = spec(experiment=resolve(BASE, {"training.tokens": 0, "training.dollars": 1.0}))
    with pytest.raises(InvalidInput, match="lists no price for 'cpu'"):
        run(free, tmp_path, environment, Recorder())
