import json

import pytest
from typer.testing import CliRunner

from benchmarks import speed
from benchmarks.child import ChildFailed
from benchmarks.measurement import MachineFigures, RateFigures, RunFigures
from benchmarks.speed_plan import FULL, QUICK, plan
from benchmarks.speed_rows import ROWS, fast_name
from core.schema.overrides import resolve
from core.tracks import load_tracks


def run_figures(**changes):
    figures = RunFigures(
        steps=500,
        tokens_per_second=500_000.0,
        flops_per_token=6e8,
        peak_memory_bytes=8 * 1024**3,
        compile_seconds=40.0,
        train_seconds=16.4,
        eval_seconds=2.0,
        validation_tokens=1_636_800,
        num_questions=0,
        val_loss=4.6,
    )
    return figures.model_copy(update=changes)


def table(capsys, rows, outcomes, num_seeds=1):
    """Lines that a table prints for outcomes in this order."""
    shown = speed.Table(rows, num_seeds, None)
    capsys.readouterr()
    for name, outcome in outcomes.items():
        shown.add(name, outcome)
    return capsys.readouterr().out.splitlines()


@pytest.fixture
def app():
    typer_app = speed.typer.Typer()
    typer_app.command()(speed.main)
    return typer_app


def test_the_quick_mode_measures_a_run_in_child_processes(app, tmp_path):
    arguments = ["--quick", "--only", "validation,matmul", "--json", str(tmp_path / "figures.json")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    document = json.loads((tmp_path / "figures.json").read_text())
    assert document["errors"] == {}
    assert document["figures"]["first run"]["steps"] == QUICK.steps
    # 100 rows of 128 tokens, each of which predicts all but its first.
    assert document["figures"]["first run"]["validation_tokens"] == 12_700
    rows = [line for line in result.stdout.splitlines() if line.startswith("|")]
    assert [row.split(" | ")[0] for row in rows[2:]] == [
        "| largest matrix rate",
        "| one validation",
    ]


def test_an_unknown_row_is_refused_with_the_known_ones(app):
    result = CliRunner().invoke(app, ["--only", "speed,memroy"])
    assert result.exit_code == 2
    assert "memroy" in result.stderr
    assert "memory" in result.stderr


def test_utilisation_is_achieved_flops_over_the_measured_rate(capsys):
    machine = MachineFigures(device="GPU", torch="2.11", flops_per_second=600e12)
    # 6e8 × 500,000 = 3e14, half of 6e14.
    (line,) = table(capsys, ["speed"], {"machine": machine, "first run": run_figures()})
    assert "| 50.0% model FLOPs utilisation |" in line


def test_tasks_are_an_evaluation_with_them_less_one_without(capsys):
    second = run_figures(eval_seconds=14.5, num_questions=13_590)
    (line,) = table(capsys, ["tasks"], {"first run": run_figures(), "second run": second})
    assert "| 12.5 s |" in line
    assert "13,590 questions" in line


def test_losses_are_compared_by_their_means_over_seeds(capsys):
    losses = {
        "first run": 4.60,
        "fast run 2": 4.62,
        "reference run 1": 4.59,
        "reference run 2": 4.65,
    }
    outcomes = {name: run_figures(val_loss=loss) for name, loss in losses.items()}
    (line,) = table(capsys, ["loss"], outcomes, num_seeds=2)
    assert "| 4.6100 | 4.6200 | -0.0100 |" in line


def test_the_race_says_how_long_training_took_and_to_which_loss(capsys):
    outcomes = {
        "race 1": run_figures(val_loss=4.60, train_seconds=7.9),
        "race 2": run_figures(val_loss=4.58, train_seconds=8.1),
    }
    (line,) = table(capsys, ["race"], outcomes, num_seeds=2)
    assert "| 4.5900 | 4.61 | 8.00 s of training | 4.6000 in 7.90 s; 4.5800 in 8.10 s |" in line


def test_the_race_is_a_config_of_the_track_that_fits_it(tmp_path):
    (group,) = plan(FULL, ["race"], 1, None, tmp_path)
    request = group.works["race 1"]
    experiment = resolve(load_tracks()[request.track].base, request.overrides)
    assert experiment.model.num_layers == 6
    assert experiment.training.tokens % (16 * 1024) == 0
    assert experiment.evaluation.tasks == ()


def test_a_failed_measurement_spoils_the_rows_that_need_it_alone(capsys):
    outcomes = {
        "triton": ChildFailed("RuntimeError: a | b"),
        "first run": run_figures(),
        "data": RateFigures(tokens_per_second=3.0, reference_tokens_per_second=4.0),
    }
    lines = table(capsys, ["validation", "triton", "data"], outcomes)
    assert any(line.startswith("| one validation | 2.00 s |") for line in lines)
    assert any("failed" in line and r"triton: RuntimeError: a \| b" in line for line in lines)
    assert any("| 0.75 × |" in line for line in lines)


def test_a_child_that_fails_says_why(tmp_path):
    request = speed.plan(QUICK, ["triton"], 1, None, tmp_path / "tokens")[-1].works["triton"]
    broken = request.model_copy(update={"track": "no_such_track"})
    with (
        speed.Child(broken, tmp_path / "child", tmp_path / "caches") as child,
        pytest.raises(ChildFailed, match="KeyError: 'no_such_track'"),
    ):
        child.figures(60.0)


def test_only_what_the_rows_need_is_measured(tmp_path):
    groups = plan(FULL, ["loss", "compile"], 3, None, tmp_path)
    assert [list(group.works) for group in groups] == [
        ["first run"],
        ["second run"],
        ["fast run 2", "fast run 3"],
        ["reference run 1", "reference run 2", "reference run 3"],
    ]
    reference = groups[-1].works["reference run 2"]
    assert reference.seed == 1001
    assert reference.overrides == groups[0].works["first run"].overrides


def test_the_warm_run_comes_after_the_cold_one(tmp_path):
    names = [name for group in plan(FULL, list(ROWS), 1, None, tmp_path) for name in group.works]
    assert names.index(fast_name(0)) < names.index("second run")
    assert {name for row in ROWS.values() for name in row.needs(1)} == set(names)
