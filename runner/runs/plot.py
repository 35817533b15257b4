"""Pictures of a run's metrics, by matplotlib."""

from collections.abc import Sequence
from pathlib import Path

from core.schema.metric_point import MetricPoint

SIZE_INCHES = (8.0, 4.5)
EXPERT_CURVES = {
    "mean of layers": "expert_max_violation",
    "worst layer": "worst_expert_max_violation",
    "idle experts": "idle_expert_share",
}


def plot_metrics(points: Sequence[MetricPoint], folder: Path) -> None:
    """Write `loss.png`, `learning_rate.png` and, of a model with experts, `expert_load.png`.

    Without points, nothing is written.
    """
    if not points:
        return
    measured = [p for p in points if p.val_loss is not None]
    _plot(
        folder / "loss.png",
        "loss (nats per token)",
        {
            "training": [(p.step, p.train_loss) for p in points],
            "validation": [(p.step, p.val_loss or 0.0) for p in measured],
        },
    )
    _plot(
        folder / "learning_rate.png",
        "learning rate",
        {
            "Muon": [(p.step, p.learning_rate) for p in points],
            "AdamW": [(p.step, p.adamw_learning_rate) for p in points],
        },
    )
    load: dict[str, list[tuple[int, float]]] = {
        name: [(p.step, value) for p in points if (value := getattr(p, field)) is not None]
        for name, field in EXPERT_CURVES.items()
    }
    if any(load.values()):
        _plot(folder / "expert_load.png", "imbalance (MaxVio); idle share", load)


def _plot(path: Path, label: str, curves: dict[str, list[tuple[int, float]]]) -> None:
    # A Figure of one's own needs no display, and leaves matplotlib's global state alone.
    from matplotlib.figure import Figure

    figure = Figure(figsize=SIZE_INCHES, layout="constrained")
    axes = figure.add_subplot()
    for name, points in curves.items():
        if points:
            axes.plot(
                *zip(*points, strict=True), label=name, marker="." if name == "validation" else ""
            )
    axes.set_xlabel("step")
    axes.set_ylabel(label)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path)
