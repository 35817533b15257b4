"""Leaving checkpoints with the server while a run trains, so that any worker can go on with it."""

import hashlib
import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from core.errors import Interrupted
from core.schema.checkpoint import StoredCheckpoint
from core.schema.job import JobOffer, Phase
from core.train.checkpoint_folder import checkpoint_folders, checkpoint_step
from runner.api.client import WorkerClient
from runner.errors import Refused, RunnerError
from runner.runs.run_folder import RunFolder
from runner.work.checkpoint_archive import Archive, open_archive

logger = logging.getLogger(__name__)

STOP_SECONDS = 5.0
"""How long an upload that is not wanted any more is waited for; its thread ends by itself."""


@dataclass(frozen=True)
class UploadRules:
    """When checkpoints are uploaded."""

    every_seconds: float
    """Training between two uploads; 0 for none."""
    max_bytes: int
    """Largest that the server takes; 0 for none."""


class CheckpointUploads:
    """Uploads a run's newest checkpoint from time to time, in a thread beside the run.

    Nothing waits for it, and whatever goes wrong with it is logged and harms nothing else.
    """

    def __init__(
        self, folder: RunFolder, client: WorkerClient, offer: JobOffer, rules: UploadRules
    ) -> None:
        self._folder = folder
        self._client = client
        self._offer = offer
        self._rules = rules
        self._is_on = rules.every_seconds > 0 and rules.max_bytes > 0
        # What the server has already.
        self._sent_step = offer.checkpoint.step if offer.checkpoint is not None else 0
        self._due_at: float | None = None
        self._thread: threading.Thread | None = None
        self._stopped = threading.Event()

    def consider(self, now: float) -> None:
        """Begin an upload if one is due, and return at once."""
        if not self._is_on or (self._thread is not None and self._thread.is_alive()):
            return
        if self._due_at is None:
            if self._folder.progress().phase is Phase.TRAINING:
                self._due_at = now + self._rules.every_seconds
            return
        folders = checkpoint_folders(self._folder.path)
        if now < self._due_at or not folders or checkpoint_step(folders[-1]) == self._sent_step:
            return
        self._thread = threading.Thread(
            target=self._upload, args=(folders[-1],), name="checkpoint-upload", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """End for good; an upload under way is broken off, and the server keeps nothing of it."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(STOP_SECONDS)

    def _upload(self, folder: Path) -> None:
        step = checkpoint_step(folder)
        ids = {"job_id": self._offer.job_id, "run_id": self._offer.run.run_id}
        try:
            with open_archive(folder) as archive:
                self._send(archive, step)
        except FileNotFoundError:
            # Training has just replaced it; the next one is looked for at once.
            return
        except Interrupted:
            return
        except (RunnerError, OSError) as error:
            # What the server declines once it declines again.
            self._is_on = not isinstance(error, Refused)
            logger.warning("the checkpoint of step %d was not uploaded: %s", step, error, extra=ids)
        else:
            logger.info("the checkpoint of step %d is on the server", step, extra=ids)
            self._sent_step = step
        self._due_at = time.monotonic() + self._rules.every_seconds

    def _send(self, archive: Archive, step: int) -> None:
        if archive.num_bytes > self._rules.max_bytes:
            raise Refused(
                f"it has {archive.num_bytes:,} bytes, and the server takes "
                f"{self._rules.max_bytes:,} (its FIVE_DOLLAR_CHECKPOINT_GIB)"
            )
        digest = hashlib.sha256()
        for piece in self._pieces(archive):
            digest.update(piece)
        checkpoint = StoredCheckpoint(
            step=step, num_bytes=archive.num_bytes, sha256=digest.hexdigest()
        )
        offer = self._offer
        pieces = self._pieces(archive)
        self._client.send_checkpoint(offer.job_id, offer.lease_token, checkpoint, pieces)

    def _pieces(self, archive: Archive) -> Iterator[bytes]:
        """The archive, until somebody asks to stop.

        Raises:
            Interrupted: somebody has.
        """
        for piece in archive.pieces():
            if self._stopped.is_set():
                raise Interrupted("the run has ended")
            yield piece
