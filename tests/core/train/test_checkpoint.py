import pytest
import torch

from core.errors import CheckpointCorrupt, CheckpointNotWritten
from core.schema.job import RunSpec
from core.tracks import load_tracks
from core.train.checkpoint import (
    Checkpoint,
    drop_older_checkpoints,
    load_newest_checkpoint,
    newest_checkpoint_folder,
    read_checkpoint,
    save_checkpoint,
)
from tests.full_disk import full_disk

TRACK = load_tracks()["debug"]


def spec(**changes):
    settings = {
        "run_id": "r_1",
        "track": "debug",
        "track_version": 1,
        "experiment": TRACK.base,
        "seed": 1,
        "budget": TRACK.rules.budget,
    }
    return RunSpec(**(settings | changes))


def checkpoint(step):
    return Checkpoint(
        step=step,
        weights={"a": torch.full((3, 2), float(step))},
        state={"muon": {"momentum": torch.ones(2)}, "best_loss": 1.5},
    )


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_newest_two_are_kept_and_the_newest_is_read_back(tmp_path):
    for step in (1, 5, 10):
        save_checkpoint(tmp_path, spec(), checkpoint(step))
    assert names(tmp_path) == ["checkpoint-000000005", "checkpoint-000000010"]
    drop_older_checkpoints(tmp_path)
    assert names(tmp_path) == ["checkpoint-000000010"]
    loaded = load_newest_checkpoint(tmp_path, spec())
    assert loaded is not None
    assert loaded.step == 10
    assert torch.equal(loaded.weights["a"], torch.full((3, 2), 10.0))
    assert loaded.state["best_loss"] == 1.5


def test_no_checkpoint_is_none(tmp_path):
    assert load_newest_checkpoint(tmp_path, spec()) is None
    with pytest.raises(CheckpointCorrupt, match="holds none"):
        newest_checkpoint_folder(tmp_path)


@pytest.mark.parametrize("name", ["model.safetensors", "state.pt", "manifest.json", "config.json"])
@pytest.mark.parametrize("damage", ["remove", "shorten", "flip"])
def test_a_damaged_file_is_noticed_and_the_run_starts_anew(tmp_path, name, damage):
    path = save_checkpoint(tmp_path, spec(), checkpoint(5)) / name
    content = path.read_bytes()
    if damage == "remove":
        path.unlink()
    elif damage == "shorten":
        path.write_bytes(content[: len(content) // 2])
    else:
        path.write_bytes(bytes([content[0] ^ 255]) + content[1:])
    assert load_newest_checkpoint(tmp_path, spec()) is None


@pytest.mark.parametrize("name", ["model.safetensors", "state.pt", "manifest.json", "config.json"])
def test_behind_a_damaged_checkpoint_is_the_one_before(tmp_path, name, caplog):
    save_checkpoint(tmp_path, spec(), checkpoint(5))
    newest = save_checkpoint(tmp_path, spec(), checkpoint(10)) / name
    newest.write_bytes(newest.read_bytes()[:-20])
    loaded = load_newest_checkpoint(tmp_path, spec())
    assert loaded is not None
    assert loaded.step == 5
    assert "ignoring a checkpoint" in caplog.text
    assert "checkpoint-000000010" in caplog.text
    # It makes way for the next one, and not the one that was good.
    save_checkpoint(tmp_path, spec(), checkpoint(8))
    assert names(tmp_path) == ["checkpoint-000000005", "checkpoint-000000008"]


@pytest.mark.parametrize("large", ["weights", "state"])
def test_on_a_full_disk_the_checkpoint_before_stays(tmp_path, large):
    save_checkpoint(tmp_path, spec(), checkpoint(5))
    tensor = {"a": torch.ones(100_000)}
    big = Checkpoint(10, **{"weights": {"a": torch.ones(1)}, "state": {}, large: tensor})
    with full_disk(200_000), pytest.raises(CheckpointNotWritten, match="after step 10 was not"):
        save_checkpoint(tmp_path, spec(), big)
    assert names(tmp_path) == ["checkpoint-000000005"]
    loaded = load_newest_checkpoint(tmp_path, spec())
    assert loaded is not None
    assert loaded.step == 5
    save_checkpoint(tmp_path, spec(), big)
    assert names(tmp_path) == ["checkpoint-000000005", "checkpoint-000000010"]


def test_a_half_written_checkpoint_is_not_seen(tmp_path):
    save_checkpoint(tmp_path, spec(), checkpoint(5))
    hidden = tmp_path / ".checkpoint-000000010.123"
    hidden.mkdir()
    (hidden / "model.safetensors").write_bytes(b"half")
    loaded = load_newest_checkpoint(tmp_path, spec())
    assert loaded is not None
    assert loaded.step == 5


def test_a_checkpoint_of_another_seed_is_not_resumed(tmp_path):
    save_checkpoint(tmp_path, spec(), checkpoint(5))
    assert load_newest_checkpoint(tmp_path, spec(seed=2)) is None


def test_a_checkpoint_never_runs_code(tmp_path):
    class Evil:
        def __reduce__(self):
            return (print, ("ran",))

    folder = save_checkpoint(
        tmp_path, spec(), Checkpoint(5, {"a": torch.ones(1)}, {"evil": Evil()})
    )
    with pytest.raises(CheckpointCorrupt):
        read_checkpoint(folder)
