"""Fetching the checkpoint that an earlier attempt at a job left on the server."""

import hashlib
import logging
import threading
from pathlib import Path

from core.errors import CheckpointCorrupt, Interrupted
from core.schema.checkpoint import StoredCheckpoint
from core.schema.job import JobOffer
from core.train.checkpoint_folder import newest_step
from runner.api.client import WorkerClient
from runner.errors import RunnerError, ServerFault, ServerUnreachable
from runner.runs.run_folder import RunFolder
from runner.work.checkpoint_archive import unpack

logger = logging.getLogger(__name__)

RETRY_SECONDS = (2.0, 8.0, 30.0, 60.0)
"""Waits between tries, where the server is away; hours of training may hang on it."""


class CheckpointFetch:
    """A `Task` that puts a checkpoint in a run folder.

    If that fails, the run goes on with what the folder has, or starts anew; the run's log says so.
    """

    def __init__(
        self,
        folder: RunFolder,
        client: WorkerClient,
        offer: JobOffer,
        checkpoint: StoredCheckpoint,
    ) -> None:
        """Begin."""
        self._folder = folder
        self._client = client
        self._offer = offer
        self._checkpoint = checkpoint
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="checkpoint-fetch", daemon=True)
        self._thread.start()

    @property
    def status(self) -> int | None:
        """0 once it has ended, in whichever way."""
        return None if self._thread.is_alive() else 0

    def ask_to_stop(self) -> None:
        """End before the next piece."""
        self._stopped.set()

    def kill(self) -> None:
        """End before the next piece, and wait for that."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        step, num_bytes = self._checkpoint.step, self._checkpoint.num_bytes
        try:
            self._fetch_patiently()
        except Interrupted:
            return
        except (RunnerError, CheckpointCorrupt, OSError) as error:
            here = newest_step(self._folder.path)
            then = f"training goes on from step {here}" if here else "training starts anew"
            self._tell(f"the checkpoint of step {step} on the server is of no use, {then}: {error}")
        else:
            self._tell(
                f"fetched the checkpoint of step {step} from the server: {num_bytes:,} bytes"
            )

    def _fetch_patiently(self) -> None:
        for seconds in RETRY_SECONDS:
            try:
                return self._fetch()
            except (ServerUnreachable, ServerFault) as error:
                logger.warning("no checkpoint yet, trying again in %.0f s: %s", seconds, error)
            if self._stopped.wait(seconds):
                raise Interrupted("asked to stop")
        return self._fetch()

    def _fetch(self) -> None:
        file = self._folder.path / "checkpoint.tar.part"
        try:
            self._download(file)
            unpack(file, self._folder.path, self._checkpoint.step)
        finally:
            file.unlink(missing_ok=True)

    def _download(self, path: Path) -> None:
        """Write what the server has to a file, and check it.

        Raises:
            CheckpointCorrupt: it is not what was announced.
            Interrupted: somebody asked to stop.
        """
        digest, num_bytes = hashlib.sha256(), 0
        job_id, token = self._offer.job_id, self._offer.lease_token
        with self._client.fetch_checkpoint(job_id, token) as pieces, path.open("wb") as file:
            for piece in pieces:
                if self._stopped.is_set():
                    raise Interrupted("asked to stop")
                num_bytes += len(piece)
                if num_bytes > self._checkpoint.num_bytes:
                    break
                digest.update(piece)
                file.write(piece)
        if num_bytes != self._checkpoint.num_bytes:
            raise CheckpointCorrupt(f"it should have {self._checkpoint.num_bytes:,} bytes")
        if digest.hexdigest() != self._checkpoint.sha256:
            raise CheckpointCorrupt("its hash is not the one that was announced")

    def _tell(self, message: str) -> None:
        """Log to the run's log, which its author reads, and to the worker's."""
        self._folder.add_to_log(message)
        ids = {"job_id": self._offer.job_id, "run_id": self._offer.run.run_id}
        logger.info("job %s: %s", self._offer.job_id, message, extra=ids)
