"""A folder of token files that is either whole or absent.

Files are written to a folder beside it, flushed to the disk, described by a manifest, and the
folder is renamed into place. A lock makes a second process wait and reuse.
"""

import hashlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
from filelock import FileLock, Timeout
from pydantic import Field, ValidationError

from core.durable import flush_to_disk
from core.schema.base import Message

TOKENS_FILE = "tokens.bin"
MANIFEST_FILE = "manifest.json"

_HASH_CHUNK_TOKENS = 1 << 22
_LOCK_POLL_SECONDS = 0.5

Tokens = npt.NDArray[np.unsignedinteger]


class Manifest(Message):
    """What a whole token file holds: training tokens, then validation tokens."""

    bytes_per_token: int = Field(ge=2, le=4)
    """2 or 4; little-endian, unsigned."""
    train_tokens: int = Field(ge=1)
    """Tokens of the training documents."""
    validation_tokens: int = Field(ge=1)
    """Tokens of the held-out documents."""
    train_hash: str
    """`tokens_hash` of the training tokens."""
    validation_hash: str
    """`tokens_hash` of the validation tokens."""
    num_documents: int = Field(ge=2)
    """Documents read."""
    num_held_out: int = Field(ge=1)
    """Documents held out, the last ones."""


def tokens_hash(tokens: Tokens) -> str:
    """SHA-256 of tokens as little-endian 32-bit numbers, row by row; any dtype, any shape."""
    digest = hashlib.sha256()
    flat = tokens.reshape(-1)
    for start in range(0, flat.size, _HASH_CHUNK_TOKENS):
        digest.update(flat[start : start + _HASH_CHUNK_TOKENS].astype("<u4").tobytes())
    return digest.hexdigest()


def open_tokens(folder: Path, manifest: Manifest) -> tuple[Tokens, Tokens]:
    """Map (training tokens, validation tokens) into memory."""
    tokens = np.memmap(
        folder / TOKENS_FILE,
        dtype=np.dtype(f"<u{manifest.bytes_per_token}"),
        mode="r",
        shape=(manifest.train_tokens + manifest.validation_tokens,),
    )
    return tokens[: manifest.train_tokens], tokens[manifest.train_tokens :]


class CorpusCache:
    """The folder of one corpus; its name says all that shapes the content."""

    def __init__(self, cache_directory: Path, key: str) -> None:
        self.folder = cache_directory / key
        self._partial = cache_directory / f"{key}.partial"
        self._lock = FileLock(cache_directory / f"{key}.lock")

    @contextmanager
    def locked(self, waiting: Callable[[], None]) -> Iterator[None]:
        """Keep other processes out; `waiting` is called now and then, and may raise."""
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        while True:
            try:
                self._lock.acquire(timeout=_LOCK_POLL_SECONDS)
                break
            except Timeout:
                waiting()
        try:
            yield
        finally:
            self._lock.release()

    def read(self) -> Manifest | None:
        """The manifest, if the folder is whole: sizes and hashes are checked."""
        try:
            text = (self.folder / MANIFEST_FILE).read_text()
            manifest = Manifest.model_validate_json(text)
            size = (self.folder / TOKENS_FILE).stat().st_size
        except (FileNotFoundError, NotADirectoryError, ValidationError, UnicodeDecodeError):
            return None
        num_tokens = manifest.train_tokens + manifest.validation_tokens
        if size != num_tokens * manifest.bytes_per_token:
            return None
        train, validation = open_tokens(self.folder, manifest)
        hashes = (tokens_hash(train), tokens_hash(validation))
        return manifest if hashes == (manifest.train_hash, manifest.validation_hash) else None

    def write(self, pack: Callable[[Path], Manifest]) -> Manifest:
        """Replace the folder by what `pack` writes into an empty one, in one step."""
        _remove(self._partial)
        self._partial.mkdir()
        try:
            manifest = pack(self._partial)
            (self._partial / MANIFEST_FILE).write_text(manifest.model_dump_json(indent=2))
            for path in (self._partial / TOKENS_FILE, self._partial / MANIFEST_FILE, self._partial):
                flush_to_disk(path)
            _remove(self.folder)
            self._partial.rename(self.folder)
            flush_to_disk(self.folder.parent)
        finally:
            _remove(self._partial)
        return manifest


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
