"""Checkpoints on their way in, one at a time for each job."""

import hashlib
import secrets
import threading

from core.schema.checkpoint import SHA256_HEADER, StoredCheckpoint
from core.schema.problem import Problem
from server.artifacts.checkpoints import StoredFile
from server.artifacts.store import ArtifactStore
from server.errors import BodyTooLarge, InvalidReport, UploadReplaced


class IncomingCheckpoint:
    """A file that is written, counted and hashed part by part, and deleted unless it is kept."""

    def __init__(self, store: ArtifactStore, name: str, step: int, max_bytes: int) -> None:
        self.is_replaced = False
        self._store = store
        self._name = name
        self._step = step
        self._max_bytes = max_bytes
        self._num_bytes = 0
        self._hash = hashlib.sha256()
        self._is_kept = False
        self._file = store.create(name)

    def write(self, part: bytes) -> None:
        """Take the next part.

        Raises:
            BodyTooLarge: it is more than a checkpoint may have.
            UploadReplaced: the job's worker has begun to send another one.
            ArtifactsUnavailable: it cannot be stored.
        """
        self._num_bytes += len(part)
        require_size(self._num_bytes, self._max_bytes)
        self._require_wanted()
        self._hash.update(part)
        self._store.write(self._file, part)

    def finish(self, sha256: str) -> StoredFile:
        """The whole file, which `keep` keeps.

        Raises:
            UploadReplaced: the job's worker has begun to send another one.
            InvalidReport: it is not what was sent.
            ArtifactsUnavailable: it cannot be stored.
        """
        self._require_wanted()
        found = self._hash.hexdigest()
        if found != sha256:
            message = f"{sha256} is not the hash of the {self._num_bytes:,} bytes that arrived, "
            message += f"which is {found}; send them again."
            raise InvalidReport([Problem(path=SHA256_HEADER, message=message)])
        self._store.finish(self._name, self._file)
        checkpoint = StoredCheckpoint(step=self._step, num_bytes=self._num_bytes, sha256=sha256)
        return StoredFile(self._name, checkpoint)

    def keep(self) -> None:
        """Let `close` leave the file."""
        self._is_kept = True

    def close(self) -> None:
        """Delete the file, unless it is kept."""
        if not self._is_kept:
            self._store.discard(self._name, self._file)

    def _require_wanted(self) -> None:
        if self.is_replaced:
            raise UploadReplaced("another checkpoint of this job is being sent.")


class IncomingCheckpoints:
    """All that are on their way; a later one of a job ends the earlier.

    A worker whose connection broke sends anew while the server still waits for the rest, and no
    worker fills the store by sending many at once.
    """

    def __init__(self, store: ArtifactStore, max_bytes: int) -> None:
        self.store = store
        self.max_bytes = max_bytes
        self._newest: dict[str, IncomingCheckpoint] = {}
        self._lock = threading.Lock()

    def begin(self, job_id: str, attempt: int, step: int) -> IncomingCheckpoint:
        """Receive a checkpoint; `end` it whatever comes of it.

        Raises:
            ArtifactsUnavailable: it cannot be stored.
        """
        name = f"{job_id}-{attempt}-{step}-{secrets.token_hex(4)}.tar"
        incoming = IncomingCheckpoint(self.store, name, step, self.max_bytes)
        with self._lock:
            if job_id in self._newest:
                self._newest[job_id].is_replaced = True
            self._newest[job_id] = incoming
        return incoming

    def end(self, job_id: str, incoming: IncomingCheckpoint) -> None:
        """Close what was received."""
        with self._lock:
            if self._newest.get(job_id) is incoming:
                del self._newest[job_id]
        incoming.close()


def require_size(num_bytes: int, max_bytes: int) -> None:
    """Refuse what is larger than a checkpoint may be.

    Raises:
        BodyTooLarge: it is.
    """
    if num_bytes > max_bytes:
        raise BodyTooLarge(
            f"the checkpoint is larger than the {max_bytes:,} bytes that this server takes."
        )
