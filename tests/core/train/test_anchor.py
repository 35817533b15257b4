import pytest
import torch

from core.schema.job import RunSpec
from core.schema.mirror import Mirror
from core.schema.overrides import resolve
from core.schema.track import Budget
from core.tracks import load_tracks
from core.train import anchor
from core.train.anchor import measure_anchor, median_speed
from core.train.environment import RunEnvironment
from core.version import code_commit

SMALL = resolve(
    load_tracks()["debug"].base,
    {
        "model.hidden_size": 32,
        "model.feed_forward.hidden_size": 32,
        "training.batch_size": 2,
        "training.sequence_length": 64,
        "evaluation.sequence_length": 64,
    },
)


def spec(baseline) -> RunSpec:
    # Too large to be built: what is trained must be the baseline.
    experiment = resolve(baseline, {"model.hidden_size": 16_384, "model.num_layers": 128})
    return RunSpec(
        run_id="r_test",
        track="debug",
        track_version=1,
        experiment=experiment,
        seed=7,
        budget=Budget(),
        anchor=baseline,
    )


@pytest.mark.parametrize("settings", [{}, {"training.tokens": 0, "training.dollars": 5.0}])
def test_the_baseline_is_measured_briefly_and_without_data(tmp_path, monkeypatch, settings):
    monkeypatch.setattr(anchor, "SETTLE_SECONDS", 0.05)
    monkeypatch.setattr(anchor, "TIMED_SECONDS", 0.2)
    environment = RunEnvironment(tmp_path / "nothing", Mirror(), device="cpu")
    measured = measure_anchor(spec(resolve(SMALL, settings)), environment)
    assert measured.tokens_per_second > 0
    assert measured.measured_at.utcoffset() is not None
    assert (measured.device, measured.driver, measured.num_devices) == ("cpu", "", 1)
    assert (measured.torch, measured.code_commit) == (torch.__version__, code_commit())
    assert not (tmp_path / "nothing").exists()


def test_the_speed_is_the_median_over_chunks_that_begin_after_settling():
    # Chunks of 100 tokens: 10 and 100 tokens/s while it settles, then 100, 1 and 50.
    marks = [(0, 0.0), (100, 0.9), (200, 1.0), (300, 2.0), (400, 102.0), (500, 104.0)]
    assert median_speed(marks) == pytest.approx(50.0)


def test_slow_steps_are_measured_by_the_last_chunk():
    assert median_speed([(0, 0.0), (100, 0.5), (200, 30.0)]) == pytest.approx(100 / 29.5)
