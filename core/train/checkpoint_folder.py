"""Where checkpoints lie, for those that only move them; nothing here needs PyTorch.

A run folder holds `checkpoint-<step>/` with `model.safetensors`, `state.pt` (optimizers,
random number generators, progress), `config.json` and, written last, `manifest.json`.
"""

from pathlib import Path

PREFIX = "checkpoint-"
FILES = ("config.json", "manifest.json", "model.safetensors", "state.pt")


def checkpoint_folder(directory: Path, step: int) -> Path:
    """The folder of the checkpoint after a step."""
    return directory / f"{PREFIX}{step:09d}"


def checkpoint_folders(directory: Path) -> list[Path]:
    """Every checkpoint in a run folder, the newest last."""
    return sorted(path for path in directory.glob(f"{PREFIX}*") if path.is_dir())


def checkpoint_step(folder: Path) -> int:
    """The step of a checkpoint's folder."""
    return int(folder.name.removeprefix(PREFIX))


def newest_step(directory: Path) -> int:
    """The step of the newest checkpoint in a run folder; 0 if it has none."""
    folders = checkpoint_folders(directory)
    return checkpoint_step(folders[-1]) if folders else 0
