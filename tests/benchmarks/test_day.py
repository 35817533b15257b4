import typer
from typer.testing import CliRunner

from benchmarks import day, fake_training


def test_the_books_balance_after_a_few_minutes():
    app = typer.Typer()
    app.command()(day.main)
    answer = CliRunner().invoke(app, ["--hours", "0.1", "--speed", "200", "--workers", "2"])
    assert answer.exit_code == 0, answer.output
    assert "| faults found | 0 |" in answer.output
    assert "| faults caused | " in answer.output


def test_a_day_with_faults_says_so(capsys):
    day.report({"faults found": "1"}, ["run r_1 has no job"])
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "| faults found | 1 |",
        "- run r_1 has no job",
    ]


def test_what_is_made_up_depends_on_experiment_and_seed_alone():
    losses = [
        fake_training.final_loss({"a": a}, seed) for a, seed in [(1, 1), (1, 1), (2, 1), (1, 2)]
    ]
    assert losses[0] == losses[1]
    assert len(set(losses)) == 3
    assert all(1.9 < loss < 2.1 for loss in losses)
