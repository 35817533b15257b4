"""Checkpoints: written whole or not at all, resumed from the newest that is whole.

`core.train.checkpoint_folder` says what they consist of.
"""

import hashlib
import json
import logging
import os
import pickle
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from core.durable import flush_to_disk
from core.errors import CheckpointCorrupt, CheckpointNotWritten
from core.schema.job import RunSpec
from core.train.checkpoint_folder import PREFIX, checkpoint_folder, checkpoint_folders

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checkpoint:
    """All that a run needs to go on."""

    step: int
    """Optimizer steps done."""
    weights: Mapping[str, Tensor]
    state: Mapping[str, Any]
    """Optimizers, random number generators, clock and progress; tensors and plain values."""


def save_checkpoint(directory: Path, spec: RunSpec, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint beside the newest one, which stays in case this one is damaged later.

    A reader sees it only when it is complete and on the disk.

    Raises:
        CheckpointNotWritten: the disk is full or broken; nothing of it is left.
    """
    target = checkpoint_folder(directory, checkpoint.step)
    temporary = directory / f".{target.name}.{os.getpid()}"
    for unfinished in directory.glob(f".{PREFIX}*"):
        shutil.rmtree(unfinished, ignore_errors=True)
    before = [path for path in checkpoint_folders(directory) if path.name < target.name][-1:]
    for other in checkpoint_folders(directory):
        # A later one than this was passed over, because it is damaged.
        if other not in (*before, target):
            shutil.rmtree(other, ignore_errors=True)
    try:
        _write(temporary, spec, checkpoint)
        shutil.rmtree(target, ignore_errors=True)
        temporary.rename(target)
        flush_to_disk(directory)
    # PyTorch says RuntimeError of a file that it cannot write.
    except (OSError, SafetensorError, RuntimeError) as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise CheckpointNotWritten(
            f"the checkpoint after step {checkpoint.step} was not written to {directory}: {error}"
        ) from error
    return target


def drop_older_checkpoints(directory: Path) -> None:
    """Delete all checkpoints but the newest."""
    for older in checkpoint_folders(directory)[:-1]:
        shutil.rmtree(older, ignore_errors=True)


def _write(temporary: Path, spec: RunSpec, checkpoint: Checkpoint) -> None:
    """Put all files of a checkpoint on the disk."""
    temporary.mkdir(parents=True)
    weights = {name: tensor.detach().contiguous() for name, tensor in checkpoint.weights.items()}
    save_file(weights, temporary / "model.safetensors")
    torch.save(dict(checkpoint.state), temporary / "state.pt")
    (temporary / "config.json").write_text(spec.model_dump_json(indent=2))
    files = {path.name: _sha256(path) for path in sorted(temporary.iterdir())}
    manifest = {"run_id": spec.run_id, "step": checkpoint.step, "files": files}
    (temporary / "manifest.json").write_text(json.dumps(manifest, indent=2))
    for path in temporary.iterdir():
        flush_to_disk(path)
    flush_to_disk(temporary)


def load_newest_checkpoint(directory: Path, spec: RunSpec) -> Checkpoint | None:
    """The newest whole checkpoint of this run, or None; others are logged and passed over."""
    for folder in reversed(checkpoint_folders(directory)):
        try:
            if not read_spec(folder).is_same_run(spec):
                raise CheckpointCorrupt(f"{folder} belongs to another run or config")
            return read_checkpoint(folder)
        except CheckpointCorrupt as error:
            logger.warning("ignoring a checkpoint: %s", error)
    return None


def newest_checkpoint_folder(directory: Path) -> Path:
    """The checkpoint folder in a run folder, or the folder itself if it is one.

    Raises:
        CheckpointCorrupt: there is none.
    """
    if (directory / "manifest.json").is_file():
        return directory
    folders = checkpoint_folders(directory)
    if not folders:
        raise CheckpointCorrupt(
            f"{directory} is no checkpoint and holds none; give a run folder that `runner train` "
            "wrote, or a `checkpoint-...` folder in one"
        )
    return folders[-1]


def read_spec(folder: Path) -> RunSpec:
    """The run that a checkpoint folder belongs to.

    Raises:
        CheckpointCorrupt: missing or damaged.
    """
    try:
        return RunSpec.model_validate_json((folder / "config.json").read_text())
    except (OSError, ValueError) as error:
        raise CheckpointCorrupt(f"{folder}/config.json is missing or damaged") from error


def read_checkpoint(folder: Path) -> Checkpoint:
    """Read a checkpoint folder, its hashes checked; tensors on the processor.

    Raises:
        CheckpointCorrupt: missing, incomplete or damaged.
    """
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
        for name, digest in manifest["files"].items():
            if _sha256(folder / name) != digest:
                raise CheckpointCorrupt(f"{folder / name} is damaged: its hash differs")
        return Checkpoint(
            step=manifest["step"],
            weights=load_file(folder / "model.safetensors"),
            state=torch.load(folder / "state.pt", map_location="cpu", weights_only=True),
        )
    except (OSError, ValueError, KeyError, TypeError, pickle.UnpicklingError) as error:
        raise CheckpointCorrupt(
            f"{folder} is incomplete or damaged: {str(error).splitlines()[0]}"
        ) from error


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
