"""Pictures of metrics."""

from core.schema.metric_point import MetricPoint
from runner.runs import plot as plot_module
from runner.runs.plot import plot_metrics
from tests.runner import examples


def with_load(step: int) -> MetricPoint:
    load = {
        "expert_max_violation": 0.25,
        "worst_expert_max_violation": 0.5,
        "idle_expert_share": 0.0,
    }
    return examples.metric(step).model_copy(update=load)


def test_without_points_there_is_no_picture(tmp_path):
    plot_metrics([], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_pictures_are_written_even_without_a_validation(tmp_path):
    plot_metrics([examples.metric(1), examples.metric(2)], tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["learning_rate.png", "loss.png"]


def test_the_load_of_experts_has_a_picture_from_the_step_where_it_was_measured(
    tmp_path, monkeypatch
):
    drawn = {}
    monkeypatch.setattr(
        plot_module, "_plot", lambda path, _, curves: drawn.update({path.name: curves})
    )
    plot_metrics([examples.metric(1), with_load(2)], tmp_path)
    assert drawn["expert_load.png"] == {
        "mean of layers": [(2, 0.25)],
        "worst layer": [(2, 0.5)],
        "idle experts": [(2, 0.0)],
    }
    monkeypatch.undo()
    plot_metrics([with_load(1)], tmp_path)
    assert (tmp_path / "expert_load.png").read_bytes().startswith(b"\x89PNG")
