"""The debug track made so small that a run takes seconds, for what starts real processes."""

import re
import shutil
from pathlib import Path

from core.tracks import BASELINES

NUM_STEPS = 200
"""Of a run, unless said otherwise."""
STEP_TOKENS = 128
_SMALLER = (
    ("hidden_size: 128", "hidden_size: 32"),
    ("hidden_size: 512", "hidden_size: 64"),
    ("batch_size: 8", "batch_size: 2"),
    ("sequence_length: 128", "sequence_length: 64"),
    ("validation_rows: 100", "validation_rows: 20"),
)


def write_tiny_track(folder: Path, num_steps: int = NUM_STEPS) -> None:
    """Make a folder of tracks that holds `debug` alone: steps of 128 tokens."""
    track = folder / "debug"
    shutil.copytree(BASELINES / "debug", track)
    config = (track / "config.yaml").read_text()
    sizes = (
        ("tokens: 256000", f"tokens: {num_steps * STEP_TOKENS}"),
        ("num_documents: 4000", f"num_documents: {num_steps * 3 // 2}"),
    )
    for before, after in (*_SMALLER, *sizes):
        assert before in config
        config = config.replace(before, after)
    (track / "config.yaml").write_text(config)
    rules = track / "track.yaml"
    # Its data are others now.
    rules.write_text(re.sub(r"expected_data:\n(  .*\n)+", "", rules.read_text()))
