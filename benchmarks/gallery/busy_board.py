"""A board in every state that pages show, filled over HTTP as authors and workers do it."""

from itertools import count
from typing import Any, NamedTuple

import httpx
import yaml

from benchmarks.gallery.ideas import (
    DIVERGES,
    MEASURED,
    QUEUED,
    RUNNING,
    UNVERIFIED,
    WITHDRAWN,
    Idea,
)
from benchmarks.gallery.made_up_run import STEPS, curve, result
from core.schema.job import PROTOCOL_VERSION, JobOffer, SubmissionReceipt, WorkerRegistration

API = "/api/v1"
TRACK = "debug"
GIB = 1024**3
MAX_RUNS = 200
"""Far more than the server asks for before it has nothing left."""
LOG = "loading 4,000 documents\ncompiled in 5.8 s\n"
DIVERGED_LOG = (
    LOG + "step 5: loss 6.5123\nstep 10: loss 9.8\nstep 15: loss 231.7\nstep 20: loss nan\n"
)


class BusyBoard(NamedTuple):
    """Ids of submissions, by what has become of them."""

    measured: tuple[str, ...]
    """In the order of `MEASURED`; the last one has the lowest loss."""
    withdrawn: str
    unverified: str
    failed: str
    running: str
    queued: str


class Hands:
    """Authors and workers at one server."""

    def __init__(self, people: httpx.Client, workers: httpx.Client) -> None:
        """Act through clients with a token of an administrator, and of workers."""
        self._people = people
        self._workers = workers
        self._keys = count()

    def submit(self, idea: Idea, built_on: str = "") -> str:
        """Submit; the submission's id."""
        text = yaml.safe_dump(
            {
                "track": TRACK,
                "name": idea.name,
                "author": idea.author,
                "hypothesis": idea.hypothesis,
                "built_on": built_on,
                "overrides": dict(idea.overrides),
            }
        )
        headers = {
            "Idempotency-Key": f"gallery-{next(self._keys):08}",
            "Content-Type": "application/yaml",
        }
        response = self._people.post(f"{API}/submissions", content=text, headers=headers)
        content = response.raise_for_status().content
        return SubmissionReceipt.model_validate_json(content).submission_id

    def withdraw(self, submission_id: str, author: str, reason: str) -> None:
        """Take a submission back."""
        body = {"author": author, "reason": reason}
        path = f"{API}/submissions/{submission_id}/withdraw"
        self._people.post(path, json=body).raise_for_status()

    def register(self, name: str) -> str:
        """Have a worker introduce itself; its id."""
        answer = self._post(
            "workers",
            protocol_version=PROTOCOL_VERSION,
            name=name,
            device="cpu",
            has_cuda=False,
            memory_bytes=64 * GIB,
            code_commit="4f1c0d9a" * 5,
        )
        return WorkerRegistration.model_validate_json(answer).worker_id

    def trust(self, name: str) -> None:
        """Have a worker's results count."""
        body = {"worker": name, "trusted": True}
        self._people.post(f"{API}/workers/trust", json=body).raise_for_status()

    def claim(self, worker_id: str) -> JobOffer | None:
        """Take the next job."""
        answer = self._post(f"workers/{worker_id}/claim")
        return JobOffer.model_validate_json(answer) if answer else None

    def take(self, worker_id: str) -> JobOffer:
        """Take the next job, which is there."""
        offer = self.claim(worker_id)
        assert offer is not None
        return offer

    def advance(self, offer: JobOffer, step: int) -> None:
        """Train up to a step, and say so."""
        points = [point.model_dump(mode="json") for point in curve(offer.run, step)]
        self.report(offer, "metrics", points=points)
        telemetry = {"memory_used_bytes": 3 * GIB, "memory_total_bytes": 64 * GIB}
        progress = {"phase": "training", "completed": step, "total": STEPS}
        self.report(offer, "heartbeat", **progress, telemetry=telemetry)

    def finish(self, offer: JobOffer) -> None:
        """Train to the end."""
        points = [point.model_dump(mode="json") for point in curve(offer.run)]
        self.report(offer, "metrics", points=points)
        self.report(offer, "log", offset=0, text=LOG)
        self.report(offer, "result", result=result(offer, "cpu").model_dump(mode="json"))

    def work_off(self, worker_id: str) -> None:
        """Finish jobs until there are none, those that the server asks for by itself included."""
        for _ in range(MAX_RUNS):
            offer = self.claim(worker_id)
            if offer is None:
                return
            self.finish(offer)
        raise RuntimeError(f"the queue is not empty after {MAX_RUNS} runs")

    def report(self, offer: JobOffer, what: str, **body: Any) -> None:
        """Report on a job under its lease."""
        self._post(f"jobs/{offer.job_id}/{what}", lease_token=offer.lease_token, **body)

    def _post(self, path: str, **body: Any) -> bytes:
        response = self._workers.post(f"{API}/{path}", json=body or None)
        return response.raise_for_status().content


def fill_busy_board(hands: Hands) -> BusyBoard:
    """Fill an empty server that asks for tokens and queues runs."""
    bench, guest = hands.register("bench"), hands.register("guest-laptop")
    hands.trust("bench")
    measured = []
    for idea in MEASURED:
        measured.append(hands.submit(idea))
        hands.work_off(bench)
    withdrawn = hands.submit(WITHDRAWN)
    hands.work_off(bench)
    hands.withdraw(withdrawn, WITHDRAWN.author, "The fraction was meant to be 0.02.")
    failed = hands.submit(DIVERGES, built_on=measured[0])
    _diverge(hands, hands.take(bench))
    unverified = hands.submit(UNVERIFIED)
    hands.work_off(guest)
    running = hands.submit(RUNNING)
    hands.advance(hands.take(guest), 140)
    # What verifies the guest's result.
    hands.take(bench)
    queued = [hands.submit(idea) for idea in QUEUED]
    hands.register("night-shift")
    return BusyBoard(tuple(measured), withdrawn, unverified, failed, running, queued[0])


def _diverge(hands: Hands, offer: JobOffer) -> None:
    points = [point.model_dump(mode="json") for point in curve(offer.run, 15)]
    hands.report(offer, "metrics", points=points)
    hands.report(offer, "log", offset=0, text=DIVERGED_LOG)
    message = "The training loss is nan at step 20."
    hands.report(offer, "failure", kind="diverged", message=message)
