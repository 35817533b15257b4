"""Local runs side by side."""

import pytest

from core.schema.compared_settings import ComparedSetting
from runner.errors import NotFound
from runner.runs.comparison import compare_folders
from runner.runs.run_folder import RunFolder
from tests.runner import examples


def make_run(path, val_loss: float, dropout: float = 0.0, train_hash: str = "0" * 64):
    folder = RunFolder(path)
    spec = examples.spec()
    model = spec.experiment.model.model_copy(update={"dropout": dropout})
    experiment = spec.experiment.model_copy(update={"model": model})
    folder.prepare(spec.model_copy(update={"experiment": experiment}), examples.environment(path))
    folder.write_result(examples.result(val_loss, train_hash))
    return path


def test_differences_are_second_less_first(tmp_path):
    a = make_run(tmp_path / "a", 2.0)
    b = make_run(tmp_path / "b", 1.75, dropout=0.5)
    comparison = compare_folders([a, b])
    assert comparison.settings == (
        ComparedSetting(path="model.dropout", values=(0.0, 0.5), present=(True, True)),
    )
    loss = comparison.figures[0]
    assert (loss.label, loss.values, loss.deltas) == ("Validation loss", (2.0, 1.75), (None, -0.25))
    assert comparison.notice == ""
    assert comparison.figures[-1].label == "synthetic_world acc_norm"


def test_times_have_no_difference(tmp_path):
    a, b = make_run(tmp_path / "a", 2.0), make_run(tmp_path / "b", 2.0)
    speeds = [f for f in compare_folders([a, b]).figures if f.quantity == "seconds"]
    assert [figure.deltas for figure in speeds] == [(None, None)]


def test_runs_on_other_data_are_shown_without_differences(tmp_path):
    a, b = make_run(tmp_path / "a", 2.0), make_run(tmp_path / "b", 2.0, train_hash="1" * 64)
    comparison = compare_folders([a, b])
    assert "no differences" in comparison.notice
    assert {figure.deltas for figure in comparison.figures} == {(None, None)}


def test_a_run_on_other_data_takes_no_differences_from_the_rest(tmp_path):
    a, b = make_run(tmp_path / "a", 2.0), make_run(tmp_path / "b", 2.0, train_hash="1" * 64)
    c = make_run(tmp_path / "c", 1.5)
    comparison = compare_folders([a, b, c])
    assert comparison.figures[0].deltas == (None, None, -0.5)
    assert comparison.notice.endswith(f"no differences: {b}.")


def test_a_checkpoint_stands_for_its_run(tmp_path):
    a, b = make_run(tmp_path / "a", 2.0), make_run(tmp_path / "b", 1.0)
    checkpoint = b / "checkpoint-000000250"
    checkpoint.mkdir()
    (checkpoint / "manifest.json").write_text("{}")
    assert compare_folders([a, checkpoint]).figures[0].values == (2.0, 1.0)


def test_a_folder_without_a_result_is_named(tmp_path):
    a = make_run(tmp_path / "a", 2.0)
    with pytest.raises(NotFound, match=r"nothing has no result\.json"):
        compare_folders([a, tmp_path / "nothing"])
