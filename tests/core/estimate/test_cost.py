import subprocess
import sys
import time
from pathlib import Path

import pytest

from core.estimate.calibration import COMPILE_SECONDS
from core.estimate.cost import estimate
from core.estimate.flops import training_flops_per_token
from core.schema.overrides import resolve
from core.tracks import load_tracks
from core.training_plan import plan

TRACKS = load_tracks()
BASE = TRACKS["gpu_24gb"].base
ROOT = Path(__file__).resolve().parents[3]
PRICES = {"H200": 2.8, "RTX 4090": 0.4}
HALVES = [{"from_fraction": 0.5, "sequence_length": 512}]


def in_dollars(dollars, **training):
    changes = {"tokens": 0, "dollars": dollars, **training}
    return resolve(BASE, {"training": changes})


def test_the_baseline_takes_what_was_measured():
    # 12.5 s on an H200, docs/measurement.md.
    found = estimate(BASE, PRICES)
    low, high = found.train_seconds_range["H200"]
    assert low <= 12.5 <= high
    assert found.train_seconds["H200"] == pytest.approx(12.5, rel=0.1)
    assert found.measured_gpus == ("H200",)


def test_a_device_without_a_price_or_a_rate_has_no_cost():
    found = estimate(BASE, {"RTX 4090": 3600.0, "Abacus": 1.0, "A100": 0.0})
    # A dollar a second, compilation included.
    seconds = found.train_seconds["RTX 4090"] + COMPILE_SECONDS
    assert found.cost_usd == {"RTX 4090": pytest.approx(seconds)}
    ends = [end + COMPILE_SECONDS for end in found.train_seconds_range["RTX 4090"]]
    assert found.cost_usd_range == {"RTX 4090": pytest.approx(tuple(ends))}


def test_memory_lies_within_ten_per_cent():
    found = estimate(BASE, {})
    low, high = found.memory_bytes_range
    assert high == pytest.approx(1.1 * found.memory_bytes)
    assert low * 1.1 == pytest.approx(found.memory_bytes)


def test_steps_and_the_tokens_that_they_read_cost_the_same():
    by_tokens = estimate(BASE, PRICES)
    by_steps = estimate(resolve(BASE, {"training": {"tokens": 0, "steps": 500}}), PRICES)
    assert by_steps.model_dump() == by_tokens.model_dump()
    assert by_steps.train_tokens["H200"] == 500 * 16_384


def test_flops_sum_over_the_stages():
    experiment = resolve(BASE, {"training.sequence_length_stages": HALVES})
    long, short = (training_flops_per_token(BASE.model, length) for length in (1024, 512))
    first, second = plan(experiment.training).segments
    expected = first.num_tokens * long + second.num_tokens * short
    assert estimate(experiment, {}).training_flops == pytest.approx(expected)
    assert short < long


def test_dollars_buy_time_by_the_price_and_tokens_by_the_speed():
    found = estimate(in_dollars(0.5), PRICES)
    seconds = 0.5 / 2.8 * 3600 - COMPILE_SECONDS
    assert found.train_seconds["H200"] == pytest.approx(seconds)
    assert found.cost_usd == {"H200": 0.5, "RTX 4090": 0.5}
    assert found.cost_usd_range == {"H200": (0.5, 0.5), "RTX 4090": (0.5, 0.5)}
    as_many = resolve(BASE, {"training.tokens": round(found.train_tokens["H200"])})
    assert estimate(as_many, PRICES).train_seconds["H200"] == pytest.approx(seconds, rel=1e-3)
    fewest, most = found.train_tokens_range["H200"]
    assert fewest < found.train_tokens["H200"] < most


def test_each_stage_gets_its_share_of_the_dollars():
    # Half of the time at batch 16 and half at 32: tokens are the mean of both alone.
    stages = [{"from_fraction": 0.5, "batch_size": 32}]
    both = estimate(in_dollars(0.5, batch_size_stages=stages), PRICES)
    alone = [estimate(in_dollars(0.5, batch_size=size), PRICES) for size in (16, 32)]
    mean = sum(found.train_tokens["H200"] for found in alone) / 2
    assert both.train_tokens["H200"] == pytest.approx(mean)


def test_flops_of_dollars_are_those_of_the_gpu_that_does_most():
    found = estimate(in_dollars(0.5), PRICES)
    per_token = training_flops_per_token(BASE.model, 1024)
    assert found.training_flops == pytest.approx(max(found.train_tokens.values()) * per_token)
    assert estimate(in_dollars(0.5), {}).training_flops == 0.0


def test_dollars_that_compilation_uses_up_buy_nothing():
    found = estimate(in_dollars(0.001), {"H200": 2.8})
    assert (found.train_seconds["H200"], found.train_tokens["H200"]) == (0.0, 0.0)


def test_memory_is_the_sum_of_its_parts():
    found = estimate(BASE, {})
    assert found.memory_bytes == pytest.approx(sum(found.memory_parts.values()))


def test_it_answers_within_50_milliseconds():
    layers = {"model.num_layers": 256, "model.extra_predictions": 4}
    experiment = resolve(BASE, layers)
    times = []
    for _ in range(7):
        started = time.perf_counter()
        estimate(experiment, TRACKS["gpu_24gb"].rules.prices_usd_per_hour)
        times.append(time.perf_counter() - started)
    assert min(times) < 0.05


def test_it_needs_no_torch():
    code = "import core.estimate.budget, sys; print('torch' in sys.modules)"
    completed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60
    )
    assert completed.stdout.strip() == "False", completed.stderr
