import math
from datetime import timedelta

import pytest
from sqlalchemy import Engine
from sqlmodel import Session
from starlette.testclient import TestClient

from core.estimate.calibration import COMPILE_SECONDS
from core.estimate.cost import estimate
from core.schema.result import FailureKind
from core.schema.track import Track
from server.waiting import durations
from server.waiting.durations import Duration, Durations
from tests.server.factories import (
    claim_one,
    finish,
    report,
    send_failure,
    submit,
    submit_and_finish,
)
from tests.server.waiting.moments import NOW, take

Tracks = dict[str, Track]


def test_the_median_of_runs_on_the_same_track_and_device_counts(
    client: TestClient, engine: Engine, session: Session, tracks: Tracks
) -> None:
    for seconds in (30.0, 50.0, 400.0):
        take(engine, submit_and_finish(client).run_id, seconds)
    assert Durations(session, tracks).of("debug", "cpu") == Duration(50.0, is_measured=True)


def test_without_an_estimate_the_slowest_other_device_stands_in(
    client: TestClient, engine: Engine, session: Session, tracks: Tracks
) -> None:
    assert Durations(session, tracks).of("debug", "NVIDIA H100").seconds == math.inf
    take(engine, submit_and_finish(client).run_id, 50.0)
    submit(client)
    offer = claim_one(client, "gpu", device="NVIDIA T4", has_cuda=True)
    finish(client, offer)
    take(engine, offer.run.run_id, 20.0)
    session.rollback()
    found = Durations(session, tracks)
    assert found.of("debug", "NVIDIA H100") == Duration(50.0, is_measured=False)
    assert found.of("debug", "NVIDIA T4") == Duration(20.0, is_measured=True)


def test_only_the_newest_runs_count(
    client: TestClient,
    engine: Engine,
    session: Session,
    tracks: Tracks,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for hours, seconds in ((3, 900.0), (2, 20.0), (1, 40.0)):
        take(engine, submit_and_finish(client).run_id, seconds, NOW - timedelta(hours=hours))
    monkeypatch.setattr(durations, "RUNS_PER_MEDIAN", 2)
    assert Durations(session, tracks).of("debug", "cpu").seconds == 30.0
    monkeypatch.setattr(durations, "RECENT_RUNS", 1)
    assert Durations(session, tracks).of("debug", "cpu").seconds == 40.0


def test_what_failed_or_took_two_attempts_does_not_count(
    client: TestClient, session: Session, tracks: Tracks
) -> None:
    submit(client)
    send_failure(client, claim_one(client), FailureKind.DIVERGED)
    submit(client)
    assert report(client, claim_one(client), "release").status_code == 204
    finish(client, claim_one(client))
    assert not Durations(session, tracks).of("debug", "cpu").is_measured


def test_runs_of_another_version_of_the_track_do_not_count(
    client: TestClient, session: Session, moved: Tracks
) -> None:
    submit_and_finish(client)
    assert not Durations(session, moved).of("debug", "cpu").is_measured


def test_without_a_run_the_tracks_estimate_stands_in(session: Session, tracks: Tracks) -> None:
    track = tracks["gpu_24gb"]
    training = estimate(track.base, track.rules.prices_usd_per_hour).train_seconds["RTX 4090"]
    found = Durations(session, tracks).of("gpu_24gb", "NVIDIA GeForce RTX 4090")
    assert found == Duration(COMPILE_SECONDS + training, is_measured=False)


def test_a_track_that_is_not_served_has_no_duration(session: Session, tracks: Tracks) -> None:
    assert Durations(session, tracks).of("gone", "cpu").seconds == math.inf
