"""One attempt at a job under lease: train in a child process, report, hand back."""

import logging
import math
import time
from collections.abc import Callable, Sequence

from core.schema.job import JobOffer
from core.schema.result import FailureKind
from core.train.checkpoint_folder import newest_step
from core.train.environment import RunEnvironment
from runner.api.client import WorkerClient
from runner.errors import LeaseLost, NotFound, ServerFault, ServerUnreachable
from runner.exit_codes import ExitCode
from runner.runs.run_folder import Failure, Progress, RunFolder
from runner.stopping import StopRequest
from runner.terminal.display import Display, RunView
from runner.work.anchors import LONGEST_SECONDS, Anchors
from runner.work.checkpoint_fetch import CheckpointFetch
from runner.work.checkpoint_upload import CheckpointUploads, UploadRules
from runner.work.child import EXECUTE, Child
from runner.work.outage import Outage
from runner.work.outcome import Outcome
from runner.work.silence import Silence
from runner.work.spool import Spool
from runner.work.task import Task
from runner.work.telemetry import Gauges

logger = logging.getLogger(__name__)

TICK_SECONDS = 0.5
PROGRESS_SECONDS = 2.0
"""How often progress is reported, where heartbeats are due less often."""
STOP_GRACE_SECONDS = 90.0
"""How long a run that was asked to stop may take for its checkpoint."""
CANCEL_GRACE_SECONDS = 10.0


class Attempt:
    """Runs one offered job to its end."""

    def __init__(
        self,
        offer: JobOffer,
        folder: RunFolder,
        client: WorkerClient,
        heartbeat_seconds: float,
        stop: StopRequest,
        display: Display,
        anchors: Anchors,
        hang_seconds: float,
        upload_rules: UploadRules,
        gauges: Gauges,
        child_command: Sequence[str] = EXECUTE,
    ) -> None:
        """Take an offer.

        Args:
            hang_seconds: how long training may show no progress.
            upload_rules: when checkpoints go to the server.
        """
        self._offer = offer
        self._folder = folder
        self._client = client
        self._heartbeat_seconds = heartbeat_seconds
        self._stop = stop
        self._display = display
        self._anchors = anchors
        self._hang_seconds = hang_seconds
        self._gauges = gauges
        self._child_command = child_command
        self._label = f"{offer.run.track} {offer.run.run_id}"
        self._spool = Spool(folder, client, offer.job_id, offer.lease_token)
        self._uploads = CheckpointUploads(folder, client, offer, upload_rules)
        self._outage = Outage()
        self._beat_at = float("-inf")
        self._progress: Progress | None = None
        self._cancelled = False
        self._asked_to_stop = False
        self._hung = False

    def run(self, environment: RunEnvironment) -> Outcome:
        """Train, or go on from a checkpoint, and report.

        A result that an earlier attempt on this machine left unreported is reported as it is.
        """
        self._folder.prepare(self._offer.run, environment)
        outcome = Outcome.BROKEN
        try:
            outcome = self._train_and_report()
        except (LeaseLost, NotFound) as error:
            outcome = Outcome.CANCELLED if self._cancelled else Outcome.LEASE_LOST
            logger.info("%s", error, extra=self._ids())
        finally:
            self._display.finish(self._offer.run.run_id, f"{self._label}: {outcome}")
        return outcome

    def _train_and_report(self) -> Outcome:
        failure: Failure | None = None
        if self._folder.result() is None:
            self._provide_checkpoint()
            if not self._asked_to_stop:
                self._provide_anchor()
            if not self._asked_to_stop:
                failure = self._train()
        if self._cancelled:
            failure = Failure(kind=FailureKind.CANCELLED, message="Cancelled while it ran.")
        if self._folder.result() is None and failure is None:
            return self._hand_back()
        if failure is not None and not self._cancelled:
            logger.warning("%s failed: %s", self._label, failure.message, extra=self._ids())
        return self._report(failure)

    def _train(self) -> Failure | None:
        """Train in a child process, whose checkpoints go to the server beside it."""
        silence = Silence(self._folder, self._hang_seconds, time.monotonic())
        try:
            return self._verdict(self._carry_out(self._child_command, silence=silence))
        finally:
            self._uploads.stop()

    def _provide_checkpoint(self) -> None:
        """Fetch what an earlier attempt left on the server, unless this machine has it or more."""
        offered = self._offer.checkpoint
        if offered is not None and offered.step > newest_step(self._folder.path):
            self._accompany(CheckpointFetch(self._folder, self._client, self._offer, offered))

    def _provide_anchor(self) -> None:
        """Put the baseline's speed in the folder, measured now if this session lacks it.

        It is measured before the run and by another process, so that it is in none of the run's
        times. Where it cannot be, the run goes on without it.
        """
        run = self._offer.run
        if run.anchor is None:
            return
        measured = self._anchors.find(run)
        if measured is None:
            self._carry_out(self._anchors.command, LONGEST_SECONDS)
            if not self._asked_to_stop:
                self._anchors.keep(run, self._folder.anchor())
        elif measured.anchor is not None:
            self._folder.write_anchor(measured.anchor)

    def _carry_out(
        self,
        command: Sequence[str],
        longest_seconds: float = math.inf,
        silence: Silence | None = None,
    ) -> Child:
        """Start a child in the folder and stay until it has ended; it is killed after a while.

        Args:
            silence: ends it earlier, if it hangs; None for a child that tells nothing.
        """
        child = Child(self._folder, command)
        self._accompany(child, longest_seconds, silence)
        return child

    def _accompany(
        self, task: Task, longest_seconds: float = math.inf, silence: Silence | None = None
    ) -> None:
        """Keep the lease until a task has ended, and end it in any case."""
        try:
            self._watch(task, longest_seconds, silence)
        finally:
            task.kill()

    def _watch(self, child: Task, longest_seconds: float, silence: Silence | None) -> None:
        """Pass on what the child writes until it ends, or must end."""
        ends_at = time.monotonic() + longest_seconds
        kill_at: float | None = None
        while child.status is None:
            self._show()
            self._contact(self._beat)
            now = time.monotonic()
            self._uploads.consider(now)
            must_end = self._stop.requested or self._cancelled or self._outage.is_hopeless(now)
            if must_end and kill_at is None:
                child.ask_to_stop()
                self._asked_to_stop = True
                grace = CANCEL_GRACE_SECONDS if self._cancelled else STOP_GRACE_SECONDS
                kill_at = now + grace
            if now >= ends_at:
                logger.warning("ended after %.0f s", longest_seconds, extra=self._ids())
                child.kill()
            if kill_at is None and silence is not None and silence.is_too_long(now):
                logger.warning("ended, because it hangs", extra=self._ids())
                self._hung = True
                child.kill()
            if kill_at is not None and (now >= kill_at or self._stop.insisted):
                child.kill()
            time.sleep(TICK_SECONDS)

    def _beat(self) -> None:
        """Send what is new, and a heartbeat if one is due or there is progress to show."""
        self._spool.send()
        now, progress = time.monotonic(), self._folder.progress()
        due_seconds = PROGRESS_SECONDS if progress != self._progress else self._heartbeat_seconds
        if now < self._beat_at + min(due_seconds, self._heartbeat_seconds):
            return
        reply = self._client.heartbeat(
            self._offer.job_id,
            self._offer.lease_token,
            progress.phase,
            progress.completed,
            progress.total,
            self._gauges.news(),
        )
        self._cancelled = self._cancelled or reply.cancel
        self._beat_at, self._progress = now, progress

    def _verdict(self, child: Child) -> Failure | None:
        """Why there is no result; None if there is one, or if the child only stopped."""
        meant = (ExitCode.INTERRUPTED, ExitCode.CONFLICT)
        if self._folder.result() is not None or child.status in meant:
            return None
        failure = self._folder.failure()
        if failure or self._asked_to_stop:
            return failure
        if self._hung:
            message = f"Training showed no progress for {self._hang_seconds:g} s and was ended."
            return Failure(kind=FailureKind.INTERNAL_ERROR, message=message)
        return child.explain_death()

    def _report(self, failure: Failure | None) -> Outcome:
        """Send all that is left and then the end; wait for the server if it is away."""
        job_id, token = self._offer.job_id, self._offer.lease_token
        result = self._folder.result()

        def send_all() -> None:
            while self._spool.send(final=True):
                pass
            if failure is not None:
                self._client.send_failure(job_id, token, failure.kind, failure.message)
            elif result is not None:
                self._client.send_result(job_id, token, result)

        while not self._contact(send_all, urgent=self._stop.requested):
            if self._stop.requested or self._outage.is_hopeless(time.monotonic()):
                logger.warning(
                    "the end of run %s is not reported yet; it is kept in %s",
                    self._offer.run.run_id,
                    self._folder.path,
                    extra=self._ids(),
                )
                return Outcome.GAVE_UP
            time.sleep(TICK_SECONDS)
        if failure is None or not failure.kind.is_platform_fault:
            self._folder.remove_checkpoints()
        if failure is None:
            return Outcome.SUCCEEDED
        if failure.kind.is_platform_fault:
            return Outcome.PLATFORM_FAULT
        cancelled = failure.kind is FailureKind.CANCELLED
        return Outcome.CANCELLED if cancelled else Outcome.FAILED

    def _hand_back(self) -> Outcome:
        """Return the unfinished job; if the server is away, its lease runs out by itself."""

        def release() -> None:
            while self._spool.send(final=True):
                pass
            self._client.release(self._offer.job_id, self._offer.lease_token)

        return Outcome.RELEASED if self._contact(release, urgent=True) else Outcome.GAVE_UP

    def _contact(self, call: Callable[[], None], urgent: bool = False) -> bool:
        """Talk to the server; say whether it worked.

        While the server is away, it is left alone for a while after each try, unless `urgent`.
        """
        if not urgent and not self._outage.may_try(time.monotonic()):
            return False
        try:
            call()
        except (ServerUnreachable, ServerFault) as error:
            if not self._outage.is_on:
                logger.warning("training goes on without the server: %s", error, extra=self._ids())
            self._outage.failed(time.monotonic())
            return False
        if self._outage.is_on:
            logger.warning("the server is back", extra=self._ids())
        self._outage.ended()
        return True

    def _show(self) -> None:
        progress, run = self._folder.progress(), self._offer.run
        self._display.update(
            RunView(
                key=run.run_id,
                label=self._label,
                phase=progress.phase,
                completed=progress.completed,
                total=progress.total,
                latest=self._folder.latest_metric(),
            )
        )

    def _ids(self) -> dict[str, str]:
        return {"job_id": self._offer.job_id, "run_id": self._offer.run.run_id}
