"""Which code this is."""

import os
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path


@cache
def code_commit() -> str:
    """Which code this process runs: `code_on_disk` at the first call."""
    return code_on_disk()


def code_on_disk() -> str:
    """The git commit, with `+changes` if files differ from it: what a new process would run.

    Outside a checkout: the environment variable `FIVE_DOLLAR_COMMIT`, which the images set,
    or else `release ` and the package version, or `unknown` where nothing is installed.
    """
    if commit := os.environ.get("FIVE_DOLLAR_COMMIT"):
        return commit
    root = Path(__file__).resolve().parent.parent
    if (root / ".git").exists():
        try:
            commit = _git(root, "rev-parse", "HEAD")
            return f"{commit}+changes" if _git(root, "status", "--porcelain") else commit
        except (OSError, subprocess.SubprocessError):
            pass
    try:
        return f"release {metadata.version('five-dollar-llm')}"
    except metadata.PackageNotFoundError:
        return "unknown"


def _git(root: Path, *arguments: str) -> str:
    completed = subprocess.run(
        ["git", *arguments], cwd=root, check=True, capture_output=True, text=True, timeout=10
    )
    return completed.stdout.strip()
