"""A checkpoint's folder as one stream of bytes, in the form of tar, and back."""

import os
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from core.durable import flush_to_disk
from core.errors import CheckpointCorrupt
from core.train.checkpoint_folder import FILES, checkpoint_folder

PIECE_BYTES = 1024 * 1024


class Archive:
    """The files of a checkpoint, held open: training may delete their folder meanwhile."""

    def __init__(self, files: dict[str, IO[bytes]]) -> None:
        self._files = files
        self._sizes = {name: os.fstat(file.fileno()).st_size for name, file in files.items()}

    @property
    def num_bytes(self) -> int:
        """Length of the stream."""
        blocks = sum(tarfile.BLOCKSIZE + _padded(size) for size in self._sizes.values())
        return blocks + 2 * tarfile.BLOCKSIZE

    def pieces(self) -> Iterator[bytes]:
        """The stream from its start, the same each time."""
        for name, file in self._files.items():
            size = self._sizes[name]
            header = tarfile.TarInfo(name)
            header.size = size
            yield header.tobuf(tarfile.USTAR_FORMAT if size < 8**11 else tarfile.GNU_FORMAT)
            file.seek(0)
            while piece := file.read(PIECE_BYTES):
                yield piece
            yield bytes(_padded(size) - size)
        yield bytes(2 * tarfile.BLOCKSIZE)


@contextmanager
def open_archive(folder: Path) -> Iterator[Archive]:
    """The checkpoint in a folder.

    Raises:
        FileNotFoundError: the folder was deleted.
    """
    with ExitStack() as stack:
        yield Archive({name: stack.enter_context((folder / name).open("rb")) for name in FILES})


def unpack(archive: Path, directory: Path, step: int) -> None:
    """Make an archive the checkpoint of a step in a run folder, whole or not at all.

    Raises:
        CheckpointCorrupt: it holds anything but the files of a checkpoint.
    """
    target = checkpoint_folder(directory, step)
    temporary = directory / f".{target.name}.{os.getpid()}"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        with tarfile.open(archive, "r:") as tar:
            for member in tar:
                _extract(tar, member, temporary)
    except tarfile.TarError as error:
        raise CheckpointCorrupt(f"it is no archive of a checkpoint: {error}") from error
    if missing := set(FILES) - {path.name for path in temporary.iterdir()}:
        raise CheckpointCorrupt(f"it lacks {', '.join(sorted(missing))}")
    flush_to_disk(temporary)
    shutil.rmtree(target, ignore_errors=True)
    temporary.rename(target)
    flush_to_disk(directory)


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    """Write one file, if it is one that a checkpoint has; a stranger may have made the archive."""
    is_plain = member.type == tarfile.REGTYPE and not member.issparse()
    content = tar.extractfile(member) if is_plain and member.name in FILES else None
    if content is None:
        raise CheckpointCorrupt(f"it holds {member.name!r}, which no checkpoint has")
    with content, (folder / member.name).open("xb") as file:
        shutil.copyfileobj(content, file, PIECE_BYTES)
    flush_to_disk(folder / member.name)


def _padded(size: int) -> int:
    """A length in whole blocks."""
    return -(-size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
