import pytest

from benchmarks.gallery.made_up_run import DEVIATION, EFFECTS, curve, final_loss
from core.schema.job import RunSpec
from core.schema.overrides import resolve
from core.tracks import load_tracks

QK_NORM = "model.attention.qk_norm"


def spec(seed: int = 1000, **overrides: object) -> RunSpec:
    track = load_tracks()["debug"]
    return RunSpec(
        run_id="r_1",
        track="debug",
        track_version=1,
        experiment=resolve(track.base, dict(overrides)),
        seed=seed,
        budget=track.rules.budget,
        anchor=track.base,
    )


def test_a_run_that_is_repeated_measures_the_same_and_another_seed_does_not() -> None:
    assert final_loss(spec()) == final_loss(spec())
    assert final_loss(spec()) != final_loss(spec(1001))


def test_a_setting_moves_the_loss_by_its_effect() -> None:
    means = []
    for overrides in ({}, {QK_NORM: True}):
        one = spec(**overrides)
        runs = [one.model_copy(update={"seed": seed}) for seed in range(100)]
        means.append(sum(map(final_loss, runs)) / 100)
    # Of the difference of two means.
    error = DEVIATION * (2 / 100) ** 0.5
    assert means[1] - means[0] == pytest.approx(EFFECTS[QK_NORM].loss, abs=5 * error)


def test_a_curve_ends_at_the_final_loss() -> None:
    assert curve(spec())[-1].val_loss == pytest.approx(final_loss(spec()))
    assert [point.step for point in curve(spec(), 15)] == [5, 10, 15]
