"""The worker: register, claim, run, report, repeat."""

import logging
import random
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from core.schema.job import JobOffer, WorkerHello, WorkerRegistration
from core.schema.result import FailureKind
from core.schema.telemetry import WorkerPoll
from core.train.environment import RunEnvironment
from runner.api.client import WorkerClient
from runner.errors import (
    Denied,
    LeaseLost,
    NoRoom,
    NotFound,
    ProtocolMismatch,
    RunnerError,
    ServerFault,
    ServerUnreachable,
)
from runner.runs.run_folder import RunFolder
from runner.stopping import StopRequest
from runner.terminal.display import Display
from runner.work.anchors import MEASURE, Anchors
from runner.work.attempt import Attempt
from runner.work.checkpoint_upload import UploadRules
from runner.work.child import EXECUTE
from runner.work.device import num_gpus
from runner.work.disk import disk_shortage
from runner.work.outage import Outage
from runner.work.outcome import Outcome
from runner.work.telemetry import Gauges

logger = logging.getLogger(__name__)

IDLE_SECONDS = 2.0
SLEEP_SLICE_SECONDS = 0.25
MAX_REST_SECONDS = 900.0
DISK_SECONDS = 15.0
"""How often a full disk is looked at again."""


@dataclass(frozen=True)
class WorkerOptions:
    """What the owner of a worker decides."""

    directory: Path
    """Run folders go below it."""
    environment: RunEnvironment
    """Device, data and caches."""
    once: bool
    """End as soon as the queue holds nothing for this worker."""
    rest_seconds: float
    """Pause after a fault of this machine, doubled with each further one."""
    hang_seconds: float
    """How long training may show no progress before it is ended."""
    upload_seconds: float
    """How long a run trains between two uploads of its checkpoint; 0 for none."""
    child_command: Sequence[str] = EXECUTE
    """Program that trains one run folder."""
    anchor_command: Sequence[str] = MEASURE
    """Program that measures the anchor of one run folder."""


class Worker:
    """Works through the queue until it is told to stop.

    The first SIGTERM or SIGINT lets the run write a checkpoint and hands its job back; the
    second kills the run.
    """

    def __init__(
        self,
        client: WorkerClient,
        hello: WorkerHello,
        options: WorkerOptions,
        stop: StopRequest,
        display: Display,
    ) -> None:
        self._client = client
        self._hello = hello
        self._options = options
        self._stop = stop
        self._display = display
        self._outage = Outage()
        self._anchors = Anchors(options.environment.device, options.anchor_command)
        self._gauges = Gauges(options.environment.device)
        self._num_devices = max(1, num_gpus(options.environment.device))
        self._faults = 0
        self._claim_key = uuid.uuid4().hex

    def run(self) -> None:
        """Work until told to stop, or, with `once`, until nothing is left.

        Raises:
            Denied: the server wants another access token.
            ProtocolMismatch: the server speaks another version.
            NotFound: the server's address leads to something else.
            ServerUnreachable: the server has been away for an hour.
            NoRoom: the disk has no room for a run, with `once`.
        """
        registration: WorkerRegistration | None = None
        while not self._stop.requested:
            self._wait_for_room()
            try:
                if registration is None:
                    registration = self._register()
                offer = self._claim(registration.worker_id)
                self._outage.ended()
            except NotFound:
                if registration is None:
                    raise
                registration = None
                continue
            except (ServerUnreachable, ServerFault) as error:
                self._wait_for_server(error)
                continue
            if offer is not None:
                self._work(offer, registration)
            elif self._options.once:
                logger.info("nothing left to do")
                return
            else:
                self._sleep(IDLE_SECONDS * random.uniform(0.5, 1.5))
        logger.info("stopped on request")

    def _register(self) -> WorkerRegistration:
        registration = self._client.register(self._hello)
        logger.info(
            "worker %s (%s) on %s asks %s for jobs",
            self._hello.name,
            registration.worker_id,
            self._hello.device,
            self._client.server_url,
        )
        return registration

    def _wait_for_room(self) -> None:
        """Take no job that would fail for want of disk space."""
        folders = (self._options.directory, self._options.environment.cache_directory)
        known = None
        while not self._stop.requested and (shortage := disk_shortage(folders)):
            if self._options.once:
                raise NoRoom(f"No job is taken: {shortage}.")
            if known is None:
                logger.warning("no job is taken: %s; looking again every 15 s", shortage)
            known = shortage
            self._sleep(DISK_SECONDS)

    def _claim(self, worker_id: str) -> JobOffer | None:
        """Ask for a job under one key until there is an answer, so that none is leased twice."""
        poll = WorkerPoll(num_devices=self._num_devices, telemetry=self._gauges.news())
        try:
            offer = self._client.claim(worker_id, self._claim_key, poll)
        except LeaseLost:
            # The answer came when its lease had ended.
            offer = self._client.claim(worker_id, self._renew_claim_key(), poll)
        self._renew_claim_key()
        return offer

    def _renew_claim_key(self) -> str:
        self._claim_key = uuid.uuid4().hex
        return self._claim_key

    def _work(self, offer: JobOffer, registration: WorkerRegistration) -> None:
        """Carry out one job; whatever goes wrong with it, the worker goes on."""
        ids = {"job_id": offer.job_id, "run_id": offer.run.run_id}
        logger.info(
            "job %s: run %s of track %s, attempt %d",
            offer.job_id,
            offer.run.run_id,
            offer.run.track,
            offer.attempt,
            extra=ids,
        )
        try:
            outcome = self._attempt(offer, registration)
        except (ProtocolMismatch, Denied):
            raise
        except Exception as error:
            logger.exception("job %s failed inside the worker", offer.job_id, extra=ids)
            self._give_up(offer, f"The worker failed: {type(error).__name__}: {error}")
            self._rest_after_fault()
            return
        finally:
            self._anchors.job_ended()
        if outcome is Outcome.PLATFORM_FAULT:
            self._rest_after_fault()
        elif outcome is Outcome.SUCCEEDED:
            self._faults = 0
        if outcome in (Outcome.LEASE_LOST, Outcome.RELEASED, Outcome.GAVE_UP):
            self._sleep(IDLE_SECONDS)

    def _rest_after_fault(self) -> None:
        """Leave the queue to others for a while: a machine that lacks data or a working driver
        would otherwise use up every job's attempts within seconds."""
        seconds = min(self._options.rest_seconds * 2**self._faults, MAX_REST_SECONDS)
        self._faults += 1
        if not self._options.once:
            logger.warning("this machine failed a job; the next one in %.0f s", seconds)
            self._sleep(seconds)

    def _attempt(self, offer: JobOffer, registration: WorkerRegistration) -> Outcome:
        folder = RunFolder(self._options.directory / "runs" / offer.run.run_id)
        if kept := folder.set_aside_if_damaged():
            logger.warning("the run starts anew: its damaged folder is now %s", kept)
        attempt = Attempt(
            offer,
            folder,
            self._client,
            registration.heartbeat_seconds,
            self._stop,
            self._display,
            self._anchors,
            self._options.hang_seconds,
            UploadRules(self._options.upload_seconds, registration.checkpoint_bytes),
            self._gauges,
            self._options.child_command,
        )
        return attempt.run(self._options.environment)

    def _give_up(self, offer: JobOffer, message: str) -> None:
        try:
            self._client.send_failure(
                offer.job_id, offer.lease_token, FailureKind.INTERNAL_ERROR, message[:10_000]
            )
        except RunnerError as error:
            logger.warning("job %s: failure not reported: %s", offer.job_id, error)

    def _wait_for_server(self, error: RunnerError) -> None:
        now = time.monotonic()
        if self._outage.is_hopeless(now):
            raise error
        if not self._outage.is_on:
            logger.warning("%s Trying again for an hour.", error)
        self._outage.failed(now)
        while not self._outage.may_try(time.monotonic()) and not self._stop.requested:
            self._sleep(SLEEP_SLICE_SECONDS)

    def _sleep(self, seconds: float) -> None:
        """Wait, but no longer than until somebody asks to stop."""
        end = time.monotonic() + seconds
        while not self._stop.requested and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, SLEEP_SLICE_SECONDS))
