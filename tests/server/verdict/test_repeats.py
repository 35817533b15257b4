import pytest
from sqlalchemy import Engine, event
from sqlmodel import Session
from starlette.testclient import TestClient

from core.schema.track import Track
from server.run_labels import Label
from server.verdict.noise import Noise
from server.verdict.noise_chart import noise_chart
from server.verdict.repeats import RepeatedExperiment, TrackNoise, about_numbers, track_noise
from tests.server.boards import BASELINE_LOSSES, NORM, RELU, measure_baseline
from tests.server.factories import API, submit_and_finish


def test_repeated_runs_are_those_with_several_seeds_the_baseline_first(
    client: TestClient, session: Session, tracks: dict[str, Track]
) -> None:
    measure_baseline(client)
    for loss in (2.5, 2.75):
        submit_and_finish(client, "Twice", NORM, loss)
    submit_and_finish(client, "Once", RELU, 3.0)
    found = track_noise(session, tracks["debug"])
    assert [(one.name, one.is_baseline, one.losses) for one in found.experiments] == [
        ("Baseline", True, BASELINE_LOSSES),
        ("Twice", False, (2.5, 2.75)),
    ]
    assert found.noise is not None
    # That of the second is more than five times the typical one, so it is not in the pool.
    assert found.noise.degrees == 4


def test_a_board_shows_no_more_than_so_many(
    client: TestClient,
    session: Session,
    tracks: dict[str, Track],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("server.verdict.repeats.MAX_SHOWN", 2)
    for name, overrides, runs in (("Two", NORM, 2), ("Three", RELU, 3), ("Baseline", None, 2)):
        for index in range(runs):
            submit_and_finish(client, name, overrides, 2.0 + index / 100)
    found = track_noise(session, tracks["debug"])
    assert [one.name for one in found.experiments] == ["Baseline", "Three"]
    assert found.noise is not None
    # 1 + 2 + 1: the pool has all of them.
    assert found.noise.degrees == 4


def test_looks_err_in_one_percent_together(session: Session, tracks: dict[str, Track]) -> None:
    numbers = about_numbers(session, tracks)
    assert sum(look.error for look in numbers.looks) == pytest.approx(0.01)
    assert [look.num_runs for look in numbers.looks][:3] == [1, 3, 5]
    assert {(track.key, track.noise) for track in numbers.tracks} == {(None, None)}


def repeated(*losses: float, is_baseline: bool = False) -> RepeatedExperiment:
    label = Label(submission_id=None, name="One", author="ada")
    return RepeatedExperiment(**label.model_dump(), is_baseline=is_baseline, losses=losses)


def test_points_stand_around_their_means_beside_the_band() -> None:
    noise = Noise(deviation=0.1, degrees=3)
    experiments = (repeated(1.9, 2.1, is_baseline=True), repeated(5.0, 5.0, 8.0))
    track = TrackNoise(track="debug", title="", key="k", noise=noise, experiments=experiments)
    found = noise_chart(track)
    assert found is not None
    low, high, *others = found.repeats
    # The picture reaches four deviations up and down: 84 units for 0.4 nats, from 96.
    assert (found.zero_y, found.band_y, found.band_height) == (96.0, 75.0, 42.0)
    assert (low.y, high.y) == (117.0, 75.0)
    assert low.x == high.x < others[0].x
    assert (low.is_baseline, others[0].is_baseline) == (True, False)
    # One nat below its mean and two above.
    assert [(run.y, run.is_beyond) for run in others] == [
        (180.0, True),
        (180.0, True),
        (12.0, True),
    ]


def test_without_repeats_there_is_no_chart() -> None:
    track = TrackNoise(track="debug", title="", key="k", noise=None, experiments=())
    assert noise_chart(track) is None


def test_page_and_json_say_the_same_and_do_not_ask_more_for_more_rows(
    client: TestClient, engine: Engine
) -> None:
    def queries() -> int:
        statements: list[str] = []

        def note(*arguments: object) -> None:
            statements.append(str(arguments[2]))

        event.listen(engine, "before_cursor_execute", note)
        assert client.get("/about").status_code == 200
        event.remove(engine, "before_cursor_execute", note)
        return len(statements)

    assert "Nothing ran twice yet." in client.get("/about").text
    measure_baseline(client)
    few = queries()
    html = client.get("/about").text
    assert html.count('<circle class="point"') == len(BASELINE_LOSSES)
    # √(2.5e-4 / 4).
    assert "deviation 0.0079 nats from 4 degrees of freedom" in html
    body = client.get(f"{API}/about").json()
    [noisy] = [track for track in body["tracks"] if track["noise"]]
    assert (noisy["track"], noisy["noise"]["degrees"]) == ("debug", 4)
    for overrides in (NORM, RELU):
        for loss in (2.5, 2.51):
            submit_and_finish(client, "Twice", overrides, loss)
    assert queries() == few
