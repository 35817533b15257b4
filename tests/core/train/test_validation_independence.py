"""The same weights have the same validation loss, whatever they are trained with.

`python test_validation_independence.py FOLDER` is what two processes run under torchrun: it
reads FOLDER/weights.pt and leaves the scores of the grid in FOLDER/scores.pt.
"""

import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
import torch.nn.functional as F

from core.model.transformer import Transformer
from core.schema.overrides import resolve
from core.train.distributed import ALONE, Processes, joined
from core.train.model_state import build_model, load_model_state
from tests.core.train.several_processes import BASE, ENVIRONMENT, ROWS, build, train

ROOT = Path(__file__).resolve().parents[3]
EXPERIMENT = resolve(
    BASE,
    {
        # What evaluation must leave out: dropout, noise, extra predictions and balancing.
        "model.dropout": 0.1,
        "model.feed_forward.router_noise": 0.1,
        "model.feed_forward.balancing": "bias",
        "model.extra_predictions": 1,
        "model.tie_embeddings": False,
        "optimizer.muon.neuron_norm": True,
    },
)


class Way(NamedTuple):
    """How a model is trained; validation rows have 16 tokens in every case."""

    batch_size: int
    sequence_length: int
    parts: int
    """Gradient accumulation steps."""
    precision: str
    weights: str
    """Number format of weights, gradients and optimizer state."""


FORMATS = (("float32", "float32"), ("bfloat16", "float32"), ("bfloat16", "bfloat16"))
GRID = [
    Way(*sizes, *formats)
    for *sizes, formats in product((4, 16), (8, 64), (1, 2), FORMATS)
    if sizes[0] == 16 or sizes[2] == 1
]


class Scored(NamedTuple):
    """What one validation gave."""

    loss: float
    num_correct: int
    num_tokens: int


def validated(way: Way, weights: dict[str, torch.Tensor], processes: Processes = ALONE) -> Scored:
    """Train a step in some way, put the weights in place, and validate as a run does."""
    settings = way._asdict()
    settings["gradient_accumulation_steps"] = settings.pop("parts")
    overrides = {f"training.{name}": value for name, value in settings.items()}
    overrides |= {"training.tokens": 0, "training.steps": 1}
    trainer, _ = build(resolve(EXPERIMENT, overrides), processes, seed=way.batch_size)
    trainer.warm_up()
    load_model_state(trainer.model, weights)
    score = trainer.validate()
    return Scored(score.loss, score.num_correct, score.num_tokens)


@pytest.fixture(scope="module")
def weights() -> dict[str, torch.Tensor]:
    """Of a trained model, rounded so that every number format has them."""
    trainer, _ = build(EXPERIMENT)
    train(trainer)
    return {name: t.bfloat16().float() for name, t in trainer.checkpoint().weights.items()}


@pytest.fixture(scope="module")
def scores(weights, tmp_path_factory) -> dict[tuple[str, Way], Scored]:
    """By one process, and by two that hold copies (DDP) or shares (FSDP2) of the model."""
    folder = tmp_path_factory.mktemp("scores")
    torch.save(weights, folder / "weights.pt")
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    ended = subprocess.run(
        [sys.executable, *command, __file__, str(folder)],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
        env={**ENVIRONMENT, "PYTHONPATH": str(ROOT)},
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    together = torch.load(folder / "scores.pt", weights_only=False)
    alone = {("alone", way): validated(way, weights) for way in GRID}
    return alone | {(sharding, Way(*way)): Scored(*score) for sharding, way, score in together}


@torch.no_grad()
def reference_loss(weights: dict[str, torch.Tensor]) -> float:
    """Nats a token, one row at a time, by PyTorch's own loss on whole logits."""
    model: Transformer = build_model(EXPERIMENT, 0, separator_id=0).eval()
    load_model_state(model, weights)
    nats = 0.0
    for row in torch.from_numpy(ROWS.astype("int64")):
        logits_BTV, _ = model(row[None])
        nats += F.cross_entropy(logits_BTV[0, :-1].double(), row[1:], reduction="sum").item()
    return nats / (ROWS.shape[0] * (ROWS.shape[1] - 1))


def of_precision(scores: dict[tuple[str, Way], Scored], precision: str) -> list[Scored]:
    return [score for (_, way), score in scores.items() if way.precision == precision]


def test_the_grid_has_every_way_of_sharing_out_the_work(scores):
    assert set(scores) == set(product(("alone", "none", "full"), GRID))
    assert len(scores) == 3 * 2 * 3 * 3


def test_in_float32_the_loss_is_that_of_the_weights_however_they_are_trained(scores, weights):
    expected = reference_loss(weights)
    measured = of_precision(scores, "float32")
    assert [score.loss for score in measured] == pytest.approx([expected] * 18, abs=1e-5)
    assert len({score.num_correct for score in measured}) == 1
    assert {score.num_tokens for score in measured} == {19 * 15}


def test_in_bfloat16_the_format_of_weights_and_optimizer_state_does_not_matter(scores, weights):
    measured = of_precision(scores, "bfloat16")
    assert [score.loss for score in measured] == pytest.approx([measured[0].loss] * 36, abs=1e-5)
    # Products rounded to 8 bits: near the loss of the weights, and not it.
    assert measured[0].loss == pytest.approx(reference_loss(weights), abs=0.01)


def test_other_weights_have_another_loss(scores, weights):
    way = GRID[0]
    moved = weights | {"norm.weight": weights["norm.weight"] * 1.01}
    assert abs(validated(way, moved).loss - scores["alone", way].loss) > 1e-5


def main() -> None:
    torch.set_num_threads(1)
    folder, scores = Path(sys.argv[1]), []
    weights = torch.load(folder / "weights.pt")
    with joined(torch.device("cpu"), "full") as processes:
        for sharding, way in product(("none", "full"), GRID):
            kind = Processes(processes.rank, processes.size, sharding, processes.control)
            scores.append((sharding, tuple(way), tuple(validated(way, weights, kind))))
        if processes.is_main:
            torch.save(scores, folder / "scores.pt")


if __name__ == "__main__":
    main()
