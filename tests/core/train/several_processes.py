"""Training by several processes on the processor: a program for torchrun, and its parent's side.

`python several_processes.py FOLDER` runs under torchrun and leaves what the tests look at in
FOLDER/results.pt.
"""

import copy
import os
import sys
import time
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Shard, distribute_tensor

from core.data.loader import RowLoader
from core.optim.muon import Rates, Stack, UpdateRule, update_stack
from core.optim.share_update import ShareUpdate
from core.schema.experiment import ExperimentConfig
from core.schema.overrides import resolve
from core.tracks import load_tracks
from core.train.checkpoint import Checkpoint
from core.train.clock import Clock
from core.train.distributed import ALONE, AgreedReporter, Processes, joined
from core.train.pace import FixedPace
from core.train.trainer import Trainer, Validation

NUM_STEPS = 16
BASE = resolve(
    load_tracks()["debug"].base,
    {
        "model.hidden_size": 32,
        "model.attention.num_heads": 2,
        "model.feed_forward.hidden_size": 24,
        "model.feed_forward.num_experts": 3,
        "model.feed_forward.router_noise": 0.0,
        "training.tokens": NUM_STEPS * 8 * 16,
        "training.batch_size": 8,
        "training.gradient_accumulation_steps": 2,
        "training.sequence_length": 16,
        "evaluation.sequence_length": 16,
        "evaluation.interval_steps": 8,
        "optimizer.adamw.learning_rate": 0.01,
    },
)
"""Three experts for two processes: one has a whole matrix more."""
RICH = resolve(
    BASE,
    {
        "model.attention.output_gate": "channel",
        "model.feed_forward.balancing": "bias",
        "model.feed_forward.router_z_loss_weight": 0.01,
        "model.embedding_mix": True,
        "model.tie_embeddings": False,
        "model.extra_predictions": 1,
        "optimizer.muon.neuron_norm": True,
        "optimizer.muon.weight_decay": 0.1,
        "optimizer.ema_decay": 0.9,
    },
)
BFLOAT16 = {"training.precision": "bfloat16"}
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
TOKENS = np.random.default_rng(0).integers(0, 40, 8000).astype(np.uint16)
ROWS = np.random.default_rng(1).integers(0, 40, (19, 16)).astype(np.uint16)


class Recorder:
    def __init__(self):
        self.losses = {}
        self.norms = {}
        self.loads = {}

    def phase(self, phase, completed, total):
        pass

    def metric(self, point):
        self.losses[point.step] = point.train_loss
        self.norms[point.step] = point.gradient_norm
        self.loads[point.step] = point.expert_max_violation

    def should_stop(self):
        return False


class Stop(Exception):
    pass


def build(experiment: ExperimentConfig, processes: Processes = ALONE, seed: int = 1):
    device, recorder = torch.device("cpu"), Recorder()
    trainer = Trainer(
        experiment=experiment,
        seed=seed,
        separator_id=0,
        loader=RowLoader(TOKENS, experiment.training, 1),
        validation=Validation(ROWS, 1000),
        pace=FixedPace(experiment.training),
        device=device,
        is_compiled=False,
        clock=Clock(device, processes.agree),
        reporter=recorder,
        processes=processes,
    )
    return trainer, recorder


def train(trainer: Trainer, stop_at: int | None = None) -> None:
    def after_chunk():
        if stop_at is not None and trainer.step >= stop_at:
            raise Stop

    try:
        trainer.train(after_chunk)
    except Stop:
        return


def trained(
    experiment: ExperimentConfig, processes: Processes = ALONE, resumed: Checkpoint | None = None
) -> dict:
    """Losses and scores of a run, and its checkpoint after half of the steps."""
    trainer, recorder = build(experiment, processes, seed=1 if resumed is None else 99)
    trainer.warm_up()
    half = resumed
    if resumed is None:
        train(trainer, stop_at=NUM_STEPS // 2)
        half = copy.deepcopy(trainer.checkpoint())
    else:
        trainer.resume(resumed)
    train(trainer)
    score = trainer.validate()
    return {
        "losses": recorder.losses,
        "norms": recorder.norms,
        "loads": recorder.loads,
        "val_loss": score.loss,
        "num_correct": score.num_correct,
        "half": (half.step, dict(half.weights), dict(half.state)),
        "weights": dict(trainer.checkpoint().weights),
    }


def decisions(processes: Processes) -> list[dict]:
    """What each process is told."""
    rank = processes.rank
    with processes.main_first():
        time.sleep(0.1)
        order = time.monotonic()
    recorder = Recorder()
    recorder.should_stop = lambda: rank == 0
    told = {
        "agree": processes.agree(10.0 + rank),
        "largest": processes.largest(10.0 + rank),
        "mean": processes.mean(torch.tensor(10.0 + rank)).item(),
        "gather": processes.gather(rank),
        "should_stop": AgreedReporter(recorder, processes).should_stop(),
        "order": order,
        "random": torch.rand(4),
    }
    return processes.gather(told)


def uneven_updates() -> list[float]:
    """Largest differences between Muon's step on shares and on whole parameters.

    Three matrices of 5 rows, one of a single row, and a stack of a single matrix cannot be
    divided evenly by two.
    """
    torch.manual_seed(0)
    mesh = init_device_mesh("cpu", (2,))
    rates = Rates(torch.tensor(0.1), torch.tensor(0.9), torch.tensor(0.5))
    rule = UpdateRule(torch.float32, True, 5, "quintic", 0.9, 0.1, True)
    differences = []
    for shapes in ([(5, 3)] * 3, [(1, 4)], [(1, 4, 2)], [(3, 4, 2), (4, 2)]):
        whole = Stack(
            *([torch.rand(shape) - 0.5 for shape in shapes] for _ in range(3)),
            [torch.rand(*shape[:-1], 1) for shape in shapes],
        )
        shares = Stack(
            *([distribute_tensor(t, mesh, [Shard(0)]) for t in tensors] for tensors in whole)
        )
        update_stack(whole, rates, rule)
        ShareUpdate(lambda function: function)(shares, rates, rule)
        for one, other in zip(chain(*whole), chain(*shares), strict=True):
            differences.append((one - other.full_tensor()).abs().max().item())
    return differences


def main() -> None:
    torch.set_num_threads(1)
    folder, results = Path(sys.argv[1]), {}
    alone = torch.load(folder / "alone.pt")
    with joined(torch.device("cpu"), "full") as processes:
        for sharding in ("none", "full"):
            kind = Processes(processes.rank, processes.size, sharding, processes.control)
            for name, experiment in (("base", BASE), ("rich", RICH)):
                results[sharding, name] = trained(experiment, kind)
            results[sharding, "bfloat16"] = trained(resolve(RICH, BFLOAT16), kind)
            half = Checkpoint(*copy.deepcopy(alone["rich"]["half"]))
            results[sharding, "resumed"] = trained(RICH, kind, half)
        results["decisions"] = decisions(processes)
        results["uneven"] = uneven_updates()
        if processes.is_main:
            torch.save(results, folder / "results.pt")


if __name__ == "__main__":
    main()
