"""The debug track made so small that a run takes seconds, for what starts real processes."""

import re
import shutil
from pathlib import Path

from core.tracks import BASELINES

NUM_STEPS = 200
"""Of a run."""
_SMALLER = (
    ("hidden_size: 128", "hidden_size: 32"),
    ("hidden_size: 512", "hidden_size: 64"),
    ("tokens: 256000", "tokens: 25600"),
    ("batch_size: 8", "batch_size: 2"),
    ("sequence_length: 128", "sequence_length: 64"),
    ("num_documents: 4000", "num_documents: 300"),
    ("validation_rows: 100", "validation_rows: 20"),
)


def write_tiny_track(folder: Path) -> None:
    """Make a folder of tracks that holds `debug` alone: 200 steps of 128 tokens, 300 documents."""
    track = folder / "debug"
    shutil.copytree(BASELINES / "debug", track)
    config = (track / "config.yaml").read_text()
    for before, after in _SMALLER:
        assert before in config
        config = config.replace(before, after)
    (track / "config.yaml").write_text(config)
    rules = track / "track.yaml"
    # Its data are others now.
    rules.write_text(re.sub(r"expected_data:\n(  .*\n)+", "", rules.read_text()))
