"""Build boards for tests through the same API that authors and workers use."""

import itertools
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from httpx2 import Response
from starlette.testclient import TestClient

from core.schema.job import (
    PROTOCOL_VERSION,
    JobOffer,
    SubmissionReceipt,
    WorkerRegistration,
)
from core.schema.metric_point import MetricPoint
from core.schema.result import (
    Anchor,
    DataIdentity,
    FailureKind,
    Provenance,
    RunResult,
    TaskScore,
    Timing,
)

API = "/api/v1"
GIB = 1024**3
keys = itertools.count(1)


def submission_yaml(
    name: str = "QK-norm",
    author: str = "ada",
    overrides: Mapping[str, Any] | None = None,
    track: str = "debug",
    built_on: str = "",
) -> str:
    """A submission on the debug track; without overrides it is the baseline."""
    lines = [f"track: {track}", f"name: {name}", f"author: {author}", "hypothesis: It is better."]
    if built_on:
        lines.append(f"built_on: {built_on}")
    if overrides:
        lines.append("overrides:")
        lines += [f"  {path}: {value}" for path, value in overrides.items()]
    return "\n".join(lines) + "\n"


def post_yaml(client: TestClient, text: str | bytes, key: str = "") -> Response:
    """Send a submission; the key is a new one unless given."""
    headers = {
        "Idempotency-Key": key or f"key-{next(keys):08}",
        "Content-Type": "application/yaml",
    }
    return client.post(f"{API}/submissions", content=text, headers=headers)


def submit(
    client: TestClient,
    name: str = "QK-norm",
    overrides: Mapping[str, Any] | None = None,
    *,
    author: str = "ada",
    track: str = "debug",
    built_on: str = "",
    key: str = "",
) -> SubmissionReceipt:
    """Submit, and expect it to be accepted."""
    response = post_yaml(client, submission_yaml(name, author, overrides, track, built_on), key)
    assert response.status_code == 201, response.text
    return SubmissionReceipt.model_validate_json(response.content)


def hello(name: str = "bench", **changes: Any) -> dict[str, Any]:
    """A worker's introduction: a processor with 64 GiB."""
    values = {
        "protocol_version": PROTOCOL_VERSION,
        "name": name,
        "device": "cpu",
        "has_cuda": False,
        "memory_bytes": 64 * GIB,
        "code_commit": "0" * 40,
    }
    return values | changes


def register(client: TestClient, name: str = "bench", **changes: Any) -> str:
    """Register a worker; its id."""
    response = client.post(f"{API}/workers", json=hello(name, **changes))
    assert response.status_code == 200, response.text
    return WorkerRegistration.model_validate_json(response.content).worker_id


def claim(client: TestClient, worker_id: str, **poll: Any) -> JobOffer | None:
    """Claim the next job; without more, as a worker that tells nothing of its device."""
    response = client.post(f"{API}/workers/{worker_id}/claim", json=poll or None)
    assert response.status_code in (200, 204), response.text
    return JobOffer.model_validate_json(response.content) if response.content else None


def claim_one(client: TestClient, worker_name: str = "bench", **changes: Any) -> JobOffer:
    """Register a worker and claim a job that must be there."""
    offer = claim(client, register(client, worker_name, **changes))
    assert offer is not None
    return offer


def report(client: TestClient, offer: JobOffer, what: str, **body: Any) -> Response:
    """Send a report of a claimed job, such as `heartbeat` or `result`, under its lease."""
    message = {"lease_token": offer.lease_token, **body}
    return client.post(f"{API}/jobs/{offer.job_id}/{what}", json=message)


def heartbeat(
    client: TestClient,
    offer: JobOffer,
    phase: str = "training",
    completed: int = 10,
    total: int = 250,
) -> Response:
    """Report progress."""
    return report(client, offer, "heartbeat", phase=phase, completed=completed, total=total)


def points(
    steps: Sequence[int] = (25, 50, 75, 100), start: float = 7.0, validate: bool = True
) -> list[MetricPoint]:
    """A curve that falls with the square root of the steps, one point a step given."""
    return [
        MetricPoint(
            step=step,
            tokens=step * 2048,
            train_seconds=step * 0.1,
            train_loss=start / step**0.5,
            learning_rate=0.01,
            adamw_learning_rate=0.001,
            gradient_norm=1.0,
            tokens_per_second=20_480.0,
            val_loss=start / step**0.5 + 0.1 if validate else None,
            val_accuracy=0.25 if validate else None,
        )
        for step in steps
    ]


def with_load(batch: Sequence[MetricPoint]) -> list[MetricPoint]:
    """The same points of a model with experts, whose spread falls with the steps."""
    return [
        point.model_copy(
            update={
                "expert_max_violation": 4.0 / point.step,
                "worst_expert_max_violation": 8.0 / point.step,
                "idle_expert_share": 0.25 if point.step == batch[0].step else 0.0,
            }
        )
        for point in batch
    ]


def send_points(client: TestClient, offer: JobOffer, batch: Sequence[MetricPoint]) -> Response:
    """Report metric points."""
    return report(
        client, offer, "metrics", points=[point.model_dump(mode="json") for point in batch]
    )


def send_log(client: TestClient, offer: JobOffer, text: str, offset: int = 0) -> Response:
    """Report a piece of the log."""
    return report(client, offer, "log", offset=offset, text=text)


def data_identity(validation: str = "b") -> DataIdentity:
    """Hashes of the data; another letter is another comparability key."""
    return DataIdentity(
        tokenizer_hash="a" * 64,
        train_hash="c" * 64,
        train_tokens=1_000_000,
        validation_hash=validation * 64,
        validation_tokens=25_400,
        validation_bytes=100_000,
        evaluation_hash="d" * 64,
    )


def run_result(
    seed: int = 1000,
    val_loss: float = 2.0,
    *,
    device: str = "cpu",
    validation: str = "b",
    train_seconds: float = 30.0,
    compile_seconds: float = 6.0,
    baseline_speed: float | None = None,
) -> RunResult:
    """A plausible result of the debug track: 36 s for the price list, by default.

    `baseline_speed` is its anchor's, in tokens per second.
    """
    return RunResult(
        seed=seed,
        steps=250,
        tokens=512_000,
        stopped_early=False,
        val_loss=val_loss,
        val_accuracy=0.5,
        val_bpb=val_loss * 0.36,
        tasks=(TaskScore(name="synthetic_world", num_questions=100, acc=0.4, acc_norm=0.5),),
        timing=Timing(
            data_seconds=1.0,
            compile_seconds=compile_seconds,
            train_seconds=train_seconds,
            eval_seconds=2.0,
        ),
        tokens_per_second=512_000 / train_seconds,
        peak_memory_bytes=GIB,
        num_parameters=1_300_000,
        provenance=Provenance(
            code_commit="0" * 40,
            packages={"torch": "2.11.0"},
            python="3.12.4",
            platform="Linux x86_64",
            device=device,
            driver="",
            compiled=False,
            data=data_identity(validation),
        ),
        anchor=None if baseline_speed is None else anchor(device, baseline_speed),
    )


def anchor(device: str, tokens_per_second: float) -> Anchor:
    """An anchor of the machine that `run_result` names."""
    return Anchor(
        tokens_per_second=tokens_per_second,
        device=device,
        driver="",
        torch="2.11.0",
        code_commit="0" * 40,
        measured_at=datetime(2026, 11, 22, 12, tzinfo=UTC),
    )


def send_result(client: TestClient, offer: JobOffer, result: RunResult) -> Response:
    """Report a result."""
    return report(client, offer, "result", result=result.model_dump(mode="json"))


def send_failure(
    client: TestClient, offer: JobOffer, kind: FailureKind, message: str = "It broke."
) -> Response:
    """Report a failure."""
    return report(client, offer, "failure", kind=kind.value, message=message)


def finish(client: TestClient, offer: JobOffer, val_loss: float = 2.0, **changes: Any) -> None:
    """Report a curve, a log and a result with the job's own seed; more as for `run_result`."""
    assert send_points(client, offer, points(start=val_loss * 9)).status_code == 204
    assert send_log(client, offer, "step 25\nstep 50\n").status_code == 204
    result = run_result(offer.run.seed, val_loss, **changes)
    assert send_result(client, offer, result).status_code == 204


def submit_and_finish(
    client: TestClient,
    name: str = "QK-norm",
    overrides: Mapping[str, Any] | None = None,
    val_loss: float = 2.0,
    *,
    author: str = "ada",
    track: str = "debug",
    **changes: Any,
) -> SubmissionReceipt:
    """Submit, claim and finish a run; the queue must be empty before."""
    receipt = submit(client, name, overrides, author=author, track=track)
    offer = claim_one(client)
    assert offer.run.run_id == receipt.run_id
    finish(client, offer, val_loss, **changes)
    return receipt
