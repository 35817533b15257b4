"""Tables that commands print."""

import io

import pytest
from rich.console import Console

from core.estimate.cost import Estimate
from runner.terminal.report import (
    estimate_rows,
    print_last_lines,
    result_rows,
    status_rows,
)
from tests.runner import examples


def test_a_run_that_nobody_submitted_goes_by_its_name():
    rows = dict(status_rows(examples.status(submission_id="", name="Baseline")))
    assert rows["submission"] == "Baseline, track debug"


@pytest.mark.parametrize(
    ("verification", "said"),
    [
        ("unverified", "unverified: no trusted worker has measured the same yet"),
        ("refuted", "held: a trusted worker measured something else"),
        ("verified", None),
        ("trusted", None),
    ],
)
def test_a_run_says_if_no_trusted_worker_stands_behind_it(verification, said):
    rows = dict(status_rows(examples.status(verification=verification)))
    assert rows.get("verification") == said


def test_task_scores_come_with_their_standard_error():
    rows = dict(result_rows(examples.result(), cost_usd=0.0011))
    # sqrt(0.5 × 0.5 / 100) = 0.05
    assert rows["synthetic_world"].startswith("acc 50.00 ± 5.00 %")
    assert rows["cost"] == "$0.0011"


ESTIMATE = Estimate(
    num_parameters=2_000,
    num_active_parameters=1_000,
    training_flops_per_token=1e3,
    training_flops=1.5e15,
    memory_bytes=7 * 2**30,
    memory_bytes_range=(6 * 2**30, 8 * 2**30),
    memory_parts={"weights": 2 * 2**30, "activations": 4 * 2**30, "loss": 2**30},
    train_seconds={"H200": 17.0, "A100": 60.0},
    train_seconds_range={"H200": (14.0, 20.0), "A100": (40.0, 90.0)},
    train_tokens={"H200": 8e6, "A100": 8e6},
    train_tokens_range={"H200": (8e6, 8e6), "A100": (8e6, 8e6)},
    measured_gpus=("H200",),
    cost_usd={"H200": 0.04, "A100": 0.02},
    cost_usd_range={"H200": (0.03, 0.05), "A100": (0.01, 0.03)},
)


def test_an_estimate_shows_ranges_and_what_is_unmeasured():
    rows = dict(estimate_rows(ESTIMATE))
    assert rows["parameters"] == "2,000 (1,000 active)"
    assert rows["memory, roughly"] == (
        "7.0 GiB: activations 4.0 GiB, weights 2.0 GiB, loss 1.0 GiB, …"
    )
    assert rows["training on H200"] == "17 s (14 s to 20 s), $0.0400"
    assert rows["training on A100"] == "1 min 0 s (40 s to 1 min 30 s), $0.0200, unmeasured"
    assert "vendors' rates" in rows["unmeasured"]


def test_an_estimate_of_measured_gpus_explains_nothing():
    everywhere = ESTIMATE.model_copy(update={"measured_gpus": ("H200", "A100")})
    assert "unmeasured" not in dict(estimate_rows(everywhere))


def test_an_estimate_in_dollars_shows_the_tokens_that_they_buy():
    tokens = {"H200": 2e9, "A100": 1e9}
    ranges = {"H200": (1.5e9, 2.5e9), "A100": (0.6e9, 1.6e9)}
    bought = ESTIMATE.model_copy(update={"train_tokens": tokens, "train_tokens_range": ranges})
    row = dict(estimate_rows(bought))["training on H200"]
    assert row == "2,000 million tokens (1,500 to 2,500) in 17 s, $0.0400"


def test_a_failed_run_ends_with_its_log_as_it_is():
    stream = io.StringIO()
    console = Console(file=stream, width=30)
    print_last_lines(console, examples.status(state="running"))
    assert stream.getvalue() == ""
    lines = ["[bold]step 1[/bold] :warning: " + "x" * 30, "loss is nan"]
    failed = examples.status(state="failed", failure="diverged", last_lines=lines)
    print_last_lines(console, failed)
    assert stream.getvalue().splitlines() == ["The last 2 lines of its log:", *lines]
    assert "last lines" not in dict(status_rows(failed))


def test_a_failed_run_says_whose_fault_it_is_and_where_its_log_is():
    failed = examples.status(state="failed", failure="diverged", failure_message="The loss is nan.")
    rows = dict(status_rows(failed))
    assert rows["failure"] == "diverged, the submission's fault: The loss is nan."
    assert "learning rates" in rows["what to do"]
    assert rows["last lines"] == "runner logs r_1"
