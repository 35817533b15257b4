"""Training that is not: reports metrics and checkpoints as a run does, and makes up the result.

`python -S benchmarks/fake_training.py RESULT SPEED RUN_FOLDER PARENT_PID`; needs nothing but the
standard library, so that it starts at once. A run takes four minutes divided by the speed. A few
diverge, run out of memory, or are killed, by chance, which differs with every attempt.
"""

import hashlib
import json
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

NUM_STEPS = 200
RUN_SECONDS = 240.0
CHECKPOINT_SECONDS = 60.0
STEPS_AT_ONCE = 10
PREFIX = "checkpoint-"
NOISE = 0.002
SPREAD = 0.02
DIVERGES, RUNS_OUT, IS_KILLED = 0.02, 0.03, 0.05
"""Of chance, in this order."""


def main(template: Path, speed: float, folder: Path, parent: int) -> None:
    """Train a run folder."""
    asked: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: asked.append(number))
    spec = json.loads((folder / "spec.json").read_text())
    loss = final_loss(spec["experiment"], spec["seed"])
    done = max((int(path.name[len(PREFIX) :]) for path in folder.glob(f"{PREFIX}*")), default=0)
    ends_at = fate(spec, random.Random())
    drop_torn_line(folder / "metrics.jsonl")
    say(f"run {spec['run_id']}: from step {done}")
    saved_at = time.monotonic()
    with (folder / "metrics.jsonl").open("a") as metrics:
        while done < NUM_STEPS:
            time.sleep(RUN_SECONDS / speed * STEPS_AT_ONCE / NUM_STEPS)
            for step in range(done + 1, done + STEPS_AT_ONCE + 1):
                metrics.write(json.dumps(point(step, loss)) + "\n")
            metrics.flush()
            done += STEPS_AT_ONCE
            progress = {"phase": "training", "completed": done, "total": NUM_STEPS}
            replace(folder / "phase.json", progress)
            if done == ends_at[0]:
                end(folder, ends_at[1])
            is_due = time.monotonic() - saved_at > CHECKPOINT_SECONDS / speed
            if os.getppid() != parent or asked or is_due:
                (folder / f"{PREFIX}{done:09d}").mkdir(exist_ok=True)
                saved_at = time.monotonic()
            if os.getppid() != parent or asked:
                sys.exit(130)
    say(f"finished with validation loss {loss:.4f}")
    result = json.loads(template.read_text())
    replace(folder / "result.json", result | {"seed": spec["seed"], "val_loss": loss})


def say(line: str) -> None:
    """Add a line to the log."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def final_loss(experiment: dict[str, Any], seed: int) -> float:
    """The validation loss of an experiment and a seed, always the same."""
    config = json.dumps(experiment, sort_keys=True).encode()
    quality = int.from_bytes(hashlib.sha256(config).digest()[:4]) / 2**32
    return round(2.0 + SPREAD * (quality - 0.5) + random.Random(seed).gauss(0.0, NOISE), 6)


def fate(spec: dict[str, Any], chance: random.Random) -> tuple[int, str]:
    """After which step this attempt ends badly, and how; step 0 for never.

    Whether an experiment diverges or runs out of memory is its own; being killed is not.
    """
    config = json.dumps(spec["experiment"], sort_keys=True)
    own = random.Random(config).random()
    step = chance.randrange(STEPS_AT_ONCE, NUM_STEPS, STEPS_AT_ONCE)
    if own < RUNS_OUT:
        return step, "diverged" if own < DIVERGES else "out_of_memory"
    return (step, "killed") if chance.random() < IS_KILLED else (0, "")


def end(folder: Path, how: str) -> None:
    """End this process badly."""
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    replace(folder / "failure.json", {"kind": how, "message": "It was made up."})
    sys.exit(6)


def point(step: int, loss: float) -> dict[str, float | None]:
    """The metrics of a step."""
    validates = step % 50 == 0
    reached = loss + 5.0 * (1.0 - step / NUM_STEPS)
    return {
        "step": step,
        "tokens": step * 128,
        "train_seconds": step * RUN_SECONDS / NUM_STEPS,
        "train_loss": reached,
        "learning_rate": 0.03,
        "adamw_learning_rate": 0.003,
        "gradient_norm": 1.0,
        "tokens_per_second": 106.7,
        "val_loss": reached if validates else None,
        "val_accuracy": 0.4 if validates else None,
    }


def replace(path: Path, content: object) -> None:
    """Write a file in one step."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps(content))
    part.rename(path)


def drop_torn_line(path: Path) -> None:
    """Cut off a last line that a killed process left without its end."""
    if path.exists():
        content = path.read_bytes()
        path.write_bytes(content[: content.rfind(b"\n") + 1])


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
