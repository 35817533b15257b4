"""A track that moves: authors submit on version 1, and the server starts with version 2."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine
from sqlmodel import Session, select

from core.schema.overrides import Change, differences
from core.schema.track import Track
from server.database import create_engine
from server.experiments import stored_config
from server.idle.tables import Rebase, RebaseOutcome
from server.settings import ServerSettings
from server.tables import Experiment, Job, Priority, Run, RunPurpose
from tests.server.boards import BASELINE_LOSSES, NORM, RELU, verdicts
from tests.server.conftest import Serve
from tests.server.factories import claim, finish, register, submit
from tests.server.idle.gains import DROPOUT, GAIN, work

Tracks = dict[str, Track]


@pytest.fixture
def database(settings: ServerSettings) -> Iterator[Engine]:
    """What every start of the server leaves behind."""
    engine = create_engine(settings.database_url)
    yield engine
    engine.dispose()


def rows(database: Engine) -> dict[str, Rebase]:
    """The rebases by the submission's id."""
    with Session(database) as session:
        return {row.submission_id: row for row in session.exec(select(Rebase))}


def rebase_runs(database: Engine) -> list[tuple[Run, Priority]]:
    query = select(Run, Job.priority).join(Job).where(Run.purpose == RunPurpose.REBASE)
    with Session(database) as session:
        return [(run, Priority(priority)) for run, priority in session.exec(query)]


def changes(database: Engine, row: Rebase, track: Track) -> tuple[Change, ...]:
    with Session(database) as session:
        experiment = session.get_one(Experiment, row.experiment_hash)
        assert experiment.track_version == track.rules.version
        return differences(track.base, stored_config(experiment))


NORM_ALONE = (Change(path="model.attention.qk_norm", before=False, after=True),)


def test_a_submission_is_resolved_anew_on_the_new_baseline_and_run_when_idle(
    serve: Serve, tracks: Tracks, moved: Tracks, database: Engine
) -> None:
    with serve(tracks) as client:
        old = submit(client, "Gain", NORM)
    with serve(moved):
        row = rows(database)[old.submission_id]
    assert (row.from_version, row.to_version, row.outcome) == (1, 2, RebaseOutcome.EXPERIMENT)
    # The new learning rate is the baseline's, so that it is no change.
    assert changes(database, row, moved["debug"]) == NORM_ALONE
    [(run, priority)] = rebase_runs(database)
    assert (run.experiment_hash, priority) == (row.experiment_hash, Priority.IDLE)
    assert run.experiment_hash != old.experiment_hash


def test_a_chain_moves_as_a_whole(
    serve: Serve, tracks: Tracks, moved: Tracks, database: Engine
) -> None:
    with serve(tracks) as client:
        first = submit(client, "First", NORM).submission_id
        second = submit(client, "Second", RELU, built_on=first).submission_id
    with serve(moved) as client:
        found = rows(database)
        lineage = client.get(f"/submissions/{second}").text
    assert changes(database, found[first], moved["debug"]) == NORM_ALONE
    assert [one.path for one in changes(database, found[second], moved["debug"])] == [
        "model.attention.qk_norm",
        "model.feed_forward.activation",
    ]
    assert "waiting for an idle worker" in lineage
    assert "against a baseline that has moved since" in lineage


def test_what_breaks_the_new_rules_keeps_the_reason_and_so_does_what_is_built_on_it(
    serve: Serve, tracks: Tracks, moved: Tracks, database: Engine
) -> None:
    with serve(tracks) as client:
        first = submit(client, "First", DROPOUT).submission_id
        second = submit(client, "Second", RELU, built_on=first).submission_id
    with serve(moved) as client:
        page = client.get(f"/submissions/{first}").text
    found = rows(database)
    assert {row.outcome for row in found.values()} == {RebaseOutcome.INVALID}
    assert "model.dropout: is fixed by the track debug" in found[first].reason
    assert found[second].reason == f"built_on: {first} is not valid on version 2 of the track."
    assert rebase_runs(database) == []
    assert "Rebased onto version 2" in page
    assert "model.dropout: is fixed by the track debug" in page


def test_what_the_new_baseline_took_over_is_not_run_again(
    serve: Serve, tracks: Tracks, moved: Tracks, database: Engine
) -> None:
    with serve(tracks) as client:
        rate = submit(client, "Rate", {"optimizer.muon.learning_rate": 0.02}).submission_id
        child = submit(client, "Child", NORM, built_on=rate).submission_id
    with serve(moved) as client:
        page = client.get(f"/submissions/{rate}").text
    found = rows(database)
    assert found[rate].outcome is RebaseOutcome.BASELINE
    assert changes(database, found[child], moved["debug"]) == NORM_ALONE
    assert [run.experiment_hash for run, _ in rebase_runs(database)] == [
        found[child].experiment_hash
    ]
    assert "it is that version" in page


def test_what_was_withdrawn_is_not_run_but_may_be_built_on(
    serve: Serve, tracks: Tracks, moved: Tracks, database: Engine
) -> None:
    with serve(tracks) as client:
        gone = submit(client, "Gone", NORM).submission_id
        child = submit(client, "Child", RELU, built_on=gone).submission_id
        request = {"author": "ada", "reason": "A typing error."}
        assert client.post(f"/api/v1/submissions/{gone}/withdraw", json=request).status_code == 200
    with serve(moved):
        found = rows(database)
    assert found[gone].outcome is RebaseOutcome.WITHDRAWN
    assert [run.experiment_hash for run, _ in rebase_runs(database)] == [
        found[child].experiment_hash
    ]


def test_a_second_start_rebases_nothing_twice(
    serve: Serve, tracks: Tracks, moved: Tracks, database: Engine
) -> None:
    with serve(tracks) as client:
        submit(client, "One", NORM)
        # The same experiment again: a row of its own, and no second run.
        submit(client, "Two", NORM, author="grace")
    for _ in range(2):
        with serve(moved):
            pass
        assert len(rows(database)) == 2
        assert len(rebase_runs(database)) == 1


def test_a_server_that_queues_nothing_rebases_nothing(
    serve: Serve, tracks: Tracks, moved: Tracks, database: Engine, settings: ServerSettings
) -> None:
    with serve(tracks) as client:
        submit(client, "One", NORM)
    with serve(moved, settings.model_copy(update={"queues_runs": False})):
        pass
    assert rows(database) == {}
    with serve(moved):
        pass
    assert len(rows(database)) == 1


def test_the_new_board_shows_the_result_under_the_submissions_name(
    serve: Serve, tracks: Tracks, moved: Tracks
) -> None:
    with serve(tracks) as client:
        old = submit(client, "Gain", NORM).submission_id
        work(client, {"Baseline": BASELINE_LOSSES, "Gain": GAIN}, 8)
    with serve(moved) as client:
        offer = claim(client, register(client))
        assert offer is not None
        assert offer.run.track_version == 2
        status = client.get(f"/api/v1/runs/{offer.run.run_id}").json()
        assert (status["name"], status["submission_id"]) == ("Gain", old)
        finish(client, offer, GAIN[0])
        work(client, {"Baseline": BASELINE_LOSSES, "Gain": GAIN}, 7)
        page = client.get(f"/submissions/{old}").text
        [(name, row)] = list(verdicts(client))
    assert "Submitted on version 1 of the track, which is at version 2." in page
    # Version 2's baseline has another key; nothing is said of it beside version 1's result.
    assert "the baseline has no run there" not in page
    assert (name, row["author"], row["submission_id"]) == ("Gain", "ada", old)
    assert (row["verdict"]["verdict"], row["verdict"]["num_runs"]) == ("better", 3)
    assert "mean loss 1.5000 over 3 runs" in page


def test_withdrawing_takes_the_rebased_experiment_back_with_its_record(
    serve: Serve, tracks: Tracks, moved: Tracks
) -> None:
    with serve(tracks) as client:
        old = submit(client, "Gain", NORM).submission_id
        work(client, {"Baseline": BASELINE_LOSSES, "Gain": GAIN}, 8)
    with serve(moved) as client:
        work(client, {"Baseline": BASELINE_LOSSES, "Gain": GAIN}, 8)
        [(_, row)] = list(verdicts(client))
        assert (row["rank"], row["verdict"]["is_record"]) == (1, True)
        request = {"author": "ada", "reason": "A typing error."}
        assert client.post(f"/api/v1/submissions/{old}/withdraw", json=request).is_success
        [(_, row)] = list(verdicts(client))
    assert (row["rank"], row["withdrawn"]["reason"]) == (None, "A typing error.")
    assert not row["verdict"]["is_record"]


def test_a_rebased_submission_may_be_built_on(
    serve: Serve, tracks: Tracks, moved: Tracks, database: Engine
) -> None:
    with serve(tracks) as client:
        old = submit(client, "First", NORM).submission_id
    with serve(moved) as client:
        new = submit(client, "Second", RELU, built_on=old)
    with Session(database) as session:
        experiment = session.get_one(Experiment, new.experiment_hash)
        assert experiment.track_version == 2
        found = differences(moved["debug"].base, stored_config(experiment))
    assert [one.path for one in found] == [
        "model.attention.qk_norm",
        "model.feed_forward.activation",
    ]
