"""Pictures of metrics."""

from runner.runs.plot import plot_metrics
from tests.runner import examples


def test_without_points_there_is_no_picture(tmp_path):
    plot_metrics([], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_pictures_are_written_even_without_a_validation(tmp_path):
    plot_metrics([examples.metric(1), examples.metric(2)], tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["learning_rate.png", "loss.png"]
