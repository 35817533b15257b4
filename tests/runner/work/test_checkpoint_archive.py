"""A checkpoint packed, and unpacked again by somebody who does not trust it."""

import io
import shutil
import tarfile

import pytest

from core.errors import CheckpointCorrupt
from core.train.checkpoint_folder import FILES
from runner.work.checkpoint_archive import open_archive, unpack

SIZES = dict(zip(FILES, (0, 511, 512, 3_000_000), strict=True))


@pytest.fixture
def checkpoint(tmp_path):
    folder = tmp_path / "checkpoint-000000005"
    folder.mkdir()
    for name, size in SIZES.items():
        (folder / name).write_bytes(bytes(n % 251 for n in range(size)))
    return folder


@pytest.fixture
def run_folder(tmp_path):
    folder = tmp_path / "other"
    folder.mkdir()
    return folder


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def pack(folder, file):
    with open_archive(folder) as archive:
        file.write_bytes(b"".join(archive.pieces()))
    return file


def test_an_archive_unpacks_to_the_same_files(checkpoint, run_folder, tmp_path):
    unpack(pack(checkpoint, tmp_path / "a.tar"), run_folder, 5)
    assert [path.name for path in run_folder.iterdir()] == ["checkpoint-000000005"]
    assert contents(run_folder / "checkpoint-000000005") == contents(checkpoint)


def test_every_pass_gives_the_same_bytes_in_the_length_that_was_announced(checkpoint):
    with open_archive(checkpoint) as archive:
        first, second = (b"".join(archive.pieces()) for _ in range(2))
        assert first == second
        assert archive.num_bytes == len(first)


def test_training_may_delete_the_folder_of_an_open_archive(checkpoint, tmp_path):
    whole = pack(checkpoint, tmp_path / "a.tar").read_bytes()
    with open_archive(checkpoint) as archive:
        shutil.rmtree(checkpoint)
        assert b"".join(archive.pieces()) == whole


def test_a_folder_that_is_gone_is_no_archive(tmp_path):
    with pytest.raises(FileNotFoundError), open_archive(tmp_path / "checkpoint-000000005"):
        pass


def hostile(file, name="state.pt", **header):
    """An archive of one member."""
    with tarfile.open(file, "w") as tar:
        member = tarfile.TarInfo(name)
        member.size = 4
        for key, value in header.items():
            setattr(member, key, value)
        tar.addfile(member, io.BytesIO(b"evil"))
    return file


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("../evil", {}),
        ("/tmp/evil", {}),
        ("extra.txt", {}),
        ("state.pt", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd", "size": 0}),
        ("state.pt", {"type": tarfile.LNKTYPE, "linkname": "config.json", "size": 0}),
        ("state.pt", {"type": tarfile.FIFOTYPE, "size": 0}),
    ],
)
def test_anything_but_a_checkpoints_files_is_refused(tmp_path, run_folder, name, header):
    with pytest.raises(CheckpointCorrupt, match="which no checkpoint has"):
        unpack(hostile(tmp_path / "a.tar", name, **header), run_folder, 5)
    assert not list(run_folder.glob("checkpoint-*"))
    assert not (tmp_path / "evil").exists()


def test_an_archive_that_lacks_files_or_is_none_is_refused(tmp_path, run_folder):
    with pytest.raises(CheckpointCorrupt, match=r"lacks config\.json, manifest\.json"):
        unpack(hostile(tmp_path / "a.tar"), run_folder, 5)
    (tmp_path / "text.tar").write_text("no archive at all")
    with pytest.raises(CheckpointCorrupt, match="no archive"):
        unpack(tmp_path / "text.tar", run_folder, 5)


def test_an_archive_that_ends_early_is_refused(checkpoint, tmp_path, run_folder):
    file = pack(checkpoint, tmp_path / "a.tar")
    file.write_bytes(file.read_bytes()[:1_000_000])
    with pytest.raises(CheckpointCorrupt):
        unpack(file, run_folder, 5)
    assert not list(run_folder.glob("checkpoint-*"))
